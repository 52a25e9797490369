"""Results in which nothing is: empty, all null, or filled with words that stand for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from batchrunner.judge.result_values import Leaf
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
    """What a single value gives to the answer."""

    NOTHING = auto()  #: null, no text, an empty list
    STAND_IN = auto()  #: a word for nothing
    WEAK = auto()  #: a word for nothing that may be the answer where it stands alone
    ASIDE = auto()  #: about the answer, and none
    FAILED = auto()  #: says that it did not go well
    WORDS = auto()  #: what an agent says beside an answer
    FLAG = auto()  #: says that a wall was there
    SIGN = auto()  #: what only a wall says
    TOLD = auto()  #: says that the way was closed
    MENTION = auto()  #: an answer, unless it stands beside nothing else: it speaks of a wall
    SUBSTANCE = auto()  #: an answer


_VOID = (_LeafKind.NOTHING, _LeafKind.STAND_IN, _LeafKind.WEAK)


class _ClassifiedLeaf(NamedTuple):
    """A single value, what it gives, and the rule by which."""

    leaf: Leaf
    kind: _LeafKind
    rule: str = ""


class EmptyResult(NamedTuple):
    """Why a result is none, and the value that shows it best."""

    rule: str
    leaf: Leaf


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


_STAND_IN = _any(
    r"n/?a|n\.a\.?|undefined|nan|tb[acd]|unknown|string|lorem ipsum|not applicable|no (data|info)",
    r"((the )?(information|data|price|details?|value|it) )?(is )?"
    r"(not|un|none|nothing)[ -]?(publicly )?(available|found|provided|specified|listed|stated|given"
    r"|disclosed|mentioned|shown|displayed|visible|known|present)|n/a .{1,30}|\(none\)",
    r"no (information|details?|price)( (available|found|given))?",
    r"to be (announced|determined|confirmed)",
    r"k\.? ?a\.?|(keine|ohne) (angaben?|daten|information(en)?)|unbekannt",
    r"nicht (gefunden|verfügbar|angegeben|bekannt|vorhanden|genannt|aufgeführt|ersichtlich)",
    r"(non|pas) (disponible|(trouv|spécifi|précis|communiqu|renseign|indiqu|mentionn)ée?s?)",
    r"inconnue?|introuvable|n\.?d\.?|(aucune|pas de) (information|donnée)s?",
    r"no (disponible|consta|aplica|(encontrad|especificad|indicad|mencionad)[oa])",
    r"(desconocid|desconhecid|sconosciut)[oa]|(sin|sem) (datos|información|dados|informaç(ão|ões))",
    r"não (disponível|consta|(encontrad|informad|especificad|indicad)[oa])|indisponível",
    r"non (disponibile|presente|(trovat|specificat|indicat|comunicat)[oa])|nessuna informazione",
    r"niet (beschikbaar|gevonden|vermeld|bekend|opgegeven|van toepassing)|onbekend|geen gegevens",
    r"nie (znaleziono|podano|dotyczy|określono)|nieznan[yae]|niedostępn[yae]",
    r"brak (danych|informacji)",
    r"不明|該当なし|情報なし|記載なし|未定|未知|暂无(数据|信息)?|未提供|不详|未找到|不适用|无数据",
    r"알 수 없음|정보 없음|해당 없음|미정|미제공|확인 불가",
    r"<[^<>]{1,40}>|\[[^\]]{1,40}\]|\{+[^{}]{1,40}\}+",
)
_WEAK = _any(
    r"null|none|nothing|nil|[-–—_?.…/*]+|keine?|aucune?|ningun[oa]|leer|nessun[oa]|nenhuma?|geen|brak",
    r"なし|无|無|없음",
)
#: Keys under which such a word is an answer.
_ANSWERED = _any(
    r".*(avail|stock|status|state\b|verf|dispon|type|translation|word|allergen|access).*"
)
#: Keys under which being without something is an answer of its own.
_OFFERED = _any(r".*(avail|stock|dispon|verfügbar|lieferbar).*")
_ASIDE = _any(
    r"(page_?|source_?|requested_?|site_?)?url|source|(scraped|extracted|retrieved|fetched)_?at",
    r"timestamp|http_?status|status_?code|error_?code|found",
)
_CODE = _any(r"(http_?|response_?|error_?)?(code|status)")
_HTTP_FAILURES = range(400, 600)
#: Where nothing is the best that can be.
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
_WORDS = _any(
    r"(error_?|status_?)?(message|reason|msg|type|details?)|explanation|notes?|comment|body|text"
    r"|content|description|fehlermeldung|meldung|hinweis|bemerkung|remarks?|observations?",
    r"error_?description|why|cause|hints?|notices?|warnings?|status_?(text|message)|inhalt",
    r"grund|begründung|warnung|notas?|aviso|mensaje|comentarios?|motivo|explicación|remarques?",
    r"raison|explication|commentaires?|obs|observaç(ão|ões)|mensagem|comentários?|messaggio",
    r"osservazion[ei]|spiegazione|opmerking(en)?|toelichting|reden|uwag[ai]|komunikat|powód",
    r"備考|注記|理由|メモ|メッセージ|备注|說明|说明|原因|消息|비고|설명|사유|메시지",
)
_TRACE = _any(r".*\b(ray|incident|reference|request)\b.{0,40}")
#: Characters of a text that may stand beside a wall's own words.
_BESIDE = 60


def empty_result(leaves: Iterable[Leaf]) -> EmptyResult | None:
    """Say why a result of these values holds no answer; None where it may hold one."""
    seen = []
    for leaf in leaves:
        each = _classify_leaf(leaf)
        if each.kind is _LeafKind.SUBSTANCE:
            return None
        seen.append(each)
    if not _of(seen, *_VOID) and any(not _is_words(e) for e in _of(seen, _LeafKind.MENTION)):
        return None
    return _walled(seen) or _failed(seen) or _explained(seen) or _nothing(seen)


def _of(seen: list[_ClassifiedLeaf], *kinds: _LeafKind) -> list[_ClassifiedLeaf]:
    return [each for each in seen if each.kind in kinds]


def _walled(seen: list[_ClassifiedLeaf]) -> EmptyResult | None:
    void, words = _of(seen, *_VOID), [each for each in seen if _is_words(each)]
    told, flags = _of(seen, _LeafKind.SIGN, _LeafKind.TOLD), _of(seen, _LeafKind.FLAG)
    if told and all(_is_beside(each.leaf, told[0].kind) for each in _of(words, _LeafKind.WORDS)):
        told += _of(words, _LeafKind.MENTION)
        first = min(told, key=lambda each: (BOT_WALL, LOGIN_WALL, each.rule).index(each.rule))
        return EmptyResult(first.rule, first.leaf)
    # A flag or a word alone may be what was asked for.
    if flags and (void or (words and flags[0].leaf.value is not True)):
        return EmptyResult(flags[0].rule, flags[0].leaf)
    mentions = _of(seen, _LeafKind.MENTION)
    return EmptyResult(mentions[0].rule, mentions[0].leaf) if mentions and void else None


def _is_words(each: _ClassifiedLeaf) -> bool:
    """Say whether it is what an agent says beside an answer, whatever that speaks of."""
    beside = each.kind is _LeafKind.MENTION and _WORDS.fullmatch(each.leaf.key)
    return each.kind is _LeafKind.WORDS or bool(beside)


def _is_beside(leaf: Leaf, kind: _LeafKind) -> bool:
    return kind is _LeafKind.SIGN and (
        len(leaf.value) <= _BESIDE or bool(_TRACE.fullmatch(leaf.value))
    )


def _failed(seen: list[_ClassifiedLeaf]) -> EmptyResult | None:
    failed, words = _of(seen, _LeafKind.FAILED), [each for each in seen if _is_words(each)]
    if not failed:
        return None
    shows = max(words, key=lambda each: len(each.leaf.value), default=failed[0])
    said = " ".join(str(each.leaf.value) for each in words)
    return EmptyResult(complaint_in(said), shows.leaf)


def _explained(seen: list[_ClassifiedLeaf]) -> EmptyResult | None:
    """Tell an agent's words beside fields that are all null; an empty list may be an answer."""
    words = _of(seen, _LeafKind.WORDS)
    missing = [e for e in seen if e.leaf.value in (None, "") or e.kind is _LeafKind.STAND_IN]
    if not words or not missing or _of(seen, _LeafKind.MENTION):
        return None
    return EmptyResult(complaint_in(str(words[0].leaf.value)), words[0].leaf)


def _nothing(seen: list[_ClassifiedLeaf]) -> EmptyResult | None:
    if _of(seen, _LeafKind.WORDS, _LeafKind.FLAG, _LeafKind.MENTION):
        return None
    stand_ins, weak = _of(seen, _LeafKind.STAND_IN), _of(seen, _LeafKind.WEAK)
    nothing, aside = _of(seen, _LeafKind.NOTHING), _of(seen, _LeafKind.ASIDE)
    if stand_ins or len(weak) > 1 or (weak and nothing):
        return EmptyResult(PLACEHOLDER, (stand_ins or weak)[0].leaf)
    links = any(isinstance(each.leaf.value, str) and "://" in each.leaf.value for each in aside)
    if len(nothing) > int(links):
        return EmptyResult(EMPTY, nothing[0].leaf)
    return None


# ---- single values ----


def _classify_leaf(leaf: Leaf) -> _ClassifiedLeaf:
    value = leaf.value
    if value is None or (isinstance(value, str | list | dict) and not value):
        return _ClassifiedLeaf(
            leaf, _LeafKind.ASIDE if _BEST_EMPTY.fullmatch(leaf.key) else _LeafKind.NOTHING
        )
    if isinstance(value, str):
        return _classify_text(leaf, value)
    return _classify_plain(leaf)


def _classify_plain(leaf: Leaf) -> _ClassifiedLeaf:
    key, value = leaf.key, leaf.value
    if value is True and (rule := _flag(key)):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, rule)
    if _DID.fullmatch(key) and isinstance(value, bool):
        return _ClassifiedLeaf(leaf, _LeafKind.ASIDE if value else _LeafKind.FAILED)
    counts_nothing = value == 0 and not isinstance(value, bool) and _COUNTED.fullmatch(key)
    aside = _ASIDE.fullmatch(key) and value is not True
    # One for the whole result is about the visit; many are a list that was asked for.
    aside = aside or (key == leaf.path and _CODE.fullmatch(key) and value in _HTTP_FAILURES)
    return _ClassifiedLeaf(
        leaf, _LeafKind.ASIDE if counts_nothing or aside else _LeafKind.SUBSTANCE
    )


def _flag(key: str) -> str | None:
    if _BOT_FLAG.fullmatch(key):
        return BOT_WALL
    return LOGIN_WALL if _LOGIN_FLAG.fullmatch(key) else None


def _classify_text(leaf: Leaf, value: str) -> _ClassifiedLeaf:
    text, key = value.strip(), leaf.key
    if not text:
        return _ClassifiedLeaf(leaf, _LeafKind.NOTHING)
    if rule := _stands_for_nothing(text, key):
        return _ClassifiedLeaf(leaf, rule, PLACEHOLDER)
    if _STATUS.fullmatch(key) and (seen := _classify_status(leaf, text)):
        return seen
    if _ASIDE.fullmatch(key):
        return _ClassifiedLeaf(leaf, _LeafKind.ASIDE)
    return (
        _ClassifiedLeaf(leaf, _LeafKind.SUBSTANCE)
        if _OFFERED.fullmatch(key)
        else _classify_words(leaf, text)
    )


def _classify_words(leaf: Leaf, text: str) -> _ClassifiedLeaf:
    beside = _WORDS.fullmatch(leaf.key) is not None
    # One word beside an answer is none of a page's own.
    if wall := None if beside and " " not in text else sign_in(text, leaf.key):
        return _ClassifiedLeaf(leaf, _LeafKind.SIGN, wall)
    if rule_told := statement_in(text, leaf.key):
        return _ClassifiedLeaf(leaf, _LeafKind.TOLD, rule_told)
    if wall := mentions_wall(text):
        return _ClassifiedLeaf(leaf, _LeafKind.MENTION, wall)
    return _ClassifiedLeaf(leaf, _LeafKind.WORDS if beside else _LeafKind.SUBSTANCE)


def _classify_status(leaf: Leaf, text: str) -> _ClassifiedLeaf | None:
    if _BOT_STATUS.fullmatch(text):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, BOT_WALL)
    if _LOGIN_STATUS.fullmatch(text):
        return _ClassifiedLeaf(leaf, _LeafKind.FLAG, LOGIN_WALL)
    return _ClassifiedLeaf(leaf, _LeafKind.ASIDE) if _GENERIC.fullmatch(text) else None


def _stands_for_nothing(text: str, key: str) -> _LeafKind | None:
    if len(text) > 60 or _ANSWERED.fullmatch(key):
        return None
    bare = text.rstrip(".!")
    if _STAND_IN.fullmatch(bare) or _STAND_IN.fullmatch(text) or _repeats(text, key):
        return _LeafKind.STAND_IN
    return _LeafKind.WEAK if _WEAK.fullmatch(text) else None


def _repeats(text: str, key: str) -> bool:
    """Say whether a value only repeats its name, as an example of a result does."""
    name, said = key.replace("_", " ").lower(), text.lower()
    return bool(name) and said in (name, f"product {name}", f"your {name}", f"item {name}")
