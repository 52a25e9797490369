"""The free read with which a checkup sees whether the API is there and accepts the key."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import httpx
import pytest
from api_wire import KEY, FakeApi, nobody, raw

from batchrunner.model import ApiFaultKind, RequestFailed
from batchrunner.tinyfish.client import TinyFishClient

EMPTY = b'{"data": [], "pagination": {"total": 0, "next_cursor": null, "has_more": false}}'


def checked(fake: FakeApi) -> datetime | None:
    async def check() -> datetime | None:
        async with fake.api:
            return await fake.api.check()

    return anyio.run(check)


def test_a_check_reads_one_run_and_nothing_else() -> None:
    fake = FakeApi(raw(EMPTY, date="Wed, 02 Sep 2026 21:00:07 GMT"))
    assert checked(fake) == datetime(2026, 9, 2, 21, 0, 7, tzinfo=UTC)
    (request,) = fake.requests
    assert (request.method, request.url.path) == ("GET", "/v1/runs")
    assert dict(request.url.params) == {"limit": "1"}


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Wed, 99 Sep 2026 21:00:07 GMT", "Wed, 02 Sep 99999999 21:00:07 GMT", "\x00"],
)
def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    assert checked(FakeApi(raw(EMPTY, date=date))) is None
    assert checked(FakeApi(raw(EMPTY))) is None


def test_a_date_of_no_zone_is_that_of_universal_time() -> None:
    fake = FakeApi(raw(EMPTY, date="Wed, 02 Sep 2026 21:00:07 -0000"))
    assert checked(fake) == datetime(2026, 9, 2, 21, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (
            raw(b'{"error": {"code": "INVALID_API_KEY", "message": "no"}}', 401),
            ApiFaultKind.STATUS,
            401,
        ),
        (raw(b"<html>log in here</html>"), ApiFaultKind.MALFORMED, 200),
        (raw(b'{"hello": "world"}'), ApiFaultKind.MALFORMED, 200),
        (raw(b'{"data": 7}'), ApiFaultKind.MALFORMED, 200),
        (raw(b"", 302, location="https://elsewhere.test/"), ApiFaultKind.MALFORMED, 302),
    ],
)
def test_what_is_not_a_list_of_runs_is_a_fault(
    answer: httpx.Response, kind: ApiFaultKind, status: int
) -> None:
    with pytest.raises(RequestFailed) as caught:
        checked(FakeApi(answer))
    assert (caught.value.fault.kind, caught.value.fault.status) == (kind, status)


def test_where_nobody_listens_nothing_was_sent() -> None:
    async def check() -> None:
        async with TinyFishClient(nobody(), KEY) as api:
            await api.check()

    with pytest.raises(RequestFailed) as caught:
        anyio.run(check)
    assert caught.value.fault.kind is ApiFaultKind.NOT_SENT
