"""`batchrunner artifacts fetch`: fetch what was captured of ended runs into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from batchrunner.cli.exit_codes import ALL_SUCCEEDED, SOME_FAILED
from batchrunner.cli.options import api_options, batch_of, db_option, help_option, note, opened


@click.command("fetch")
@click.argument("batch", required=False)
@click.option("--job", metavar="ID", help="Only artifacts of this job.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["screenshots", "html", "video"]),
    multiple=True,
    help="Only artifacts of this kind; may be given more than once.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="The target folder; it is created if it does not exist.",
)
@api_options
@db_option
@help_option
def command(
    batch: str | None,
    job: str | None,
    kinds: tuple[str, ...],
    output: Path,
    db: str,
    **given: Any,
) -> None:
    """
    Download artifacts of ended runs of BATCH that are not stored yet.

    Stored artifacts are not downloaded again. The exit code is 1 if something is left: then give
    the same command again.

    \b
    Examples:
      batchrunner artifacts fetch example -o captured
      batchrunner artifacts fetch example --job lamp --kind video -o captured
    """
    from batchrunner.app.api_call import api_of
    from batchrunner.app.fetch_artifacts import checked_folder, fetch_artifacts
    from batchrunner.cli.output.batch_text import artifact_lines
    from batchrunner.model.artifacts import ArtifactKind
    from batchrunner.text.terminal import term_safe

    chosen = [ArtifactKind(kind) for kind in kinds]
    with opened(db) as store:
        found = batch_of(store, batch)
        folder = checked_folder(output)
        with api_of(db=db, **given) as api:
            result = fetch_artifacts(store, found, api, folder, key=job, kinds=chosen, say=note)
        for line in artifact_lines(store, found):
            click.echo(line, err=True)
    if not result.is_complete:
        click.echo(f"some are left: {term_safe(result.trouble or 'not asked for')}", err=True)
    raise SystemExit(ALL_SUCCEEDED if result.is_complete else SOME_FAILED)
