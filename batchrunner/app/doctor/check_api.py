"""The API: whether it is there, takes the key, and what its clock shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import CLOCKS_APART, SET_CLOCK, Finding, apart, bad, ok, warning
from batchrunner.model import FaultKind

if TYPE_CHECKING:
    from batchrunner.model import ApiFault

GIVE_KEY = "export TINYFISH_API_KEY=…"
GIVE_ADDRESS = "unset TINYFISH_BASE_URL"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFacts:
    """One free read of the API, or why there was none."""

    origin: str
    key_from: str | None = None  #: None: no key was given
    proxy: str | None = None  #: host of a proxy between us and the API
    key_trouble: str | None = None  #: why it cannot be used
    address_is_bad: bool = False
    fault: ApiFault | None = None  #: what the read met
    seconds: float = 0.0
    ahead: timedelta | None = None  #: of the API's clock over ours; None: it showed none


def findings(contact: ApiFacts) -> Iterator[Finding]:
    """Judge the contact; never says what the API said: it might repeat the key."""
    if contact.address_is_bad:
        yield bad("address", "the API's address cannot be used; write https://host", GIVE_ADDRESS)
    elif contact.key_trouble is not None:
        yield bad("key", contact.key_trouble, GIVE_KEY)
    elif contact.key_from is None:
        yield warning(
            "key", "there is no key: the API is not asked (run --sandbox needs none)", GIVE_KEY
        )
    elif contact.fault is not None:
        yield _fault(contact, contact.fault)
    else:
        yield ok("api", f"{_where(contact)} answers in {contact.seconds:.2f} s")
        yield ok("key", f"the key {contact.key_from} is accepted")
        yield _clock(contact.ahead)


def _where(contact: ApiFacts) -> str:
    return contact.origin + (f" (by way of the proxy {contact.proxy})" if contact.proxy else "")


def _fault(contact: ApiFacts, fault: ApiFault) -> Finding:
    where = _where(contact)
    look = f"curl -sS -o /dev/null -w '%{{http_code}}\\n' {contact.origin}/v1/runs"
    if fault.kind is FaultKind.NOT_SENT:
        return bad("api", f"{where} cannot be reached", look)
    if fault.kind is FaultKind.INTERRUPTED:
        return bad("api", f"{where} gives no whole answer", look)
    if fault.kind is FaultKind.TOO_LARGE:
        return warning("api", f"{where} shows a run that is too large to take", look)
    if fault.kind is FaultKind.STATUS:
        return _refusal(contact, fault.status or 0, where, look)
    return bad("api", f"what answers at {where} is not the API: a proxy or a login page?", look)


def _refusal(contact: ApiFacts, status: int, where: str, look: str) -> Finding:
    if status == 401:
        return bad("key", f"{where} refuses the key {contact.key_from} (HTTP 401)", GIVE_KEY)
    if status == 403:
        return bad("key", f"the key {contact.key_from} may not read runs (HTTP 403)", GIVE_KEY)
    if status == 429 or status >= 500:
        found = f"{where} is there, but busy or broken now (HTTP {status})"
        return warning("api", found, "batchrunner doctor")
    return bad("api", f"{where} refuses to list runs (HTTP {status})", look)


def _clock(ahead: timedelta | None) -> Finding:
    if ahead is None:
        return ok("api_clock", "its answer does not show its clock")
    if abs(ahead) > CLOCKS_APART:
        return warning("api_clock", f"{apart(ahead, 'its')}; exports have times of both", SET_CLOCK)
    return ok("api_clock", "its clock and this machine's agree")
