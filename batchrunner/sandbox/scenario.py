"""The configuration of a sandbox: how long runs take, which faults they meet, what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import NormalDist

from batchrunner.sandbox import api_variants
from batchrunner.sandbox.faults import FaultAddress, FaultTarget, fault_target
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.sandbox.visibility import Visibility

#: Fewest and most steps of a run that ends without the agent.
_STEPS = (3, 12)


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """What a sandbox does, apart from requests and time.

    `durations` are the shortest and longest run in seconds. Between them durations are
    log-normal, as those of real runs: the median is their geometric mean, and one run in twenty
    touches a bound. `limit` is how many runs the account may have RUNNING; more wait as PENDING,
    first come, first served. `rates` gives the share of runs (or of create requests, reads or
    artifacts) that meet a fault. `script` maps globs of urls to `fault`, `fault/n` or
    `fault-unless-escape`, and goes before `rates`. `credits` is the balance at the beginning;
    without it the account has no wallet and never runs out of credits. `deposits` are paid in
    later: seconds after the account was opened, and amount. `late` is how many seconds a new run
    is missing from the list of runs, and `visibility` says what else is not shown. With `apart`,
    each key is a separate account that knows only its own runs. `variants` chooses answers that the
    API's sources leave open, by the names in `VARIANTS`.
    """

    seed: int = 0
    durations: tuple[float, float] = (15.0, 300.0)
    limit: int | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    script: Mapping[str, str] = field(default_factory=dict)
    retry_after: float = 30.0
    price: Decimal = Decimal("0.016")
    credits: Decimal | None = None
    deposits: tuple[tuple[float, Decimal], ...] = ()
    late: float = 0.0
    visibility: Visibility = field(default_factory=Visibility)
    apart: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shortest, longest = self.durations
        if not 0 < shortest <= longest < math.inf:
            raise ValueError(f"durations must be two numbers above 0 in order: {self.durations}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be 1 or more: {self.limit}")
        self._check_wallet()
        api_variants.check_variants(self.variants)
        for text in self.script.values():
            FaultAddress.parse(text)
        for target in FaultTarget:
            rates = [rate for name, rate in self.rates.items() if fault_target(name) is target]
            if sum(rates) > 1 or any(rate < 0 for rate in rates):
                raise ValueError(f"the rates of {target} faults must be shares of 1: {rates}")

    def _check_wallet(self) -> None:
        if self.deposits and self.credits is None:
            raise ValueError("deposits need credits: without them the account has no wallet")
        for seconds, amount in self.deposits:
            if not (0 <= seconds < math.inf and amount.is_finite() and amount > 0):
                raise ValueError(f"a deposit must be an amount above 0 in 0 s or more: {amount}")
        if self.credits is not None and not self.credits.is_finite():
            raise ValueError(f"credits must be an amount: {self.credits}")

    def duration(self, url: str, nth: int) -> float:
        """Return how many seconds the nth run (from 0) of a url takes.

        It follows from the url and not from the order of arrival, so that a job's first run takes
        the same time whatever ran before it. Whole milliseconds, as the API's timestamps have.
        """
        shortest, longest = (math.log(bound) for bound in self.durations)
        lot = seeded_share(self.seed, "duration", url, nth)
        sigma = (longest - shortest) / 4 or 1.0  # where the bounds meet, any will do but 0
        spread = NormalDist(mu=(shortest + longest) / 2, sigma=sigma)
        drawn = spread.inv_cdf(min(max(lot, 1e-9), 1 - 1e-9))
        return max(round(math.exp(min(max(drawn, shortest), longest)), 3), 0.001)

    def steps(self, run_id: str) -> int:
        """Return how many steps a run takes that ends without the agent."""
        minimum, maximum = _STEPS
        return minimum + int(seeded_share(self.seed, "steps", run_id) * (maximum - minimum + 1))

    def credited(self, seconds: float) -> Decimal | None:
        """Return what was paid in so many seconds after the account was opened; None: no wallet."""
        if self.credits is None:
            return None
        paid_in = [amount for at, amount in self.deposits if at <= seconds]
        return self.credits + sum(paid_in)

    def answers(self, variant: str) -> str:
        """Return the answer chosen for a variant, or its usual answer."""
        return self.variants.get(variant) or api_variants.VARIANTS[variant].usual

    @property
    def retry_after_seconds(self) -> int:
        """The `retry_after` as the API sends it, in whole seconds."""
        return math.ceil(self.retry_after)
