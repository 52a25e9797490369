"""Shows keyword arguments that a method passes on in its signature and docstring, for help()."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, cleandoc, signature
from typing import Any, TypeVar, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])


def shows_arguments(arguments: type) -> Callable[[F], F]:
    """Return a decorator that shows the keys of a typed dictionary as arguments of a method."""

    def show(method: F) -> F:
        own = signature(method)
        options = [
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=False if kind is bool else None,
                annotation=kind,
            )
            for name, kind in get_type_hints(arguments).items()
        ]
        kept = [each for each in own.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        shown = own.replace(parameters=[*kept, *options])
        method.__signature__ = shown  # type: ignore[attr-defined]
        method.__doc__ = f"{cleandoc(method.__doc__ or '')}\n\n{cleandoc(arguments.__doc__ or '')}"
        return method

    return show
