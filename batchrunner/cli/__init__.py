"""The command line: its commands, options and texts; a client of the use cases in `app`."""

from __future__ import annotations

import click

from batchrunner.cli.lazy_group import LazyGroup

COMMANDS = {
    "init": "Write a job file to start from.",
    "run": "Load a job file, run its jobs, export the results.",
    "load": "Load a job file without running it.",
    "plan": "Show what a job file would change, cost and take, before anything is run.",
    "explain": "Show which rules apply to failures, and where each was written.",
    "estimate": "Estimate what a job file may cost and how long it may take.",
    "status": "Show batches, their failures and what was retried.",
    "export": "Write the results of a batch to a file.",
    "result": "Print one result as the API sent it.",
    "quality": "Say in one word whether the rows of a batch are usable.",
    "diff": "Compare two editions, batches or files: what is new, gone or changed.",
    "review": "Accept or reject results one by one; the judge learns from it.",
    "grounding": "Show which values of the results are in the pages that their runs saw.",
    "judge": "Judge the results of a batch again, by other rules.",
    "audit": "Compare a batch with the API's own list of runs.",
    "where": "Show where the hours and the credits of a batch went.",
    "artifacts": "Download and list screenshots, HTML and video of runs.",
    "retry": "Put failed jobs of a batch back in the queue.",
    "recover": "Rebuild a lost database from the runs that the API has.",
    "cancel": "Cancel jobs of a batch, including their runs at the API.",
    "pause": "Stop submitting jobs of a batch until it is resumed.",
    "resume": "Continue a paused batch.",
    "set": "Change the concurrency or budget of a batch while it runs.",
    "runs": "List, show, cancel and adopt runs at the API.",
    "watch": "Show the steps of a run as they happen.",
    "vault": "List the credentials that runs may use.",
    "profiles": "List the browser profiles that runs may start from.",
    "wallet": "Show what the account has, and what a step costs.",
    "compact": "Give the disk back what a database does not use any more.",
    "doctor": "Check whether the machine, the database and the account are ready.",
    "sandbox": "Serve a stand-in for the API and sample websites on this machine.",
    "selftest": "Prove on this machine that no job is lost and no run is paid for twice.",
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS, context_settings={"max_content_width": 100})
@click.help_option("-h", "--help")
@click.version_option(package_name="batchrunner")
def cli() -> None:
    """
    Run many (url, goal) pairs on a web-agent API: nothing lost, nothing paid twice.

    Start with `batchrunner init`, then `batchrunner run jobs.yaml --sandbox`, which costs nothing.
    Without --sandbox, the key is read from TINYFISH_API_KEY.

    \b
    Exit codes: 0 all jobs succeeded · 1 finished, some failed · 2 wrong usage or job file, or
    your decision is needed · 3 cannot start or continue (key, network, database, disk) ·
    4 jobs are left at --until · 5 the budget is used up, jobs are left · 6 what is left is on
    hosts that are parked · 7 the canary failed · 8 the rows are bad, or too few are good ·
    70 a mistake in batchrunner · 129 hung up · 130 Ctrl-C · 141 nobody reads the output ·
    143 terminated
    """
