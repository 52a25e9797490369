"""Variables that a shell or another tool would have replaced, and that nobody did."""

from __future__ import annotations

import re

from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog

#: `${NAME}` and its kin, with a default or a filter.
_BRACED = re.compile(r"\$\{\{?\s*([\w.]{1,60})[^{}]{0,60}\}?\}")
#: The same with a name in capitals, as variables of the environment have: also in prose.
_ENVIRONMENT = re.compile(
    r"\$\{\{?\s*((?:env\.|secrets\.)?[A-Z_][A-Z0-9_]{0,60})(?![\w.])[^{}]{0,60}\}?\}"
)
_WHOLE = re.compile(r"[$%]([A-Z_][A-Z0-9_]+)%?")
#: Keys of a job whose values are patterns or descriptions.
_NOT_SEARCHED = ("output_schema", "expect", "policy", "feature_flags")
TIP = (
    "variables of the environment are not substituted: write the value itself; logins belong "
    "into the vault: batchrunner vault --help"
)


def has_variable_sign(text: str) -> bool:
    """Return whether a text may have a variable."""
    return "$" in text or "%" in text


def variable_left(key: str, text: str) -> str | None:
    """Return the name of a variable that the text of a job's key still has."""
    if not has_variable_sign(text):
        return None
    found = _ENVIRONMENT.search(text) if key in ("goal", "id") else _BRACED.search(text)
    if found is None and key not in ("url", "goal", "id"):
        found = _WHOLE.fullmatch(text.strip())
    return found[1] if found else None


def report_variables(key: str, node: Node, name: str, log: ProblemLog) -> bool:
    """Report each variable that a job's key still has; return whether there are any."""
    if key in _NOT_SEARCHED:
        return False
    if type(node) is Scalar:
        if (variable := variable_left(key, node.text)) is None:
            return False
        log.add(f"{name} has the variable `${{{variable}}}` left in it", node, TIP)
        return True
    parts = _parts(node, name)
    return any([report_variables(f"{key}.", part, called, log) for called, part in parts])


def _parts(node: Node, name: str) -> list[tuple[str, Node]]:
    if isinstance(node, Pairs):
        return [(f"`{key}` in {name}", value) for key, (_, value) in node.nodes.items()]
    return [(f"an entry of {name}", part) for part in node.nodes] if isinstance(node, Items) else []
