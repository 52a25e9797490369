"""Writes lines for people; on a terminal they are wrapped between words."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

import click

#: A command up to the end of its line: with a line end inside, it could not be pasted.
_COMMAND = re.compile(r"\bbatchrunner .*")
_NO_BREAK = "\xa0"


def say(line: str, *, err: bool = False) -> None:
    """Write a line of safe text, wrapped if the output is a terminal."""
    if (sys.stderr if err else sys.stdout).isatty():
        line = folded(line, shutil.get_terminal_size().columns)
    click.echo(line, err=err)


def folded(line: str, width: int) -> str:
    """Wrap a line between words, but not inside a command; a longer word stays whole."""
    unbroken = _COMMAND.sub(lambda command: command.group().replace(" ", _NO_BREAK), line)
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    parts = textwrap.wrap(
        unbroken, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts).replace(_NO_BREAK, " ")
