"""The exceptions of the store: a database that cannot be used, a lease that was lost."""

from __future__ import annotations


class StoreError(Exception):
    """The database cannot be used; says why, and what the user can do."""

    def __init__(
        self, message: str, next: str, *, passing: bool = False, command: str = ""
    ) -> None:
        super().__init__(f"{message}; {next}")
        self.message = message
        self.next = next
        self.command = command  #: what puts it right, or finds out, alone on a line
        self.where = ""  #: the file, or the address without its password; set by the database
        self.passing = passing  #: the same call may succeed later


class LeaseLost(Exception):
    """Another process ended this owner, because its lease expired, and continues its jobs."""


class OwnerForgotten(LeaseLost):
    """The database does not know this owner: its content was replaced by another one."""


class KeyReplaced(Exception):
    """The batch's keys were replaced by another account's since this runner began."""
