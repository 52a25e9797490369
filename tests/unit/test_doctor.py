"""What the checks make of facts: each is fine, a warning or bad, and names what helps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from batchrunner.app.doctor import (
    Facts,
    Finding,
    Mark,
    check_api,
    check_file,
    check_machine,
    check_server,
    check_store,
    findings,
    summary,
)
from batchrunner.app.doctor.check_file import FileKind, file_system_of, kind_of, uses_wal
from batchrunner.model import ApiFault, ApiFaultKind, Owner
from batchrunner.store.batch_reads import Worker
from batchrunner.store.health import ForeignChanges, Health, OpenWork, Server
from batchrunner.text.format import byte_size

NOW = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)
OURS = 0x62726E31
GIGABYTE = 1_000_000_000

MACHINE = check_machine.MachineFacts(
    batchrunner="0.1.0",
    python="3.11.7",
    sqlalchemy="2.0.40",
    sqlite="3.40.1",
    now=NOW,
    open_files=1024,
    has_proc=True,
)
FILE = check_file.FileFacts(
    path="batchrunner.db",
    folder="/home/me",
    kind=FileKind.OURS,
    bytes=100_000,
    file_system="ext4",
    free=50 * GIGABYTE,
)
HEALTH = Health(revision="0001", server=None, journal_mode="truncate", synchronous=2)
STORE = check_store.StoreFacts(
    path="batchrunner.db", head="0001", health=HEALTH, inconsistencies={}
)
SERVER = Server(
    version="16.2", near=False, encrypted=True, may_create=True, ahead=timedelta(seconds=1)
)
API = check_api.ApiFacts(
    origin="https://api.test",
    key_from="from TINYFISH_API_KEY",
    seconds=0.2,
    ahead=timedelta(seconds=-1),
)
FACTS = Facts(db="", machine=MACHINE, file=FILE, store=STORE, api=API)


def worker(id: str = "alice", *, in_flight: int = 3, leased: bool = True) -> Worker:
    return Worker(
        owner=Owner(id=id, machine="night boot pid", pid=4711, process_started_at="1"),
        since=NOW,
        silent=timedelta(seconds=3),
        leased=leased,
        in_flight=in_flight,
    )


def found(facts: Facts) -> dict[str, Finding]:
    """Return the findings by what they are about."""
    return {each.about: each for part in findings(facts).values() for each in part}


def with_file(**facts: object) -> dict[str, Finding]:
    return found(replace(FACTS, file=replace(FILE, **facts)))


def with_health(**facts: object) -> dict[str, Finding]:
    return found(replace(FACTS, store=replace(STORE, health=replace(HEALTH, **facts))))


def with_store(**facts: object) -> dict[str, Finding]:
    return found(replace(FACTS, store=replace(STORE, **facts)))


def with_api(**facts: object) -> dict[str, Finding]:
    return found(replace(FACTS, api=replace(API, **facts)))


def marks(every: dict[str, Finding]) -> set[tuple[str, Mark]]:
    return {(about, each.mark) for about, each in every.items() if each.mark is not Mark.OK}


# ---- all of it ----


def test_where_all_is_well_nothing_is_to_be_done_and_each_line_fits_a_terminal() -> None:
    every = found(FACTS)
    assert marks(every) == set()
    assert [each.fix for each in every.values() if each.fix] == []
    assert max(len(each.found) for each in every.values()) <= 76
    assert summary(findings(FACTS)).found == "ready to run"


def test_the_verdict_counts_what_is_bad_and_what_is_a_warning() -> None:
    warned = replace(FACTS, file=replace(FILE, mode=0o644))
    assert summary(findings(warned)).found == "ready to run, with 1 warning"
    spoilt = replace(warned, store=replace(STORE, inconsistencies={"a rule": 2}))
    end = summary(findings(spoilt))
    assert (end.mark, end.found) == (Mark.BAD, "not ready to run: 1 bad, 1 warning")


def test_whatever_is_not_ok_comes_with_a_command() -> None:
    worst = Facts(
        db=" --db my.db",
        machine=replace(MACHINE, open_files=64, now=NOW.replace(year=1970)),
        file=replace(FILE, mode=0o666, free=None, file_system="nfs4", journal=5, journal_now=5),
        store=replace(
            STORE,
            health=replace(HEALTH, revision="0000", workers=(worker(leased=False),)),
            inconsistencies={"a rule": 1},
            trouble="it is locked",
        ),
        api=replace(API, ahead=timedelta(hours=1)),
    )
    every = [each for each in found(worst).values() if each.mark is not Mark.OK]
    assert len(every) == 11
    assert all(each.fix for each in every)
    assert "\n" not in "".join(each.found + (each.fix or "") for each in every)


# ---- this machine ----


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("4.0.0", False),
    ],
)
def test_the_wal_reset_race_is_recognized_by_the_version(version: str, affected: bool) -> None:
    assert check_machine.has_wal_race(version) is affected


def test_an_affected_sqlite_is_named_with_what_contains_the_race() -> None:
    said = found(FACTS)["journal_mode"].found
    assert said == "SQLite 3.40.1 has the WAL-reset race; contained: journal truncate, sync FULL"
    new = replace(FACTS, machine=replace(MACHINE, sqlite="3.51.3"))
    assert found(new)["journal_mode"].found == "journal truncate, sync FULL"
    nothing = replace(FACTS, store=None, file=replace(FILE, kind=FileKind.NOTHING))
    assert "contained: a rollback journal" in found(nothing)["journal_mode"].found


@pytest.mark.parametrize("year", [1970, 2025, 2100])
def test_a_clock_that_cannot_be_right_is_a_warning(year: int) -> None:
    facts = replace(FACTS, machine=replace(MACHINE, now=NOW.replace(year=year)))
    assert marks(found(facts)) == {("clock", Mark.WARNING)}


@pytest.mark.parametrize(("files", "few"), [(None, False), (128, False), (127, True)])
def test_too_few_open_files_are_a_warning(files: int | None, few: bool) -> None:
    facts = replace(FACTS, machine=replace(MACHINE, open_files=files))
    assert marks(found(facts)) == ({("open_files", Mark.WARNING)} if few else set())


def test_without_proc_the_dead_are_noticed_later() -> None:
    facts = replace(FACTS, machine=replace(MACHINE, has_proc=False))
    assert "within 60 s" in found(facts)["proc"].found


# ---- the file ----


def header(mark: int = OURS, pages: int = 9, write: int = 1) -> bytes:
    head = bytearray(100)
    head[:16] = b"SQLite format 3\0"
    head[18:20] = bytes([write, write])
    head[28:32] = pages.to_bytes(4)
    head[68:72] = mark.to_bytes(4)
    return bytes(head)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", FileKind.EMPTY),
        (b"Dear diary", FileKind.NO_DATABASE),
        (header()[:50], FileKind.NO_DATABASE),
        (header(), FileKind.OURS),
        (header(mark=0, pages=1), FileKind.EMPTY),
        (header(mark=0, pages=2), FileKind.FOREIGN),
        (header(mark=7, pages=1), FileKind.FOREIGN),
    ],
)
def test_a_file_is_recognized_by_its_first_bytes(head: bytes, kind: FileKind) -> None:
    assert kind_of(head, OURS) is kind


def test_a_file_in_wal_mode_is_recognized_by_its_first_bytes() -> None:
    assert uses_wal(header(write=2))
    assert not uses_wal(header())
    assert not uses_wal(b"")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"kind": FileKind.FOLDER}, "is a folder"),
        ({"kind": FileKind.UNREADABLE}, "may not be read"),
        ({"kind": FileKind.NO_DATABASE}, "is not an SQLite file"),
        ({"kind": FileKind.FOREIGN}, "another program's database"),
        ({"folder_trouble": "Read-only file system"}, "no file can be made in /home/me: Read-only"),
        ({"writable": False}, "may not be written to"),
        ({"lost": "the database prices.db is gone"}, "is gone"),
    ],
)
def test_a_file_that_cannot_be_used_is_bad(facts: dict[str, object], words: str) -> None:
    every = with_file(**facts)
    assert marks(every) == {("file", Mark.BAD)}
    assert words in every["file"].found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FileKind.NOTHING, "not there yet: the first run makes it"),
        (FileKind.EMPTY, "is empty"),
        (FileKind.OURS, "(100 KB)"),
    ],
)
def test_a_file_that_can_be_used_is_fine(kind: FileKind, words: str) -> None:
    every = with_file(kind=kind)
    assert marks(every) == set()
    assert words in every["file"].found


def test_a_database_that_was_switched_to_wal_is_bad_whatever_sqlite_it_meets() -> None:
    every = with_file(uses_wal=True)
    assert marks(every) == {("journal_mode", Mark.BAD)}
    assert "SQLite 3.40.1 can corrupt" in every["journal_mode"].found
    new = replace(
        FACTS,
        file=replace(FILE, uses_wal=True),
        machine=replace(MACHINE, sqlite="3.51.3"),
    )
    assert found(new)["journal_mode"].mark is Mark.BAD
    assert "corrupt" not in found(new)["journal_mode"].found


@pytest.mark.parametrize("facts", [{"journal_mode": "wal"}, {"synchronous": 1}])
def test_a_database_that_is_opened_without_care_is_bad(facts: dict[str, object]) -> None:
    assert marks(with_health(**facts)) == {("journal_mode", Mark.BAD)}


@pytest.mark.parametrize(("mode", "open_"), [(0o600, False), (0o400, False), (0o640, True)])
def test_a_file_that_others_may_read_is_a_warning(mode: int, open_: bool) -> None:
    every = with_file(mode=mode)
    assert marks(every) == ({("mode", Mark.WARNING)} if open_ else set())
    if open_:
        assert every["mode"].fix == "chmod 600 batchrunner.db"


def test_a_path_with_blanks_is_quoted_in_commands() -> None:
    assert with_file(mode=0o644, path="my ledger.db")["mode"].fix == "chmod 600 'my ledger.db'"


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        *[(name, Mark.OK) for name in ("ext4", "xfs", "btrfs", "zfs", "overlay", "apfs", None)],
        *[
            (name, Mark.WARNING)
            for name in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "tmpfs")
        ],
    ],
)
def test_a_file_system_without_locks_or_memory_is_a_warning(name: str | None, mark: Mark) -> None:
    assert with_file(file_system=name)["file_system"].mark is mark


MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /home rw - btrfs /dev/vdb rw
31 30 0:41 / /home/me/far\040away rw - nfs4 server:/export rw
32 27 0:42 / /mnt rw - ext4 /dev/vdc rw
33 27 0:43 / /mnt rw - fuse.sshfs me@host: rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/lib", "ext4"),
        ("/home", "btrfs"),
        ("/home/me", "btrfs"),
        ("/homeless", "ext4"),
        ("/home/me/far away/db", "nfs4"),
        ("/mnt/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_innermost_mount(path: str, name: str) -> None:
    assert file_system_of(path, MOUNTS) == name


def test_where_no_mounts_are_known_no_file_system_is() -> None:
    assert file_system_of("/home", "") is None


def test_a_journal_without_its_database_is_bad() -> None:
    every = with_file(kind=FileKind.NOTHING, journal=512)
    assert marks(every) == {("journal", Mark.BAD)}
    assert "batchrunner.db-journal stands alone" in every["journal"].found


def test_a_journal_that_stays_is_a_warning_and_one_that_goes_is_fine() -> None:
    assert marks(with_file(journal=512, journal_now=512)) == {("journal", Mark.WARNING)}
    assert with_file(journal=512)["journal"].mark is Mark.OK
    assert "journal" not in with_file()


def test_the_room_that_open_jobs_need_is_recognized_by_their_number_and_the_results_so_far() -> (
    None
):
    work = (OpenWork(name="prices", open=100_000, total=100_000),)

    def room(free: int, result_bytes: float | None = None) -> Finding:
        health = replace(HEALTH, open_work=work, result_bytes=result_bytes)
        facts = replace(FACTS, file=replace(FILE, free=free), store=replace(STORE, health=health))
        return found(facts)["space"]

    assert room(GIGABYTE).mark is Mark.OK
    assert room(GIGABYTE).found == "1 GB free; 100000 open jobs may need 740 MB"
    assert room(800_000_000).mark is Mark.WARNING
    assert room(GIGABYTE, result_bytes=100_000).mark is Mark.WARNING
    assert room(450_000_000, result_bytes=1_000).mark is Mark.OK


def test_a_disk_without_room_for_a_large_result_is_bad() -> None:
    assert marks(with_file(free=79_000_000)) == {("space", Mark.BAD)}
    assert marks(with_file(free=81_000_000)) == set()
    assert marks(with_file(free=None)) == {("space", Mark.WARNING)}


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 KB"), (2.5e9, "2 GB"), (7.3e12, "7.3 TB")],
)
def test_sizes_are_said_as_a_person_says_them(count: float, words: str) -> None:
    assert byte_size(count) == words


# ---- a server ----


def test_a_server_is_judged_by_its_connection_its_rights_and_its_clock() -> None:
    def judged(**facts: object) -> set[tuple[str, Mark]]:
        every = {each.about: each for each in check_server.findings(replace(SERVER, **facts))}
        return marks(every)

    assert judged() == set()
    assert judged(encrypted=False) == {("encryption", Mark.WARNING)}
    assert judged(encrypted=False, near=True) == set()
    assert judged(may_create=False) == {("rights", Mark.WARNING)}
    assert judged(ahead=timedelta(seconds=6)) == {("server_clock", Mark.WARNING)}
    assert judged(ahead=timedelta(seconds=-6)) == {("server_clock", Mark.WARNING)}


def test_a_database_on_a_server_has_no_file() -> None:
    health = replace(HEALTH, server=SERVER, journal_mode=None, synchronous=None)
    every = found(replace(FACTS, file=None, store=replace(STORE, path=None, health=health)))
    assert marks(every) == set()
    assert every["server"].found == "PostgreSQL 16.2"
    assert not {"file", "space", "integrity", "journal_mode"} & set(every)


# ---- the content ----


@pytest.mark.parametrize(
    ("revision", "mark", "words"),
    [
        ("0001", Mark.OK, "the newest"),
        (None, Mark.OK, "the first run makes the tables"),
        ("0000", Mark.WARNING, "the next command brings it to 0001"),
        ("0002", Mark.BAD, "made by a newer batchrunner"),
    ],
)
def test_a_schema_is_the_newest_or_says_what_to_do(
    revision: str | None, mark: Mark, words: str
) -> None:
    every = with_health(revision=revision)
    assert every["schema"].mark is mark
    assert words in every["schema"].found


def test_a_damaged_file_is_bad_and_three_places_are_named() -> None:
    every = with_store(health=None, inconsistencies=None, damage=("one", "two", "three", "four"))
    assert marks(every) == {("integrity", Mark.BAD)}
    assert "one; two; three;" in every["integrity"].found
    assert every["integrity"].fix == "cp -p batchrunner.db batchrunner.db.kept"


def test_how_thoroughly_a_file_was_checked_is_said() -> None:
    assert "(integrity_check)" in with_store()["integrity"].found
    assert "quick_check" in with_store(thorough=False)["integrity"].found


def test_a_broken_rule_is_bad_and_comes_with_its_numbers() -> None:
    every = with_store(inconsistencies={"a job runs exactly while one attempt is open": 2})
    assert marks(every) == {("books", Mark.BAD)}
    assert "do not agree (2): a job runs" in every["books"].found
    assert "keep the file and report it" in every["books"].found


def test_what_another_program_did_is_bad_and_three_places_are_named() -> None:
    rebuilt = with_store(foreign_changes=ForeignChanges(unlike=("a", "b", "c", "d")))
    assert marks(rebuilt) == {("tables", Mark.BAD)}
    assert "a; b; c and 1 more: another program wrote here" in rebuilt["tables"].found
    garbled = with_store(
        foreign_changes=ForeignChanges(garbled=("met of row 9 in jobs is '{'",)),
        inconsistencies=None,
    )
    assert marks(garbled) == {("cells", Mark.BAD)}
    assert garbled["cells"].fix == "cp -p batchrunner.db batchrunner.db.kept"
    odd = with_store(foreign_changes=ForeignChanges(odd_results=(7, 8)))
    assert marks(odd) == {("results", Mark.WARNING)}
    assert "attempts 7, 8: exported as text" in odd["results"].found


def test_an_address_that_is_none_is_not_looked_for_on_a_server() -> None:
    nowhere = {"health": None, "inconsistencies": None, "path": None}
    every = with_store(trouble="no address", server_check="export X=y", **nowhere)
    assert every["reading"].fix == "export X=y"


def test_a_database_that_cannot_be_read_is_bad() -> None:
    every = with_store(health=None, inconsistencies=None, trouble="it is damaged; keep a copy")
    assert marks(every) == {("reading", Mark.BAD)}
    assert every["reading"].fix == "cp -p batchrunner.db batchrunner.db.kept"
    locked = with_store(health=None, inconsistencies=None, trouble="it is locked", passing=True)
    assert locked["reading"].fix == "fuser -v batchrunner.db"
    on_server = with_store(health=None, inconsistencies=None, trouble="it is away", path=None)
    assert on_server["reading"].fix == "pg_isready"


def test_the_command_of_an_error_is_shown_as_the_fix() -> None:
    every = with_store(health=None, inconsistencies=None, trouble="two names", remedy="rm b.db")
    assert every["reading"].fix == "rm b.db"


def test_a_database_whose_time_is_ahead_is_a_warning() -> None:
    every = with_health(ahead=timedelta(hours=3))
    assert marks(every) == {("ledger_clock", Mark.WARNING)}
    assert "10800 s ahead of this machine's" in every["ledger_clock"].found


def test_open_work_and_workers_are_named() -> None:
    work = tuple(OpenWork(name=f"b{n}", open=n, total=9) for n in range(1, 6))
    every = with_health(open_work=work, workers=(worker(),))
    assert every["open_work"].found == "open jobs: b1 1 of 9, b2 2 of 9, b3 3 of 9 and 2 more"
    assert every["workers"].found == "at work: process 4711 on night"
    assert with_health()["workers"].found == "at work: nobody"


def test_the_dead_that_left_runs_are_a_warning_and_others_are_not() -> None:
    lapsed = with_health(workers=(worker(leased=False, in_flight=1),))
    assert marks(lapsed) == {("dead_workers", Mark.WARNING)}
    assert "gives no sign of life, with 1 run in flight" in lapsed["dead_workers"].found
    health = replace(HEALTH, workers=(worker(), worker("bob", in_flight=0)))
    gone = with_store(health=health, exited=frozenset({"alice", "bob"}))
    assert marks(gone) == {("dead_workers", Mark.WARNING)}
    assert "has died, with 3 runs in flight" in gone["dead_workers"].found
    assert gone["workers"].found == "at work: nobody"


# ---- the API ----


def test_without_a_key_it_is_said_how_to_give_one_and_that_is_not_bad() -> None:
    every = with_api(key_from=None)
    assert marks(every) == {("key", Mark.WARNING)}
    assert every["key"].fix == "export TINYFISH_API_KEY=…"
    assert "api" not in every


def test_without_a_key_nothing_is_said_to_be_ready() -> None:
    end = summary(findings(replace(FACTS, api=replace(API, key_from=None))))
    assert (end.mark, end.found) == (
        Mark.WARNING,
        "ready for the sandbox only, as there is no key; 1 warning",
    )


@pytest.mark.parametrize(
    ("kind", "status", "about", "mark"),
    [
        (ApiFaultKind.NOT_SENT, None, "api", Mark.BAD),
        (ApiFaultKind.INTERRUPTED, None, "api", Mark.BAD),
        (ApiFaultKind.MALFORMED, 200, "api", Mark.BAD),
        (ApiFaultKind.MALFORMED, 401, "api", Mark.BAD),
        (ApiFaultKind.TOO_LARGE, None, "api", Mark.WARNING),
        (ApiFaultKind.STATUS, 401, "key", Mark.BAD),
        (ApiFaultKind.STATUS, 403, "key", Mark.BAD),
        (ApiFaultKind.STATUS, 404, "api", Mark.BAD),
        (ApiFaultKind.STATUS, 429, "api", Mark.WARNING),
        (ApiFaultKind.STATUS, 503, "api", Mark.WARNING),
    ],
)
def test_what_the_read_met_is_judged_and_the_apis_words_are_not_repeated(
    kind: ApiFaultKind, status: int | None, about: str, mark: Mark
) -> None:
    fault = ApiFault(kind=kind, status=status, message="no such key: sk-canary")
    every = with_api(fault=fault)
    assert marks(every) == {(about, mark)}
    assert "canary" not in repr(every)


def test_a_key_or_an_address_that_cannot_be_used_is_bad() -> None:
    assert marks(with_api(key_trouble="it has blanks")) == {("key", Mark.BAD)}
    assert marks(with_api(address_is_bad=True)) == {("address", Mark.BAD)}


def test_clocks_that_are_far_apart_are_a_warning() -> None:
    assert marks(with_api(ahead=timedelta(seconds=5))) == set()
    every = with_api(ahead=timedelta(seconds=-6))
    assert marks(every) == {("api_clock", Mark.WARNING)}
    assert "its clock is 6 s behind this machine's" in every["api_clock"].found
    assert with_api(ahead=None)["api_clock"].mark is Mark.OK


def test_a_proxy_in_between_is_named() -> None:
    assert "by way of the proxy proxy.lan" in with_api(proxy="proxy.lan")["api"].found
