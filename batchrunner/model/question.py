"""What a job asks of the agent, without all that does not change its answer."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as _string
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from batchrunner.api_facts.run_options import OPTIONS, ObjectType, Option, SchemaType
from batchrunner.model.output_schema import plain_schema

_PORTS = {"http": 80, "https": 443}
#: A url in which nothing can be spelt in another way.
_PLAIN = re.compile(r"https?://[a-z0-9.-]+/[^?#\s]*(?:\?[^#\s]+)?(?:#\S+)?", re.ASCII)
_OPTIONS = {option.name: option for option in OPTIONS}
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Question(NamedTuple):
    """What a job asks."""

    url: str
    goal: str
    options: Mapping[str, Any]


def question_digest(url: str, goal: str, options: Mapping[str, Any]) -> str:
    """
    Return a digest that two jobs share if they ask the same question.

    Spaces and line breaks in a goal, the usual port, the case of a host, the order of keys, and
    options that do not change what the agent does make no difference.
    """
    return questions_with(options)(url, goal)


def questions_with(options: Mapping[str, Any]) -> Callable[[str, str], str]:
    """Return a function that gives the digest of a url and a goal with these options."""
    options_text = _canonical(plain_options(options)) if options else "{}"

    def digest(url: str, goal: str) -> str:
        url_text, goal_text = _string(plain_url(url)), _string(plain_goal(goal))
        asked = f"[{url_text},{goal_text},{options_text}]"
        return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    return digest


def plain_goal(goal: str) -> str:
    """Return a goal with one space between words, and each letter in one piece."""
    words = " ".join(goal.split())
    return words if words.isascii() else unicodedata.normalize("NFC", words)


def plain_url(url: str) -> str:
    """Return a url as all its spellings that lead to the same page by definition."""
    if _PLAIN.fullmatch(url):
        return url
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return url.strip()
    if not host:
        return url.strip()
    login = parts.netloc.rpartition("@")[0]
    place = f"[{host}]" if ":" in host else host
    if login:
        place = f"{login}@{place}"
    if port is not None and port != _PORTS.get(parts.scheme):
        place = f"{place}:{port}"
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, parts.fragment))


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that change what the agent does, without those that say the default."""
    return _plain(options, _OPTIONS)


def _plain(values: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        option = known.get(name)
        if option is not None:
            if option.keeps_question or value == option.default:
                continue
            if isinstance(option.type, ObjectType) and isinstance(value, Mapping):
                value = _members(value, option.type)
            elif isinstance(option.type, SchemaType):
                value = plain_schema(value)
        if value not in (None, {}, []):
            found[name] = value
    return found


def _members(value: Mapping[str, Any], type: ObjectType) -> dict[str, Any]:
    if value.get("enabled") is False:
        return {}  # whatever else it says is not used
    return _plain(value, {member.name: member for member in type.members})


def changed_fields(before: Question, after: Question) -> tuple[str, ...]:
    """Return in which fields two questions differ: `url`, `goal` and names of options."""
    found = []
    if plain_url(before.url) != plain_url(after.url):
        found.append("url")
    if plain_goal(before.goal) != plain_goal(after.goal):
        found.append("goal")
    was, now = plain_options(before.options), plain_options(after.options)
    names = [*was, *(name for name in now if name not in was)]
    return (*found, *(name for name in names if was.get(name) != now.get(name)))


def text_of(question: Question, field: str) -> str:
    """Return the value of a field as text; empty if it is not set."""
    if field == "url":
        return question.url
    if field == "goal":
        return question.goal
    value = question.options.get(field)
    return "" if value is None else value if isinstance(value, str) else _canonical(value)
