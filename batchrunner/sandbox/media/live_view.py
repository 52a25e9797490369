"""The live view of a run: a page that shows its status and reloads itself."""

from __future__ import annotations

from datetime import datetime
from html import escape

from batchrunner.sandbox.journal import SandboxRun

#: Seconds between two reloads of the page.
_RENEWED = 2

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{renewal}<title>{status}: run {run_id}</title>
<style>body {{ font: 16px sans-serif; margin: 2em }} dt {{ color: #666 }}</style>
</head>
<body>
<h1>{status}</h1>
<dl>
<dt>Run</dt><dd>{run_id}</dd>
<dt>Page</dt><dd>{url}</dd>
<dt>Goal</dt><dd>{goal}</dd>
<dt>Running for</dt><dd>{seconds:.0f} s</dd>
</dl>
</body>
</html>
"""


def live_page(run: SandboxRun, now: datetime) -> bytes:
    """Return the page of a run that was started; goal and url are text, never markup."""
    ends = run.finished_at or now
    return _PAGE.format(
        renewal="" if run.finished_at else f'<meta http-equiv="refresh" content="{_RENEWED}">\n',
        status=run.status.value,
        run_id=run.run_id,
        url=escape(run.url),
        goal=escape(run.goal),
        seconds=(ends - (run.started_at or ends)).total_seconds(),
    ).encode("utf-8", "replace")
