"""Starts the command line: `python -m batchrunner`."""

from batchrunner.cli import cli


def main() -> None:
    """Run the command that argv names."""
    cli(prog_name="batchrunner")


if __name__ == "__main__":
    main()
