"""Starts the command line: `python -m batchrunner`."""

import os
import sys

from batchrunner.crash_report import report_crash


def main() -> None:
    """Run the command that argv names; end with a code, never with a traceback."""
    try:
        # Here, because an installation may be broken and a user may be quick with Ctrl-C.
        from batchrunner.cli.program import run_program

        code = run_program()
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        code = report_crash(error, sys.argv, os.environ)
    sys.exit(code)


if __name__ == "__main__":
    main()
