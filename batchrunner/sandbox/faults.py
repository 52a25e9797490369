"""The faults of a run, a create request, a read or an artifact: one row each, with its effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

#: The host whose paths name faults: `https://faults.test/<fault>` or `…/<fault>/<n>`.
FAULTS_HOST = "faults.test"
#: The fault of a run whose result is delivered, and looks wrong.
SUSPECT = "suspect"


class Status(StrEnum):
    """Where a run is, as the API names it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the run will never change again."""
        return self not in (Status.PENDING, Status.RUNNING)


class FaultTarget(StrEnum):
    """What a fault affects."""

    RUN = "run"
    REQUEST = "request"
    READ = "read"
    ARTIFACT = "artifact"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunErrorBody:
    """What a FAILED run says about its failure; a code of None is left out of the answer."""

    code: str | None
    category: str
    message: str
    waits: bool = False  #: has the config's `retry_after`


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFault:
    """How a run goes.

    If `performs` is set, the agent brings the result; otherwise the result is `result`.
    """

    says: str
    ends: Status | None = Status.COMPLETED  #: None: it stays as it is until it is cancelled
    performs: bool = False
    result: Mapping[str, Any] | None = None
    breaks_schema: bool = False
    makes_up: bool = False  #: one value is none that the page holds
    error: RunErrorBody | None = None
    part: float = 1.0  #: the share of its duration after which it ends
    starts: bool = True  #: False: it stays PENDING and takes no slot
    known: bool = True  #: False: no read and no cancel finds it
    spelled: str | None = None  #: how its status is shown once it has ended; None: as usual
    shows_end: bool = True  #: False: it has no `finished_at`, and only a cancel says that it ended


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFault:
    """How a create request goes.

    A status of None means no answer: the connection drops, or with `hangs` stays silent. A status
    of 200 means that the client sees nothing of the fault.
    """

    says: str
    status: int | None
    code: str = ""
    message: str = ""
    creates: bool = False  #: the runs are created despite the error
    repeats: bool = False  #: the request arrives twice, and the second answer is thrown away
    names: bool = False  #: the answer's details name the refused items
    waits: bool = False  #: has the config's `retry_after`
    hangs: bool = False
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadFault:
    """What answers a read in place of the API."""

    says: str
    status: int
    html: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFault:
    """What happens to the screenshots, pages and recording of a run."""

    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Escape:
    """Which runs a fault does not apply to: `<fault>-unless-<name>` applies to all others."""

    says: str
    exempts: Callable[[Mapping[str, Any]], bool]  #: takes the body that the run was created with


def _has_proxy(body: Mapping[str, Any]) -> bool:
    proxy = body.get("proxy_config")
    return isinstance(proxy, Mapping) and proxy.get("enabled") is True


#: What stands between the name of a fault and its escape.
UNLESS = "-unless-"

ESCAPES: Mapping[str, Escape] = {
    "stealth": Escape(
        says="a run with `browser_profile: stealth`",
        exempts=lambda body: body.get("browser_profile") == "stealth",
    ),
    "proxy": Escape(says="a run through a proxy", exempts=_has_proxy),
}

#: A run without a fault.
NORMAL = "normal"
#: The fault of a run that takes longer than its own `max_duration_seconds`.
OVERDUE = "overdue"

RUN_FAULTS: Mapping[str, RunFault] = {
    NORMAL: RunFault(says="the agent does its work", performs=True),
    "system_failure": RunFault(
        says="FAILED by the service; says when to try again",
        ends=Status.FAILED,
        error=RunErrorBody(
            code="service_busy",
            category="SYSTEM_FAILURE",
            message="Browser crashed during execution",
            waits=True,
        ),
    ),
    "agent_failure": RunFault(
        says="FAILED for what was asked of it",
        ends=Status.FAILED,
        error=RunErrorBody(
            code="TASK_FAILED",
            category="AGENT_FAILURE",
            message="The agent could not complete the task on this page",
        ),
    ),
    "billing_failure": RunFault(
        says="FAILED for lack of credits",
        ends=Status.FAILED,
        error=RunErrorBody(
            code="INSUFFICIENT_CREDITS",
            category="BILLING_FAILURE",
            message="The account ran out of credits",
        ),
    ),
    "unknown": RunFault(
        says="FAILED, without a known reason",
        ends=Status.FAILED,
        error=RunErrorBody(code=None, category="UNKNOWN", message="An unknown error occurred"),
    ),
    OVERDUE: RunFault(
        says="FAILED for taking longer than its max_duration_seconds",
        ends=Status.FAILED,
        error=RunErrorBody(
            code="TIMEOUT",
            category="SYSTEM_FAILURE",
            message="The run exceeded its maximum duration",
            waits=True,
        ),
    ),
    "goal_failure": RunFault(
        says="COMPLETED without reaching its goal",
        result={"status": "failure", "reason": "The page does not show what the goal asks for"},
    ),
    "blocked": RunFault(
        says="COMPLETED at a bot wall",
        result={"status": "failure", "reason": "Access denied: the page shows a captcha"},
    ),
    SUSPECT: RunFault(
        says="COMPLETED with an empty list of results, which looks wrong", result={"results": []}
    ),
    "no_result": RunFault(says="COMPLETED with a result of null"),
    "wrong_shape": RunFault(
        says="COMPLETED with a result that breaks its output_schema",
        result={"answer": "see the page"},
        breaks_schema=True,
    ),
    "cancelled": RunFault(
        says="CANCELLED half-way by someone else", ends=Status.CANCELLED, part=0.5
    ),
    "stuck": RunFault(says="RUNNING until it is cancelled", ends=None),
    "lingering": RunFault(
        says="RUNNING until it is cancelled, although it has a result",
        ends=None,
        result={"name": "Brass lamp", "price": 34.5},
    ),
    "queued": RunFault(says="PENDING until it is cancelled", ends=None, starts=False),
    "made_up": RunFault(
        says="COMPLETED with a value that the page does not hold", performs=True, makes_up=True
    ),
    "misspelled": RunFault(
        says="COMPLETED, spelled `completed ` with a space", performs=True, spelled="completed "
    ),
    "expired": RunFault(
        says="ends with the status EXPIRED, which no page names",
        ends=Status.FAILED,
        spelled="EXPIRED",
    ),
    "expired_with_result": RunFault(
        says="the same, with a result",
        performs=True,
        spelled="EXPIRED",
    ),
    "expired_silently": RunFault(
        says="the same without `finished_at`: only a cancel says that it has ended",
        ends=Status.FAILED,
        spelled="EXPIRED",
        shows_end=False,
    ),
    "lost": RunFault(
        says="created, then unknown; never runs", ends=None, starts=False, known=False
    ),
}

REQUEST_FAULTS: Mapping[str, RequestFault] = {
    "rejected": RequestFault(
        says="400 that names the item", status=400, code="INVALID_INPUT", names=True
    ),
    "rejected_unnamed": RequestFault(
        says="400 that names nothing",
        status=400,
        code="INVALID_INPUT",
        message="Validation failed",
    ),
    "gated": RequestFault(
        says="403: a feature that the account does not have",
        status=403,
        code="FORBIDDEN",
        message="This feature is not enabled for this account",
    ),
    "no_credits": RequestFault(
        says="402: the wallet is empty",
        status=402,
        code="INSUFFICIENT_CREDITS",
        message="Add money to continue",
    ),
    "no_credits_legacy": RequestFault(
        says="403: an older account without credits",
        status=403,
        code="FORBIDDEN",
        message="Insufficient credits or no active subscription",
    ),
    "no_credits_forbidden": RequestFault(
        says="403 INSUFFICIENT_CREDITS: too little for the batch",
        status=403,
        code="INSUFFICIENT_CREDITS",
        message="Insufficient credits for the requested number of runs",
    ),
    "throttled": RequestFault(
        says="429 with a Retry-After", status=429, code="RATE_LIMIT_EXCEEDED", waits=True
    ),
    "rate_limited": RequestFault(
        says="429 with details: more requests in a minute than the plan allows",
        status=429,
        code="RATE_LIMIT_EXCEEDED",
        waits=True,
        details={"plan": "payg", "limit": 60, "window": "1m"},
    ),
    "over_limit": RequestFault(
        says="429: more runs than the account may have",
        status=429,
        code="RATE_LIMIT_EXCEEDED",
        waits=True,
    ),
    "over_limit_in_detail": RequestFault(
        says="the same with details that do not say so",
        status=429,
        code="RATE_LIMIT_EXCEEDED",
        waits=True,
        details={"plan": "payg", "limit": 2},
    ),
    "unavailable": RequestFault(
        says="503, nothing created",
        status=503,
        code="SERVICE_BUSY",
        message="The service is busy",
    ),
    "error_before": RequestFault(
        says="500, nothing created",
        status=500,
        code="INTERNAL_ERROR",
        message="An unexpected error occurred",
    ),
    "error_after": RequestFault(
        says="500, although the runs were created",
        status=500,
        code="INTERNAL_ERROR",
        message="An unexpected error occurred",
        creates=True,
    ),
    "throttled_after": RequestFault(
        says="429 with a Retry-After, although the runs were created",
        status=429,
        code="RATE_LIMIT_EXCEEDED",
        creates=True,
        waits=True,
    ),
    "rejected_after": RequestFault(
        says="400 that names nothing, although the runs were created",
        status=400,
        code="INVALID_INPUT",
        message="Validation failed",
        creates=True,
    ),
    "null_after": RequestFault(
        says="200 without ids and with a rate limit's error, although the runs were created",
        status=200,
        code="RATE_LIMIT_EXCEEDED",
        message="Rate limit exceeded",
        creates=True,
    ),
    "dropped_before": RequestFault(says="the connection drops, nothing created", status=None),
    "dropped_after": RequestFault(
        says="the connection drops after the runs were created", status=None, creates=True
    ),
    "hung_after": RequestFault(
        says="never an answer, although the runs were created",
        status=None,
        creates=True,
        hangs=True,
    ),
    "replayed": RequestFault(
        says="a middlebox sends it twice: twice the runs; the second answer is lost",
        status=200,
        creates=True,
        repeats=True,
    ),
}

READ_FAULTS: Mapping[str, ReadFault] = {
    "unreachable": ReadFault(
        says="502 with the page of a proxy",
        status=502,
        html="<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>",
    ),
}

ARTIFACT_FAULTS: Mapping[str, ArtifactFault] = {
    "artifact_elsewhere": ArtifactFault(says="its addresses lead to another host"),
    "artifact_redirected": ArtifactFault(says="302 to another host"),
    "artifact_traversal": ArtifactFault(says="the ids of steps are paths to parent folders"),
    "artifact_mistyped": ArtifactFault(says="an SVG with a script, whatever was requested"),
    "artifact_endless": ArtifactFault(says="64 MB of zeros, without a declared length"),
    "artifact_bomb": ArtifactFault(says="64 MB of zeros, compressed to 64 kB"),
    "artifact_truncated": ArtifactFault(says="the connection drops half-way"),
    "artifact_dripping": ArtifactFault(says="one byte per second"),
    "artifact_expired": ArtifactFault(says="its addresses have already expired: 403"),
}

_TABLES: Mapping[FaultTarget, Mapping[str, object]] = {
    FaultTarget.RUN: RUN_FAULTS,
    FaultTarget.REQUEST: REQUEST_FAULTS,
    FaultTarget.READ: READ_FAULTS,
    FaultTarget.ARTIFACT: ARTIFACT_FAULTS,
}

#: Every fault that a url, a script or a rate may name, and what it affects.
FAULTS: Mapping[str, FaultTarget] = {
    name: target for target, table in _TABLES.items() for name in table
}


def fault_target(fault: str) -> FaultTarget:
    """Return what a fault affects; raise ValueError if there is no such fault."""
    try:
        return FAULTS[fault]
    except KeyError:
        known = ", ".join(sorted(FAULTS))
        raise ValueError(f"unknown fault {fault!r}; there are {known}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultAddress:
    """The fault of a url, how many times it applies (None: always), and the escape from it."""

    fault: str
    times: int | None = None
    escape: str | None = None

    @classmethod
    def parse(cls, text: str) -> FaultAddress:
        """Parse `fault`, `fault/n` or `fault-unless-…`; raise ValueError for any other text."""
        named, _, times = text.strip("/").partition("/")
        fault, unless, escape = named.partition(UNLESS)
        target = fault_target(fault)
        if unless and (escape not in ESCAPES or target is not FaultTarget.RUN):
            raise ValueError(f"no escape from {fault}: {escape!r}; runs have {', '.join(ESCAPES)}")
        if times and not (times.isascii() and times.isdigit()):
            raise ValueError(f"not a number of times: {times!r}")
        return cls(fault=fault, times=int(times) if times else None, escape=escape or None)

    def applies(self, target: FaultTarget, nth: int) -> bool:
        """Return whether the fault applies the nth time (from 0) that such a thing happens."""
        return fault_target(self.fault) is target and (self.times is None or nth < self.times)

    def exempts(self, body: Mapping[str, Any]) -> bool:
        """Return whether a run created with this body escapes the fault."""
        return self.escape is not None and ESCAPES[self.escape].exempts(body)


def fault_address_of(url: str, script: Mapping[str, str]) -> FaultAddress | None:
    """Return the fault that a url names, by its host or by the first glob that matches it."""
    parts = urlsplit(url)
    if parts.hostname == FAULTS_HOST:
        try:
            return FaultAddress.parse(parts.path)
        except ValueError:
            return None  # any other path of that host is an ordinary page
    for glob, text in script.items():
        if fnmatchcase(url, glob):
            return FaultAddress.parse(text)
    return None


def draw_fault(target: FaultTarget, rates: Mapping[str, float], lot: float) -> str | None:
    """Return the fault at *lot* in [0, 1), where each name covers its rate; None for the rest."""
    for name, rate in rates.items():
        if fault_target(name) is target:
            if lot < rate:
                return name
            lot -= rate
    return None
