"""The stop-loss: how much a batch may lose to orphans and lost runs before it stops; pure."""

from __future__ import annotations

from decimal import Decimal

from batchrunner.model import Budget, Rate, StopLoss
from batchrunner.model.audit import Losses, StopLossReached
from batchrunner.text.format import counted

#: Orphans and lost runs that stop no batch by their share: in a small batch, a few are bad luck.
MIN_LOST_RUNS = 10


def stop_loss_reached(rule: StopLoss, losses: Losses, rate: Rate | None) -> StopLossReached | None:
    """Return why a batch must stop; None while its orphans and lost runs are within the rule."""
    lost = losses.orphans + losses.lost
    allowed = max(int((rule.share or 0) * losses.runs), MIN_LOST_RUNS)
    if rule.share is not None and lost > allowed:
        percent = f"{Decimal(lost) / losses.runs:.1%}" if losses.runs else "all"
        return StopLossReached(
            losses=f"{counted(lost, 'run')} of {losses.runs} are orphans or lost ({percent})",
            limit=str(StopLoss(share=rule.share)),
        )
    steps = losses.steps + losses.unbilled * losses.typical
    if rule.cost is None or not _exceeds(steps, rule.cost, rate):
        return None
    about = "" if losses.unbilled == 0 else "about "
    what = f"{counted(lost, 'run')} that are orphans or lost cost {about}{_said(steps, rate)}"
    return StopLossReached(losses=what, limit=str(rule.cost))


def _exceeds(steps: int, cost: Budget, rate: Rate | None) -> bool:
    if cost.steps is not None:
        return steps > cost.steps
    return cost.money is not None and rate is not None and steps * rate.amount > cost.money


def _said(steps: int, rate: Rate | None) -> str:
    return f"{steps} steps" + ("" if rate is None else f" (${steps * rate.amount:.2f})")
