"""The error for a setting of the network that cannot be used."""

from __future__ import annotations


class NetworkSettingsError(Exception):
    """A variable names a proxy or certificates that cannot be used: why, and what to do."""

    def __init__(self, what: str, *, next: str, variable: str, command: str = "") -> None:
        super().__init__(what)
        self.what = what  #: names the variable; never shows a password
        self.next = next
        self.variable = variable
        self.command = command or f"unset {variable}"  #: alone on a line
