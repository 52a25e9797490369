"""Checks the API: whether it answers, accepts the key, and what its clock shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import (
    MAX_CLOCK_DIFFERENCE,
    SET_CLOCK,
    Finding,
    apart,
    bad,
    ok,
    warning,
)
from batchrunner.model import ApiFaultKind

if TYPE_CHECKING:
    from batchrunner.model import ApiFault

SET_KEY = "export TINYFISH_API_KEY=…"
USE_DEFAULT_ADDRESS = "unset TINYFISH_BASE_URL"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFacts:
    """The answer to one free read, or why there was none."""

    origin: str
    key_from: str | None = None  #: None: there is no key
    proxy: str | None = None  #: host of a proxy before the API
    key_trouble: str | None = None  #: why the key cannot be used
    address_is_bad: bool = False
    network_trouble: tuple[str, str] | None = None  #: a setting that cannot be used, and its remedy
    fault: ApiFault | None = None  #: why the read failed
    seconds: float = 0.0
    ahead: timedelta | None = None  #: how far its clock is ahead of ours; None: not known


def findings(facts: ApiFacts) -> Iterator[Finding]:
    """Check the API. Its own messages are left out: they may repeat the key."""
    if facts.address_is_bad:
        yield bad(
            "address", "the API's address cannot be used; write https://host", USE_DEFAULT_ADDRESS
        )
    elif facts.network_trouble is not None:
        yield bad("network", *facts.network_trouble)
    elif facts.key_trouble is not None:
        yield bad("key", facts.key_trouble, SET_KEY)
    elif facts.key_from is None:
        yield warning(
            "key", "there is no key: the API is not asked (run --sandbox needs none)", SET_KEY
        )
    elif facts.fault is not None:
        yield _fault(facts, facts.fault)
    else:
        yield ok("api", f"{_where(facts)} answers in {facts.seconds:.2f} s")
        yield ok("key", f"the key {facts.key_from} is accepted")
        yield _clock(facts.ahead)


def _where(facts: ApiFacts) -> str:
    return facts.origin + (f" (by way of the proxy {facts.proxy})" if facts.proxy else "")


def _fault(facts: ApiFacts, fault: ApiFault) -> Finding:
    where = _where(facts)
    probe = f"curl -sS -o /dev/null -w '%{{http_code}}\\n' {facts.origin}/v1/runs"
    if fault.kind is ApiFaultKind.NOT_SENT:
        return bad("api", f"{where} cannot be reached", probe)
    if fault.kind is ApiFaultKind.BARRED:
        return bad("api", f"{where}: {fault.message}; {fault.advice}", probe)
    if fault.kind is ApiFaultKind.INTERRUPTED:
        return bad("api", f"{where} gives no whole answer", probe)
    if fault.kind is ApiFaultKind.TOO_LARGE:
        return warning("api", f"{where} shows a run that is too large to take", probe)
    if fault.kind is ApiFaultKind.STATUS:
        return _refusal(facts, fault.status or 0, where, probe)
    return bad("api", f"what answers at {where} is not the API: a proxy or a login page?", probe)


def _refusal(facts: ApiFacts, status: int, where: str, probe: str) -> Finding:
    if status == 401:
        return bad("key", f"{where} refuses the key {facts.key_from} (HTTP 401)", SET_KEY)
    if status == 403:
        return bad("key", f"the key {facts.key_from} may not read runs (HTTP 403)", SET_KEY)
    if status == 429 or status >= 500:
        found = f"{where} is there, but busy or broken now (HTTP {status})"
        return warning("api", found, "batchrunner doctor")
    return bad("api", f"{where} refuses to list runs (HTTP {status})", probe)


def _clock(ahead: timedelta | None) -> Finding:
    if ahead is None:
        return ok("api_clock", "its answer does not show its clock")
    if abs(ahead) > MAX_CLOCK_DIFFERENCE:
        return warning("api_clock", f"{apart(ahead, 'its')}; exports have times of both", SET_CLOCK)
    return ok("api_clock", "its clock and this machine's agree")
