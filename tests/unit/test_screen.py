"""What comes from elsewhere cannot control the terminal, whatever prints it."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click
import pytest

from batchrunner.cli import standard_streams
from batchrunner.cli.exit_codes import ShownError
from batchrunner.cli.standard_streams import guard_standard_streams, styled_stdout
from batchrunner.errors import UsageError
from batchrunner.text.terminal import screen_safe


class Screen:
    """A terminal, and all that was written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.streams: list[TextIO] = [
            os.fdopen(os.dup(slave), "w", encoding="utf-8") for _ in range(2)
        ]
        os.close(slave)

    def shown(self) -> str:
        """Return what was written since the last call, up to the end of a line."""
        shown = b""
        while not shown.endswith(b"\n") and select.select([self._master], [], [], 10)[0]:
            shown += os.read(self._master, 65536)
        return shown.decode().replace("\r", "")

    def close(self) -> None:
        """Close the terminal."""
        os.close(self._master)
        for stream in self.streams:
            stream.close()


@contextmanager
def on_a_screen() -> Iterator[Screen]:
    """Let the standard streams of this process be a terminal; pytest sets them for each phase."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", screen.streams[0])
        patch.setattr(sys, "stderr", screen.streams[1])
        patch.setattr(standard_streams, "_STYLED", {})
        guard_standard_streams()
        try:
            yield screen
        finally:
            for stream in (sys.stdout, sys.stderr, *standard_streams._STYLED.values()):
                stream.flush()
            screen.close()


#: What terminals obey: colours, titles, the clipboard, answers, erasing, overwriting, direction.
ATTACKS = {
    "colour": ("\x1b[31mred", "\\x1b[31mred"),
    "title": ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
    "clipboard": ("\x1b]52;c;cm0gLXJm\x1b\\", "\\x1b]52;c;cm0gLXJm\\x1b\\"),
    "eight-bit": ("\x9b31m", "\\x9b31m"),
    "overwriting": ("bad\rgood", "bad\\x0dgood"),
    "erasing": ("bad\b\b\bgood", "bad\\x08\\x08\\x08good"),
    "direction": ("\u202ecod.exe", "\\u202ecod.exe"),
    "form feed": ("a\x0cb\x0bc\x00d\x7f", "a\\x0cb\\x0bc\\x00d\\x7f"),
}


@pytest.mark.parametrize(("text", "shown"), ATTACKS.values(), ids=ATTACKS)
def test_every_way_to_a_terminal_shows_control_characters(text: str, shown: str) -> None:
    with on_a_screen() as screen:
        check_every_way(screen, text, shown)


def check_every_way(screen: Screen, text: str, shown: str) -> None:
    sys.stdout.write(f"{text}\n")
    assert screen.shown() == f"{shown}\n"
    click.echo(text, err=True)
    assert screen.shown() == f"{shown}\n"
    ShownError(UsageError(f"no file {text}", next=f"rm {text}")).show()
    assert screen.shown() == f"error: no file {shown}\n  tip: rm {shown}\n"
    click.UsageError(f"no file {text}").show()
    assert screen.shown() == f"Error: no file {shown}\n"
    sys.stdout.buffer.write(f"id,{text}\r\n".encode())  # as a CSV is written
    sys.stdout.buffer.flush()
    assert screen.shown() == f"id,{shown}\n"
    for byte in text.encode():
        sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"!\n")
    sys.stdout.buffer.flush()
    assert screen.shown() == f"{shown}!\n"


def test_text_for_people_and_our_own_styles_stay() -> None:
    text = "naïve\tcafé 価格 👍\n  second line\n"
    with on_a_screen() as screen:
        sys.stdout.write(text)
        assert screen.shown() == text
        click.secho("fine", fg="green", file=styled_stdout())
        assert screen.shown() == "\x1b[32mfine\x1b[0m\n"
        sys.stdout.buffer.write(b"not utf-8: \xff\n")
        sys.stdout.buffer.flush()
        assert screen.shown() == "not utf-8: \\xff\n"


def test_lines_and_tabs_are_layout_and_the_rest_is_shown() -> None:
    assert screen_safe("a\r\nb\tc\n\rd\r") == "a\r\nb\tc\n\\x0dd\\x0d"
