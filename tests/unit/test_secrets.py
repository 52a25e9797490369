"""No public object and no error shows the API key or a password of the database or the API."""

from __future__ import annotations

import pytest

import batchrunner as br
from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.store.batches import load_jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, job_file

KEY = "sk-tinyfish-canary-7f3a9c"
PASSWORD = "PASSWORD1"
PLACE = DatabaseAddress(
    address=f"postgresql://user:{PASSWORD}@db.test/prices?sslpassword={PASSWORD}",
    api_url="http://127.0.0.1:1",
    api_key=KEY,
)


@pytest.fixture
def batch() -> BatchHandle:
    store = Store.open(":memory:")
    return BatchHandle(store, store.write(load_jobs, job_file(1), NOW).batch, PLACE)


def shown(thing: object) -> str:
    """Return everything that a notebook or a debugger shows of an object."""
    return f"{thing!r} {thing} {vars(thing)!r}"


def test_no_public_object_shows_a_secret(batch: BatchHandle) -> None:
    things = [batch, batch.run(), batch.arun(), batch.status(), batch.time_and_cost()]
    text = " ".join(shown(thing) for thing in things)
    assert "db.test/prices" in text
    assert KEY not in text
    assert PASSWORD not in text
    assert KEY not in repr(br.ApiAccess(url="http://127.0.0.1:1", key=KEY))


def test_an_address_of_the_api_with_a_password_is_refused_without_it(batch: BatchHandle) -> None:
    url = f"http://user:{PASSWORD}@127.0.0.1:1"
    place = DatabaseAddress(address=PLACE.address, api_url=url, api_key=KEY)
    assert PASSWORD not in repr(place) + repr(br.ApiAccess(url=url, key=KEY))
    handle = BatchHandle(batch._store, batch._batch, place)
    with pytest.raises(br.UsageError, match="no address of an API") as caught:
        handle.run()
    assert PASSWORD not in str(caught.value) + repr(caught.value)


def test_a_batch_that_is_gone_is_reported_without_the_password(
    batch: BatchHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Store.open(":memory:")
    monkeypatch.setattr("batchrunner.app.batch_handle.open_store", lambda address, say: empty)
    with pytest.raises(br.UsageError, match="is gone from") as caught:
        batch.run_all()
    assert PASSWORD not in str(caught.value)
