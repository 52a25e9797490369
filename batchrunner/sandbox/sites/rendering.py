"""Renders the templates of the sample sites, and loads their data.

The sites' handlers are all coroutines: Starlette would run a plain function on a thread, and
threads do not keep virtual time.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

_TEMPLATES = Environment(
    loader=PackageLoader(__name__.rpartition(".")[0], "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def load(name: str) -> Any:
    """Read one of the package's data files."""
    text = files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)


def page(
    request: Request, template: str, /, *, status: int = HTTPStatus.OK, **values: Any
) -> HTMLResponse:
    """Render a page of the site that answers the request.

    Links in the templates start with `base`, because a site lives at the root of its own host
    and below `/sites/<name>` everywhere else.
    """
    values["base"] = request.scope.get("root_path", "")
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status_code=status)
