"""Rows of an export in a table of the user's own database, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from batchrunner.app.table_export import check_into, into_table, write_into
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import FinishedJob, JobState
from batchrunner.outputs import ExportTable, View
from batchrunner.outputs.selection import selected_columns
from batchrunner.store import user_table
from batchrunner.store.address import url_of
from batchrunner.store.user_table import Upserted

AT = datetime(2026, 9, 2, 21, 4, 5, 123000, tzinfo=UTC)
COLUMNS = "sku,name,price=result.price,seen=finished_at,ok=result.ok"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty database that is the user's own."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'my shop.db'}"
    address: str = request.getfixturevalue("postgresql")
    return address


@pytest.fixture
def engine(place: str) -> Iterator[Engine]:
    engine = create_engine(url_of(place.removeprefix("sqlite:")), poolclass=NullPool)
    yield engine
    engine.dispose()


def rows_of(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def do(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def job(sku: Any, result: Any = None, **fields: Any) -> FinishedJob:
    given = {"columns": {"sku": sku, "name": fields.pop("name", f"n{sku}")}}
    return FinishedJob(
        position=1,
        key=f"k{sku}",
        url="https://shop.example",
        goal="Read",
        state=JobState.SUCCEEDED,
        attempts=1,
        finished_at=AT,
        result=json.dumps(result if result is not None else {"price": 12.5, "ok": True}),
        **given,
        **fields,
    )


def put(
    place: str,
    jobs: list[FinishedJob],
    *,
    table: str = "prices",
    key: tuple[str, ...] = ("sku",),
    columns: str = COLUMNS,
) -> Upserted:
    view = View(columns=selected_columns(columns) if columns else ())
    export = ExportTable(jobs=lambda: iter(jobs), columns=("sku", "name"), view=view)
    return write_into(into_table(f"{place}:{table}", key), export)


def test_a_table_is_made_with_types_and_its_rows_are_updated_by_the_key(
    place: str, engine: Engine
) -> None:
    made = put(place, [job("00123"), job("b", {"price": 9, "ok": False})])
    assert made == Upserted(inserted=2, updated=0, created=True)
    again = put(place, [job("b", {"price": 10.25}), job("c", name="new")])
    assert (again.inserted, again.updated, again.created) == (1, 1, False)
    found = rows_of(engine, "SELECT sku, name, price, ok FROM prices ORDER BY sku")
    assert [(sku, name, float(price)) for sku, name, price, _ in found] == [
        ("00123", "n00123", 12.5),
        ("b", "nb", 10.25),
        ("c", "new", 12.5),
    ]
    assert [ok if ok is None else bool(ok) for *_, ok in found] == [True, None, True]
    (seen,) = rows_of(engine, "SELECT seen FROM prices WHERE sku = 'c'")[0]
    assert seen in (AT, "2026-09-02T21:04:05.123Z")


def test_a_new_column_is_added_and_columns_of_the_user_stay(place: str, engine: Engine) -> None:
    do(
        engine,
        "CREATE TABLE prices (sku varchar(20), note text, price numeric(10, 2))",
        "INSERT INTO prices VALUES ('a', 'mine', 1), ('z', 'also mine', 2)",
    )
    done = put(place, [job("a"), job("b")])
    assert (done.inserted, done.updated) == (1, 1)
    assert set(done.added) == {"name", "seen", "ok"}
    found = rows_of(engine, "SELECT sku, note, price, name FROM prices ORDER BY sku")
    assert [(sku, note, float(price), name) for sku, note, price, name in found] == [
        ("a", "mine", 12.5, "na"),
        ("b", None, 12.5, "nb"),
        ("z", "also mine", 2, None),
    ]


@pytest.mark.parametrize(
    ("made", "jobs", "key", "said"),
    [
        (None, lambda: [job("a"), job("")], ("sku",), "to be the key, and is empty in row 2"),
        (None, lambda: [job("a"), job(None)], ("sku",), "is empty in row 2"),
        (None, lambda: [job("a"), job("a")], ("sku",), "several rows share it: 'a' (2 rows)"),
        (None, lambda: [job("a")], ("sk",), "the key 'sk' is no column"),
        ("sku integer", lambda: [job("00123")], ("sku",), "for numbers, and what would be"),
        ("sku text, price boolean", lambda: [job("a")], ("sku",), "column price of the table"),
        ("sku text, price date", lambda: [job("a")], ("sku",), "column price of the table"),
    ],
)  # fmt: skip
def test_what_would_lose_data_is_refused_and_nothing_is_changed(
    place: str,
    engine: Engine,
    made: str | None,
    jobs: Callable[[], list[FinishedJob]],
    key: tuple[str, ...],
    said: str,
) -> None:
    if made is not None:
        do(engine, f"CREATE TABLE prices ({made})", "CREATE TABLE other (n integer)")
    tables = _tables(engine)
    with pytest.raises(UsageError) as refused:
        put(place, jobs(), key=key)
    assert said in str(refused.value)
    assert refused.value.next
    assert _tables(engine) == tables, "a table was made, or has another column"
    if made is not None:
        assert rows_of(engine, "SELECT * FROM prices") == []


def _tables(engine: Engine) -> Any:
    found = inspect(engine)
    return {name: len(found.get_columns(name)) for name in found.get_table_names()}


def test_several_keys_tell_rows_apart(place: str, engine: Engine) -> None:
    jobs = [job("a", name="x"), job("a", name="y"), job("b", name="x")]
    assert put(place, jobs, key=("sku", "name")).inserted == 3
    assert put(place, jobs, key=("sku", "name")).updated == 3
    with pytest.raises(UsageError, match="several rows with the same name"):
        put(place, [job("c", name="x")], key=("name",))
    assert len(rows_of(engine, "SELECT * FROM prices")) == 3


def test_hostile_names_and_values_come_back_as_they_are(place: str, engine: Engine) -> None:
    names = ['a"b', "a'b", "select", "%s", ":x", "Größe €", "a;--"]
    columns = "sku," + ",".join('"' + f"{name}=result.v".replace('"', '""') + '"' for name in names)
    value = "x'); DROP TABLE prices; --\n\t€ 😀 %s :x ${HOME}"
    jobs = [job(f"o'{name}", {"v": value}) for name in names]
    for _ in range(2):
        put(place, jobs, table='my "prices"; --', columns=columns)
    quoted = '"my ""prices""; --"'
    found = rows_of(engine, f"SELECT * FROM {quoted} ORDER BY sku")
    assert [row[0] for row in found] == sorted(f"o'{name}" for name in names)
    assert all(row[1:] == (value,) * len(names) for row in found)


def test_numbers_keep_their_digits(place: str, engine: Engine) -> None:
    numbers = [0.1 + 0.2, 9007199254740993, -(2**63), 1e300, 5e-324]
    columns = "sku,n=result.n"
    put(place, [job(f"{at}", {"n": n}) for at, n in enumerate(numbers[:3:2])], columns=columns)
    put(place, [job("big", {"n": numbers[1]})], columns=columns, table="whole")
    ((big,),) = rows_of(engine, "SELECT n FROM whole")
    assert int(big) == numbers[1]
    do(
        engine,
        f"CREATE TABLE exact (sku text, n {'double precision' if 'post' in place else 'real'})",
    )
    put(place, [job("a", {"n": numbers[0]})], columns=columns, table="exact")
    ((number,),) = rows_of(engine, "SELECT n FROM exact")
    assert number == numbers[0]
    with pytest.raises(UsageError, match="would not come back"):
        put(place, [job("b", {"n": numbers[1]})], columns=columns, table="exact")


def test_a_kill_at_any_statement_leaves_the_older_table_whole(
    place: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place, [job("a", name="older"), job("b", name="older")])
    before = rows_of(engine, "SELECT * FROM prices ORDER BY sku")
    monkeypatch.setattr(user_table, "CHUNK", 1)
    jobs = [job("a", name="newer"), job("c"), job("d")]

    left = 0

    def kill(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    kills = 0
    while True:
        left = kills + 1
        event.listen(Engine, "before_cursor_execute", kill)
        try:
            put(place, jobs)
            break
        except KeyboardInterrupt:
            kills += 1
        finally:
            event.remove(Engine, "before_cursor_execute", kill)
        assert rows_of(engine, "SELECT * FROM prices ORDER BY sku") == before, kills
    assert kills > 6
    assert [row[0] for row in rows_of(engine, "SELECT sku FROM prices ORDER BY sku")] == [*"abcd"]


def test_a_refused_export_leaves_no_new_file_and_no_other_file_is_changed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several rows share it"):
        put(f"sqlite:{tmp_path / 'new.db'}", [job("a"), job("a")])
    assert not [*tmp_path.iterdir()]
    text_ = tmp_path / "prices.csv"
    text_.write_text("sku,price\n" * 200)
    with pytest.raises(CannotContinue, match="nothing was changed: file is not a database"):
        put(f"sqlite:{text_}", [job("a")])
    assert text_.read_text() == "sku,price\n" * 200


def test_no_message_has_the_password(tmp_path: Path) -> None:
    secret = "postgresql://me:s3cret@127.0.0.1:1/shop"
    for text_ in (secret, f"{secret}:", "postgresql://me:s3cret@host", "mysql://me:s3cret@h/d:t"):
        with pytest.raises(UsageError) as refused:
            into_table(text_)
        assert "s3cret" not in str(refused.value)
    into = into_table(f"{secret}:prices", ("sku",))
    assert "s3cret" not in repr(into) + into.place
    with pytest.raises(CannotContinue, match="nothing was changed") as failed:
        put(secret, [job("a")])
    assert "s3cret" not in str(failed.value)


def test_addresses_name_a_file_or_a_server_and_a_table() -> None:
    pg = into_table("postgresql://me@host:5432/shop?sslmode=require:sales.prices")
    assert (pg.table.schema, pg.table.name) == ("sales", "prices")
    assert pg.address == "postgresql://me@host:5432/shop?sslmode=require"
    assert into_table("sqlite:a:b/c.db:t").address == "a:b/c.db"
    assert into_table("sqlite:///abs/c.db:t").address == "/abs/c.db"
    assert into_table("sqlite:c.db:t").key == ("id",)
    for wrong in ("prices.db:prices", "sqlite:prices", "prices", "", "postgresql://host:5432/db"):
        with pytest.raises(UsageError, match="--into"):
            into_table(wrong)


def test_a_database_of_batches_is_never_changed(store: Any, address: str, tmp_path: Path) -> None:
    place = address if "://" in address else f"sqlite:{address}"
    for table in ("jobs", "alembic_version"):
        with pytest.raises(UsageError, match="database of batches"):
            put(place, [job("a")], table=table)
    if "://" in address:
        assert put(place, [job("a")], table="my_prices").inserted == 1
        return
    with pytest.raises(UsageError, match="is in use"):
        check_into(into_table(f"{place}:prices"), address)
    with pytest.raises(UsageError, match="no folder"):
        check_into(into_table(f"sqlite:{tmp_path}/gone/x.db:prices"), address)
