"""`batchrunner artifacts list`: list what was captured, and where it was put."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, opened

if TYPE_CHECKING:
    from batchrunner.model.artifacts import Artifact


@click.command("list")
@click.argument("batch", required=False)
@click.option("--job", metavar="ID", help="Only artifacts of this job.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["screenshots", "html", "video"]),
    multiple=True,
    help="Only artifacts of this kind; may be given more than once.",
)
@click.option("--jsonl", is_flag=True, help="Print one JSON object per line, for programs.")
@db_option
@help_option
def command(
    batch: str | None, job: str | None, kinds: tuple[str, ...], jsonl: bool, db: str
) -> None:
    """
    List the artifacts of BATCH: stored ones with their paths, others with the reason.

    \b
    Examples:
      batchrunner artifacts list example
      batchrunner artifacts list example --jsonl | jq -r 'select(.state == "refused") | .why'
    """
    from batchrunner.app.list_artifacts import list_artifacts
    from batchrunner.cli.output.batch_text import artifact_lines
    from batchrunner.model.artifacts import ArtifactKind

    with opened(db) as store:
        found = batch_of(store, batch)
        listed = False
        chosen = [ArtifactKind(kind) for kind in kinds]
        for artifact in list_artifacts(store, found, job, chosen):
            click.echo(json.dumps(_as_json(artifact)) if jsonl else _line(artifact))
            listed = True
        if not listed:
            click.echo(f"no artifacts of {found.name!r} are known", err=True)
        if not jsonl:
            for line in artifact_lines(store, found):
                click.echo(line, err=True)


def _as_json(artifact: Artifact) -> dict[str, Any]:
    values = asdict(artifact)
    values["why"] = values.pop("reason")
    return values


def _line(artifact: Artifact) -> str:
    from batchrunner.text.terminal import term_safe

    what = f"{artifact.key}  attempt {artifact.number}  {artifact.kind}"
    step = f" of step {artifact.step}" if artifact.step else ""
    where = artifact.path or (f"{artifact.state}: {artifact.reason}" if artifact.reason else None)
    return term_safe(f"{what}{step}  {where or artifact.state}")
