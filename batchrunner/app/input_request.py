"""What to load: files, and what their columns are."""

from __future__ import annotations

import shlex
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from batchrunner.errors import UsageError
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.inputs.mapping.wording import Style
from batchrunner.inputs.tables import TableOptions

#: The path that stands for standard input.
STANDARD_INPUT = Path("-")
#: Suffixes that say how a file is packed, not what it is.
_PACKED = (".gz",)


@dataclass(frozen=True, kw_only=True)
class InputRequest:
    """Files to load as one batch: one job file, or tables with what their columns are."""

    paths: tuple[Path, ...]  #: `-` is standard input
    name: str | None = None  #: the batch's name; None: that of the job file or of the first file
    choices: ColumnChoices = field(default_factory=ColumnChoices)
    table: TableOptions = field(default_factory=TableOptions)
    output_schema: Path | None = None  #: file with the schema of all results of the tables
    skip_invalid: Path | None = None  #: where refused rows go; None: one of them refuses all
    overwrite: bool = False  #: the file for refused rows may replace one that is there
    style: Style = "option"  #: how messages name what can be said of columns

    def __post_init__(self) -> None:
        if not self.paths:
            raise UsageError("there is no file to load", next="name a job file or a table")
        for name in self.choices.both():
            raise UsageError(
                f"--{name} and --{name}-column contradict each other",
                next=f"give one of them: --{name}-column NAME is the same as --{name} '{{NAME}}'",
            )

    def command_line(self) -> str:
        """Return the files and the options that load the same, as they are given to a shell."""
        choices, table = self.choices, self.table
        options = {
            "--name": self.name,
            "--url": choices.url,
            "--url-column": choices.url_column,
            "--goal": choices.goal,
            "--goal-column": choices.goal_column,
            "--id": choices.id,
            "--id-column": choices.id_column,
            "--sheet": table.sheet,
            "--encoding": table.encoding,
            "--delimiter": table.delimiter,
            "--output-schema": None if self.output_schema is None else str(self.output_schema),
            "--skip-invalid": None if self.skip_invalid is None else str(self.skip_invalid),
        }
        given = [
            word for name, text in options.items() if text is not None for word in (name, text)
        ]
        switches = {
            "--columns-to-options": choices.to_options,
            "--no-columns-to-options": choices.to_options is False,
            "--overwrite": self.overwrite,
        }
        given += [name for name, is_on in switches.items() if is_on]
        return shlex.join([*map(str, self.paths), *given])

    def files(self) -> tuple[Path, ...]:
        """Return the files that no export may replace: those that are loaded, and refused rows."""
        others = (self.output_schema, self.skip_invalid)
        return (*self.paths, *(each for each in others if each is not None))

    @property
    def first(self) -> Path:
        """The first file, which names the batch if nothing else does."""
        return self.paths[0]


def batch_name(path: Path) -> str:
    """Return the name of a file without its suffixes, with each letter in one piece."""
    if path == STANDARD_INPUT:
        return "stdin"
    stem = Path(path.stem).stem if path.suffix.lower() in _PACKED else path.stem
    # macOS writes an accent behind its letter, and no name of a batch may have such a mark.
    return unicodedata.normalize("NFC", stem)
