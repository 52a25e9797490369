"""Lines for people: on a terminal they are folded at words, elsewhere left as they are."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

import click

#: A command to the end of its line: with a line end in it, it could not be pasted.
_COMMAND = re.compile(r"\bbatchrunner .*")
_NO_BREAK = "\xa0"


def say(line: str, *, err: bool = False) -> None:
    """Write a line of safe text."""
    if (sys.stderr if err else sys.stdout).isatty():
        line = folded(line, shutil.get_terminal_size().columns)
    click.echo(line, err=err)


def folded(line: str, width: int) -> str:
    """Fold a line at its words, but in no command; what is longer than *width* stays whole."""
    kept = _COMMAND.sub(lambda command: command.group().replace(" ", _NO_BREAK), line)
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    parts = textwrap.wrap(
        kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts).replace(_NO_BREAK, " ")
