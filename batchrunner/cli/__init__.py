"""The commands; the only place that wires things together and reads clock, environment, argv."""

from __future__ import annotations

import click

from batchrunner.cli.lazy_group import LazyGroup

COMMANDS = {
    "init": "Write a job file to start from.",
    "run": "Load a job file, run its jobs, export the results.",
    "load": "Load a job file without running it.",
    "explain": "Say which rules answer failures, and where each was written.",
    "estimate": "Say what a job file may cost and how long it may take.",
    "status": "Show batches, their failures and what was tried again.",
    "export": "Write the results of a batch to CSV or JSONL.",
    "judge": "Judge the results of a batch again, by other rules.",
    "where": "Say where the hours and the credits of a batch went.",
    "artifacts": "Fetch and list what was captured of runs.",
    "retry": "Put failed jobs of a batch back.",
    "cancel": "Cancel jobs of a batch, their remote runs included.",
    "pause": "Submit nothing more of a batch until it is resumed.",
    "resume": "Let a paused batch go on.",
    "set": "Change how a batch is run, while it runs.",
    "runs": "List, show, cancel and adopt runs at the API.",
    "watch": "Show what a run does while it does it.",
    "vault": "List the credentials that runs may use.",
    "profiles": "List the browser profiles that runs may start from.",
    "wallet": "Show what the account has, and what a step costs.",
    "doctor": "Check whether machine, database and account are ready to run.",
    "sandbox": "Serve a stand-in for the API and sample websites on this machine.",
    "selftest": "Prove here that no job is lost and no run is paid for twice.",
}


@click.group(cls=LazyGroup, commands_by_name=COMMANDS, context_settings={"max_content_width": 100})
@click.help_option("-h", "--help")
@click.version_option(package_name="batchrunner")
def cli() -> None:
    """
    Run many (url, goal) pairs on a web-agent API: nothing lost, nothing paid twice.

    Start with `batchrunner init`, then `batchrunner run jobs.yaml --sandbox` costs nothing; without
    --sandbox the key is read from TINYFISH_API_KEY.

    \b
    Exit codes: 0 all jobs succeeded · 1 finished, some failed · 2 wrong usage or job file ·
    3 cannot start or go on (key, network, database, disk) · 4 jobs are left at --until ·
    5 the budget is used up, jobs are left · 6 what is left is on hosts that are parked ·
    7 the canary brought too little · 130 Ctrl-C · 143 terminated
    """
