"""Variants of the API: one row for each question on which its sources differ or are silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A question about the API; each answer has a name and a sentence, the usual answer first."""

    asks: str
    answers: Mapping[str, str]

    @property
    def usual(self) -> str:
        """The answer unless the config names another."""
        return next(iter(self.answers))


VARIANTS: Mapping[str, Variant] = {
    "over_limit": Variant(
        asks="a create request above the concurrency limit",
        answers={
            "queued": "its runs wait as PENDING",
            "refused": "429, nothing created",
            "refused_in_detail": "429 with `details`, nothing created",
        },
    ),
    "retry_after": Variant(
        asks="a 429", answers={"sent": "has a Retry-After", "missing": "has none"}
    ),
    "run_batch": Variant(
        asks="run-batch", answers={"offered": "exists", "missing": "does not exist: 404"}
    ),
    "run_ids": Variant(
        asks="the ids that run-batch returns",
        answers={"as_sent": "in the order of the runs", "reversed": "in another order"},
    ),
    "batch_error": Variant(
        asks="a refusal by run-batch",
        answers={
            "beside": "the envelope, and `run_ids: null` beside it",
            "plain": "the envelope alone",
            "listed": "a list under `errors`, with the index of each run",
            "ok": "status 200, with `run_ids: null`",
        },
    ),
    "envelope": Variant(
        asks="an error",
        answers={
            "nested": "`error` with `code` and `message`",
            "flat": "`error_code`, `message` and `request_id` at the top",
        },
    ),
    "no_credits": Variant(
        asks="a create request that an empty wallet cannot pay",
        answers={
            "402": "402 INSUFFICIENT_CREDITS",
            "403": "403 FORBIDDEN",
            "403_credits": "403 INSUFFICIENT_CREDITS",
        },
    ),
    "failed_runs": Variant(
        asks="steps of a FAILED run", answers={"charged": "are charged", "free": "are not"}
    ),
    "sync_status": Variant(
        asks="a failed run of `/run`",
        answers={"200": "200 with the run", "500": "500 with the run"},
    ),
    "sync_cancel": Variant(
        asks="a cancel of a run of `/run`",
        answers={"refused": "400; not found in a batch", "done": "it is cancelled"},
    ),
    "stream_start": Variant(
        asks="STARTED of run-sse",
        answers={"at_once": "when the run is created", "running": "when it runs"},
    ),
    "stream_error": Variant(
        asks="`error` of COMPLETE", answers={"object": "an object", "text": "its message"}
    ),
    "names": Variant(
        asks="names of keys",
        answers={
            "snake": "`streaming_url`, `help_url`, `run_id`, `result`",
            "camel": "`streamingUrl`, `helpUrl`; in events also `runId` and `resultJson`",
        },
    ),
    "run_error": Variant(
        asks="`error` of a FAILED run",
        answers={"full": "all of it", "bare": "its message alone"},
    ),
    "failure_wait": Variant(
        asks="`retry_after` of a SYSTEM_FAILURE",
        answers={"sent": "is a number", "null": "is null", "missing": "is not there"},
    ),
    "run_help": Variant(
        asks="`help_url` and `help_message`",
        answers={
            "none": "are not sent",
            "error": "are in the error of a FAILED run",
            "beside": "are beside that error, in runs and in COMPLETE",
        },
    ),
    "profile_hint": Variant(
        asks="`profile_hint`",
        answers={"absent": "is not sent", "shown": "is in runs that a wall stopped"},
    ),
    "result_error": Variant(
        asks="`error` of a COMPLETED run",
        answers={"null": "is null", "beside": "is an object beside its result"},
    ),
    "error_code": Variant(
        asks="`code` of that error",
        answers={
            "mixed": "as the sources show it",
            "lower": "in lower case",
            "upper": "in upper case",
        },
    ),
    "result": Variant(
        asks="`result`",
        answers={
            "object": "an object",
            "text": "JSON as text",
            "nested": "an object one level deeper",
        },
    ),
    "steps_so_far": Variant(
        asks="`num_of_steps` of a RUNNING run",
        answers={"null": "null", "list": "a list of its steps"},
    ),
    "schema_validation": Variant(
        asks="`schema_validation`", answers={"shown": "in runs", "absent": "not in them"}
    ),
    "profile_keys": Variant(
        asks="`profile_attached` and `profile_id`",
        answers={"shown": "in runs", "absent": "not in them"},
    ),
    "listed_runs": Variant(
        asks="runs in the list",
        answers={"full": "have all keys but steps and video", "short": "have six keys"},
    ),
    "data_order": Variant(
        asks="`data` of runs/batch",
        answers={
            "by_id": "by id",
            "as_asked": "in the order of the request",
            "reversed": "in reverse order",
        },
    ),
    "repeated_ids": Variant(
        asks="an id that a runs/batch request has twice",
        answers={"once": "shown once", "each": "shown twice"},
    ),
    "odd_ids": Variant(
        asks="an id that no run could have, in a list of ids",
        answers={"not_found": "not found", "refused": "400"},
    ),
    "bounds": Variant(
        asks="`created_after` and `created_before`",
        answers={"exclusive": "without the instant itself", "inclusive": "with it"},
    ),
    "goal_search": Variant(
        asks="`%` and `_` in a search for goals",
        answers={"literal": "are literal", "pattern": "match any text, any character"},
    ),
    "goal_case": Variant(
        asks="capital letters in a search for goals",
        answers={"ignored": "are like small ones", "compared": "are not like small ones"},
    ),
    "goal_length": Variant(
        asks="a goal of more than 500 characters",
        answers={"any": "is accepted", "limited": "400"},
    ),
    "unknown_keys": Variant(
        asks="an unknown key in a create request",
        answers={"refused": "400", "ignored": "ignored"},
    ),
    "proxy_countries": Variant(
        asks="`country_code`", answers={"any": "any two letters", "seven": "US GB CA DE FR JP AU"}
    ),
    "beta": Variant(
        asks="options in beta, and gated ones", answers={"in": "work", "out": "are refused: 403"}
    ),
    "run_timeout": Variant(
        asks="a long run",
        answers={"none": "has no limit", "ten_minutes": "FAILED after ten minutes"},
    ),
    "captures": Variant(
        asks="screenshots of a run that did not ask for them",
        answers={"none": "are not kept", "screenshots": "are kept"},
    ),
    "screenshots": Variant(
        asks="`screenshot` if the query does not choose",
        answers={"url": "an address", "none": "null"},
    ),
    "step_addresses": Variant(
        asks="addresses of screenshots and HTML",
        answers={"session": "need a login's cookie", "signed": "are signed, for 15 minutes"},
    ),
    "live_view": Variant(
        asks="`streaming_url`",
        answers={"running": "works while the run is active", "day": "24 hours longer"},
    ),
    "webhook_url": Variant(
        asks="a webhook's address", answers={"https": "must be https", "http": "may be http"}
    ),
    "wallet": Variant(
        asks="the wallet",
        answers={"full": "has all keys", "short": "has no reload, top-up or rates"},
    ),
    "vault": Variant(
        asks="the vault",
        answers={
            "connected": "has one connection and two items",
            "none": "has no connection",
            "expired": "has an expired connection",
            "down": "is unavailable: 503",
        },
    ),
    "profiles": Variant(
        asks="browser profiles", answers={"one": "one, the default", "none": "none"}
    ),
}


def check_variants(chosen: Mapping[str, str]) -> None:
    """Raise ValueError for a variant that does not exist, or that has no such answer."""
    for name, answer in chosen.items():
        if name not in VARIANTS:
            raise ValueError(f"unknown variant {name!r}; there are {', '.join(sorted(VARIANTS))}")
        if answer not in VARIANTS[name].answers:
            known = ", ".join(VARIANTS[name].answers)
            raise ValueError(f"no such answer to {name}: {answer!r}; there are {known}")
