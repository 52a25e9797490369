"""Loops of a runner share an answer of the database until something changes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from batchrunner.runner.shared_answer import SHARED_FOR, SharedAnswer
from batchrunner.store.batches import load_jobs
from batchrunner.store.reports import work_left
from batchrunner.store.store import ChangeMark, Store
from tests.fakes import FIRST, NOW, begin, claim, job_file


class Asked:
    """Counts questions."""

    def __init__(self, by_others: object | None) -> None:
        self.asked, self.writes, self.by_others = 0, 0, by_others
        self.shared = SharedAnswer(self.ask, lambda: ChangeMark(self.writes, self.by_others))

    def ask(self) -> int:
        self.asked += 1
        return self.writes


def test_an_answer_is_shared_until_this_process_writes() -> None:
    for by_others in (None, "version"):
        asked = Asked(by_others)
        assert [asked.shared.get(NOW) for _ in range(3)] == [0, 0, 0]
        asked.writes = 1
        assert [asked.shared.get(NOW) for _ in range(3)] == [1, 1, 1]
        assert asked.asked == 2


def test_a_change_while_the_database_answers_makes_the_answer_old() -> None:
    asked = Asked("version")
    answer = asked.ask

    def ask() -> int:
        found = answer()
        asked.writes = 1
        return found

    asked.shared = SharedAnswer(ask, lambda: ChangeMark(asked.writes, "version"))
    assert [asked.shared.get(NOW) for _ in range(3)] == [0, 1, 1]


def test_the_answer_of_a_server_is_shared_for_a_moment_and_that_of_a_file_for_longer() -> None:
    for by_others, questions in ((None, 2), ("version", 1)):
        asked = Asked(by_others)
        for at in (NOW, NOW + SHARED_FOR / 2, NOW + SHARED_FOR):
            asked.shared.get(at)
        assert asked.asked == questions


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    address = str(tmp_path / "ledger.db")
    with closing(Store.open(address)) as store, closing(Store.open(address)) as other:
        batch = begin(store, 3)
        read = SharedAnswer(lambda: store.read(work_left, "alice", FIRST), store.change_mark)
        assert read.get(NOW).in_flight_here == 0
        claim(other, batch)
        assert read.get(NOW).in_flight_here == 3
        before = store.change_mark()
        assert store.change_mark() == before
        other.write(load_jobs, job_file(1, name="another"), NOW)
        assert store.change_mark() != before
