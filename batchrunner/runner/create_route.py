"""Which endpoint creates runs: run-batch, or run-async where only that works."""

from __future__ import annotations


class CreateRoute:
    """
    What the answers to creates have shown of the two endpoints.

    A gateway may pass run-async and not run-batch. After run-batch was refused, one run is created
    singly. If that works, all are, and run-batch is not tried again.
    """

    def __init__(self) -> None:
        self.batch_works = False  #: run-batch created runs
        self.singly = False  #: the next create is of one run, by run-async
        self._confirmed = False

    @property
    def trying(self) -> bool:
        """Whether the next create shows if run-async works: it is sent alone."""
        return self.singly and not self._confirmed

    def note_created(self, *, singly: bool) -> None:
        """Note which endpoint created runs."""
        self.batch_works |= not singly
        self._confirmed |= singly

    def note_refused(self, *, singly: bool) -> None:
        """Note that an endpoint does not work for any job; the other one is tried next."""
        if not self._confirmed:
            self.singly = not singly
