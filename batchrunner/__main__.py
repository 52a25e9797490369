"""Starts the command line: `python -m batchrunner`."""

import sys

from batchrunner.cli import cli
from batchrunner.cli.exit_codes import ShownError
from batchrunner.cli.standard_streams import guard_standard_streams
from batchrunner.errors import BatchrunnerError


def main() -> None:
    """Run the command that argv names."""
    guard_standard_streams()
    try:
        cli(prog_name="batchrunner")
    except BatchrunnerError as error:  # raised before a command began, as by --help
        shown = ShownError(error)
        shown.show()
        sys.exit(shown.exit_code)


if __name__ == "__main__":
    main()
