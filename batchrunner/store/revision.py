"""How a database of ours is recognised, and which revision of the schema this program has."""

from __future__ import annotations

#: The revision of the newest migration. A test compares it with the migrations.
HEAD = "0017"
#: Marks an SQLite file as ours ("brn1"), so that we never write to another program's file.
APPLICATION_ID = 0x62726E31
