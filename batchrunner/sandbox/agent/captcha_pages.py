"""Recognizes captchas and logins that appear in place of the requested page."""

from __future__ import annotations

import re

import httpx
from selectolax.lexbor import LexborHTMLParser

from batchrunner.sandbox.agent.browser import Visit
from batchrunner.sandbox.agent.html import text_of

_CAPTCHA = re.compile(
    r"verify (?:that )?you(?: are|['’]re) (?:a )?human|are you (?:a )?(?:human|robot)"
    r"|not a robot|unusual traffic|checking your browser|(?:complete|solve) the captcha",
    re.I,
)
_LOGIN = re.compile(
    r"(?:sign|log) ?in to (?:continue|view|see|your)|please (?:sign|log) ?in"
    r"|(?:sign|log)[ -]?in required|must be (?:signed|logged) in",
    re.I,
)
_WIDGETS = ".g-recaptcha, .h-captcha, .cf-turnstile, [class*=captcha], iframe[src*=captcha]"
_SHORT = 600


def captcha_or_login(seen: Visit, tree: LexborHTMLParser) -> str | None:
    """Return what prevents the page from being read; None if nothing does.

    A phrase alone is no wall, because a page may be *about* captchas: a wall also has something
    to fill in or an error status, and little else.
    """
    if seen.problem:
        return seen.problem
    text = text_of(tree.body)
    is_short = len(text) < _SHORT
    spoken = " ".join(text_of(node) for node in tree.css("title, h1")[:5])
    if is_short:
        spoken = f"{spoken} {text}"
    captcha = _CAPTCHA.search(spoken)
    if captcha and (tree.css_first(f"form, {_WIDGETS}") or seen.status >= 400):
        return f"A captcha blocks the page: “{captcha.group()}”"
    asks = tree.css_first("input[type=password]") and (is_short or _LOGIN.search(spoken))
    if asks or seen.status == 401:
        return "The page asks to sign in"
    if seen.status >= 400:
        phrase = httpx.codes.get_reason_phrase(seen.status)
        return f"The page answered {seen.status} {phrase}".rstrip()
    return None
