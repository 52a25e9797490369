"""Results without content: empty, all null, or placeholders; `wall_text` judges their words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from batchrunner.judge.result_values import Leaf
from batchrunner.judge.vocabulary import REMARK_KEY, STAND_IN, WEAK_STAND_IN
from batchrunner.judge.wall_text import (
    BOT_WALL,
    LOGIN_WALL,
    complaint_in,
    mentions_wall,
    sign_in,
    statement_in,
)

EMPTY = "empty"
PLACEHOLDER = "placeholder"


class _LeafKind(Enum):
    """What a single value contributes to the answer."""

    NOTHING = auto()  #: null, no text, an empty list
    STAND_IN = auto()  #: a word for nothing
    WEAK = auto()  #: a word for nothing that may be the answer if it is the only value
    METADATA = auto()  #: about the answer, not part of it
    FAILED = auto()  #: says that something failed
    REMARK = auto()  #: an agent's remark about an answer
    FLAG = auto()  #: says that there was a wall
    SIGN = auto()  #: the wording of a wall itself
    REPORT = auto()  #: reports a wall or a failure
    MENTION = auto()  #: mentions a wall; an answer, unless it is the only value
    SUBSTANCE = auto()  #: an answer


_VOID = (_LeafKind.NOTHING, _LeafKind.STAND_IN, _LeafKind.WEAK)


class _ClassifiedLeaf(NamedTuple):
    """A single value, its kind, and the rule that says so."""

    leaf: Leaf
    kind: _LeafKind
    rule: str = ""


class EmptyResult(NamedTuple):
    """Why a result has no content, and the value that shows it best."""

    rule: str
    leaf: Leaf


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


#: Fields where a word for nothing is an answer.
_STAND_IN_IS_ANSWER = _any(
    r".*(avail|stock|status|state\b|verf|dispon|type|translation|word|allergen|access).*"
)
#: Fields where "not available" is an answer.
_OFFERED = _any(r".*(avail|stock|dispon|verfügbar|lieferbar).*")
_METADATA = _any(
    r"(page_?|source_?|requested_?|site_?)?url|source|(scraped|extracted|retrieved|fetched)_?at",
    r"timestamp|http_?status|status_?code|error_?code|found",
)
_CODE = _any(r"(http_?|response_?|error_?)?(code|status)")
_HTTP_FAILURES = range(400, 600)
#: Fields that are best when empty.
_BEST_EMPTY = _any(r"errors?|warnings?|error_?(message|code|type)|reason|problems?|issues?")
_STATUS = _any(r"status|state|result_?status|outcome")
_COUNTED = _any(r"(.*_)?(count|total|number|hits?)(_.*)?|n|num(_.*)?")
_DID = _any(r"success(ful)?|ok|succeeded|completed")
_GENERIC = _any(r"success|succeeded|ok|done|completed?|finished|error|fail(ed|ure)?|partial")
_BOT_STATUS = _any(r"(access[ _-])?(blocked|denied)|captcha([ _-]\w+)?|forbidden|bot_?detected")
_LOGIN_STATUS = _any(r"(log|sign)[ _-]?in[ _-]?required|auth(entication)?[ _-]?required")
_BOT_FLAG = _any(
    r"(is_?)?(captcha(_(detected|required|present|encountered))?|(access_)?(blocked|denied))",
    r"(is_?)?bot_?detected",
)
_LOGIN_FLAG = _any(r"(is_?)?(log|sign)_?in_?required|requires_?(log|sign)_?in|auth_?required")
_TRACE = _any(r".*\b(ray|incident|reference|request)\b.{0,40}")
#: Longest other text on the page of a wall, in characters.
_MAX_TEXT_BESIDE_WALL = 60
#: Longest word for nothing, in characters.
_MAX_STAND_IN_LENGTH = 60


def empty_result(leaves: Iterable[Leaf]) -> EmptyResult | None:
    """Say why a result with these values has no answer; None if it may have one."""
    found = []
    for leaf in leaves:
        each = _classify_leaf(leaf)
        if each.kind is _LeafKind.SUBSTANCE:
            return None
        found.append(each)
    if not _of(found, *_VOID) and any(not _is_remark(e) for e in _of(found, _LeafKind.MENTION)):
        return None
    return _wall_in(found) or _failure_in(found) or _remark_in(found) or _no_value_in(found)


def _of(found: list[_ClassifiedLeaf], *kinds: _LeafKind) -> list[_ClassifiedLeaf]:
    return [each for each in found if each.kind in kinds]


def _wall_in(found: list[_ClassifiedLeaf]) -> EmptyResult | None:
    void, remarks = _of(found, *_VOID), [each for each in found if _is_remark(each)]
    reports, flags = _of(found, _LeafKind.SIGN, _LeafKind.REPORT), _of(found, _LeafKind.FLAG)
    others = _of(remarks, _LeafKind.REMARK)
    if reports and all(_belongs_to_wall(each.leaf, reports[0].kind) for each in others):
        reports += _of(remarks, _LeafKind.MENTION)
        first = min(reports, key=lambda each: (BOT_WALL, LOGIN_WALL, each.rule).index(each.rule))
        return EmptyResult(first.rule, first.leaf)
    # A flag or a remark alone may be what the job asked for.
    if flags and (void or (remarks and flags[0].leaf.value is not True)):
        return EmptyResult(flags[0].rule, flags[0].leaf)
    mentions = _of(found, _LeafKind.MENTION)
    return EmptyResult(mentions[0].rule, mentions[0].leaf) if mentions and void else None


def _is_remark(each: _ClassifiedLeaf) -> bool:
    """Say whether a value is an agent's remark, whatever it mentions."""
    mention = each.kind is _LeafKind.MENTION and REMARK_KEY.fullmatch(each.leaf.key)
    return each.kind is _LeafKind.REMARK or bool(mention)


def _belongs_to_wall(leaf: Leaf, kind: _LeafKind) -> bool:
    """Say whether a remark is other text on the page of a wall."""
    return kind is _LeafKind.SIGN and (
        len(leaf.value) <= _MAX_TEXT_BESIDE_WALL or bool(_TRACE.fullmatch(leaf.value))
    )


def _failure_in(found: list[_ClassifiedLeaf]) -> EmptyResult | None:
    failed, remarks = _of(found, _LeafKind.FAILED), [each for each in found if _is_remark(each)]
    if not failed:
        return None
    longest = max(remarks, key=lambda each: len(each.leaf.value), default=failed[0])
    text = " ".join(str(each.leaf.value) for each in remarks)
    return EmptyResult(complaint_in(text), longest.leaf)


def _remark_in(found: list[_ClassifiedLeaf]) -> EmptyResult | None:
    """Find a remark next to fields that are null; an empty list may be an answer."""
    remarks = _of(found, _LeafKind.REMARK)
    missing = [e for e in found if e.leaf.value in (None, "") or e.kind is _LeafKind.STAND_IN]
    if not remarks or not missing or _of(found, _LeafKind.MENTION):
        return None
    return EmptyResult(complaint_in(str(remarks[0].leaf.value)), remarks[0].leaf)


def _no_value_in(found: list[_ClassifiedLeaf]) -> EmptyResult | None:
    if _of(found, _LeafKind.REMARK, _LeafKind.FLAG, _LeafKind.MENTION):
        return None
    stand_ins, weak = _of(found, _LeafKind.STAND_IN), _of(found, _LeafKind.WEAK)
    nothing, metadata = _of(found, _LeafKind.NOTHING), _of(found, _LeafKind.METADATA)
    if stand_ins or len(weak) > 1 or (weak and nothing):
        return EmptyResult(PLACEHOLDER, (stand_ins or weak)[0].leaf)
    links = any(isinstance(each.leaf.value, str) and "://" in each.leaf.value for each in metadata)
    if len(nothing) > int(links):
        return EmptyResult(EMPTY, nothing[0].leaf)
    return None


# ---- single values ----


def _classify_leaf(leaf: Leaf) -> _ClassifiedLeaf:
    value = leaf.value
    if value is None or (isinstance(value, str | list | dict) and not value):
        return _ClassifiedLeaf(
            leaf, _LeafKind.METADATA if _BEST_EMPTY.fullmatch(leaf.key) else _LeafKind.NOTHING
        )
    if isinstance(value, str):
        return _classify_text(leaf, value)
    return _classify_plain(leaf)


def _classify_plain(leaf: Leaf) -> _ClassifiedLeaf:
    key, value = leaf.key, leaf.value
    if value is True and (rule := _flag(key)):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, rule)
    if _DID.fullmatch(key) and isinstance(value, bool):
        return _ClassifiedLeaf(leaf, _LeafKind.METADATA if value else _LeafKind.FAILED)
    counts_nothing = value == 0 and not isinstance(value, bool) and _COUNTED.fullmatch(key)
    metadata = _METADATA.fullmatch(key) and value is not True
    # A single status code is about the visit; status codes in a list are an answer.
    metadata = metadata or (leaf.is_top_field and _CODE.fullmatch(key) and value in _HTTP_FAILURES)
    return _ClassifiedLeaf(
        leaf, _LeafKind.METADATA if counts_nothing or metadata else _LeafKind.SUBSTANCE
    )


def _flag(key: str) -> str | None:
    if _BOT_FLAG.fullmatch(key):
        return BOT_WALL
    return LOGIN_WALL if _LOGIN_FLAG.fullmatch(key) else None


def _classify_text(leaf: Leaf, value: str) -> _ClassifiedLeaf:
    text, key = value.strip(), leaf.key
    if not text:
        return _ClassifiedLeaf(leaf, _LeafKind.NOTHING)
    if kind := _stand_in_kind(text, key):
        return _ClassifiedLeaf(leaf, kind, PLACEHOLDER)
    if _STATUS.fullmatch(key) and (status := _classify_status(leaf, text)):
        return status
    if _METADATA.fullmatch(key):
        return _ClassifiedLeaf(leaf, _LeafKind.METADATA)
    return (
        _ClassifiedLeaf(leaf, _LeafKind.SUBSTANCE)
        if _OFFERED.fullmatch(key)
        else _classify_sentences(leaf, text)
    )


def _classify_sentences(leaf: Leaf, text: str) -> _ClassifiedLeaf:
    remark = REMARK_KEY.fullmatch(leaf.key) is not None
    # A remark of one word is not the wording of a wall.
    if wall := None if remark and " " not in text else sign_in(text, leaf.key):
        return _ClassifiedLeaf(leaf, _LeafKind.SIGN, wall)
    if rule := statement_in(text, leaf.key):
        return _ClassifiedLeaf(leaf, _LeafKind.REPORT, rule)
    if wall := mentions_wall(text):
        return _ClassifiedLeaf(leaf, _LeafKind.MENTION, wall)
    return _ClassifiedLeaf(leaf, _LeafKind.REMARK if remark else _LeafKind.SUBSTANCE)


def _classify_status(leaf: Leaf, text: str) -> _ClassifiedLeaf | None:
    if _BOT_STATUS.fullmatch(text):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, BOT_WALL)
    if _LOGIN_STATUS.fullmatch(text):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, LOGIN_WALL)
    return _ClassifiedLeaf(leaf, _LeafKind.METADATA) if _GENERIC.fullmatch(text) else None


def _stand_in_kind(text: str, key: str) -> _LeafKind | None:
    if len(text) > _MAX_STAND_IN_LENGTH or _STAND_IN_IS_ANSWER.fullmatch(key):
        return None
    bare = text.rstrip(".!")
    if STAND_IN.fullmatch(bare) or STAND_IN.fullmatch(text) or _repeats(text, key):
        return _LeafKind.STAND_IN
    return _LeafKind.WEAK if WEAK_STAND_IN.fullmatch(text) else None


def _repeats(text: str, key: str) -> bool:
    """Say whether a value only repeats its field's name, as in an example of a result."""
    name, value = key.replace("_", " ").lower(), text.lower()
    return bool(name) and value in (name, f"product {name}", f"your {name}", f"item {name}")
