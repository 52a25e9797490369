"""Says in words why an audit stopped a batch, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from batchrunner.errors import CannotContinue
from batchrunner.model.audit import AuditStop, ForeignRunsFound
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

#: Run ids that are named.
MAX_NAMED = 3


def audit_stop_text(reason: AuditStop) -> str:
    """Return in one sentence what an audit found."""
    if isinstance(reason, ForeignRunsFound):
        return (
            f"the API has {counted(len(reason.run_ids), 'run')} of this batch that this database "
            f"did not start ({named(reason.run_ids)})"
        )
    return f"{reason.losses}, and `stop_loss` allows {reason.limit}"


def stopped_by_audit(
    reason: AuditStop, batch: str, *, db: str = "", files: str = "jobs.yaml"
) -> CannotContinue:
    """
    Return the error that a runner ends with after an audit stopped the batch.

    *db* is the option that names the database, with a blank before it.
    """
    audit = f"batchrunner audit {shlex.quote(batch)}{db}"
    if isinstance(reason, ForeignRunsFound):
        next = (
            "find out which: this database or another one was copied, or restored from a backup, "
            "or a colleague runs the same batch with a copy of it. None of those runs was touched. "
            f"`{audit}` lists them. To take them over, end the other runner and give "
            f"`batchrunner recover {files}{db}`"
        )
    else:
        next = (
            f"find out where they come from: `{audit}`; then raise `stop_loss` below `settings` "
            "in the job file (a share, a sum, or `never`), and run the same command again"
        )
    what = f"stopped: {audit_stop_text(reason)}"
    return CannotContinue(what, next=next, why=audit_stop_text(reason))


def named(run_ids: Sequence[str]) -> str:
    """Name the first run ids."""
    more = f" and {len(run_ids) - MAX_NAMED} more" if len(run_ids) > MAX_NAMED else ""
    return ", ".join(map(term_safe, run_ids[:MAX_NAMED])) + more
