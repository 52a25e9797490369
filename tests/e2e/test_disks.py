"""A database that cannot be written, or a runner that sleeps: nothing is lost or paid twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.e2e import outages
from tests.e2e.outages import JOBS, Outage
from tests.e2e.programs import check_books

#: An outage that another one may run beside, until somebody wants to know how it ended.
Met = Future[Outage | None]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Met]]:
    """All outages of this module, side by side: each takes a minute, and mostly waits."""
    kinds = {"full": outages.full, "locked": outages.locked, "overslept": outages.overslept}
    with ThreadPoolExecutor(len(kinds)) as pool:
        yield {
            name: pool.submit(meet, tmp_path_factory.mktemp(name)) for name, meet in kinds.items()
        }


@pytest.fixture
def disk_full(met: Mapping[str, Met]) -> Outage:
    """A batch whose disk was full for a while."""
    return ended(met["full"])


@pytest.fixture
def unlocked(met: Mapping[str, Met]) -> Outage:
    """A batch whose database another program locked for a while."""
    return ended(met["locked"])


@pytest.fixture
def overslept(met: Mapping[str, Met]) -> Outage:
    """A batch of which one runner slept until the other took its jobs over."""
    return ended(met["overslept"])


def ended(met: Met) -> Outage:
    """Wait for the end of an outage; where it cannot be played here, nothing is tested."""
    outage = met.result()
    if outage is None:
        pytest.skip("no file system may be mounted here")
    return outage


def paid_once(outage: Outage) -> bool:
    """Tell whether each url was run exactly once, and the books say so too."""
    check_books(outage.folder, JOBS, outage.runs)
    return max(Counter(run.url for run in outage.runs).values()) == 1 and len(outage.runs) == JOBS


pytestmark = pytest.mark.sweep


def test_a_batch_goes_on_by_itself_when_its_full_disk_has_room_again(disk_full: Outage) -> None:
    said = disk_full.ended.err
    assert "waiting for the database: the database batchrunner.db cannot grow" in said
    assert disk_full.created[0] == disk_full.created[1], "it created runs that it could not note"
    assert disk_full.ended.code == 0, said
    assert paid_once(disk_full)
    assert len((disk_full.folder / "jobs.results.csv").read_text().splitlines()) == JOBS + 1


def test_an_export_onto_a_full_disk_leaves_the_older_file(disk_full: Outage) -> None:
    # Its content was compared while the disk was full.
    assert disk_full.besides is not None
    assert disk_full.besides.code == 3
    assert "older.csv: No space left on device" in disk_full.besides.err


def test_a_batch_goes_on_by_itself_when_its_database_is_unlocked(unlocked: Outage) -> None:
    assert unlocked.created[0] == unlocked.created[1], "it created runs that it could not note"
    assert unlocked.ended.code == 0, unlocked.ended.err
    assert paid_once(unlocked)


def test_a_runner_that_slept_longer_than_its_lease_changes_nothing(overslept: Outage) -> None:
    assert overslept.ended.code == 3, overslept.ended.said
    assert "another one took its jobs over" in overslept.ended.err
    assert overslept.created[0] == overslept.created[1] == JOBS
    assert not (overslept.folder / "sleeper.csv").exists()
    assert overslept.besides is not None
    assert overslept.besides.code == 1, overslept.besides.said
    assert paid_once(overslept)
