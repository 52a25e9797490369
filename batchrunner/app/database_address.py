"""Where a database is, without showing its password."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchrunner.store.address import redacted


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where a database is, and the API that its batches use; None: as the environment says."""

    address: str = field(repr=False)  # may have a password
    api_url: str | None = None
    api_key: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Show the addresses without passwords, and no key."""
        api = None if self.api_url is None else redacted(self.api_url)
        return f"DatabaseAddress(address={redacted(self.address)!r}, api_url={api!r})"
