"""The profile of a batch's rows: made in one pass, merged with others, bounded in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from batchrunner.judge.answer import read_answer
from batchrunner.quality.asked_fields import GoalFields
from batchrunner.quality.fields import Cell, Container, cells_of, fields_of
from batchrunner.quality.sketches import Repeats, Sample, hash_of

#: Most hosts with counts of their own; of more, those with the smallest hashes.
MAX_HOSTS = 500
#: Most fields with counts of their own: the least nested, and of those the smallest hashes.
MAX_PATHS = 400
#: Rows that are kept as a sample, spread over the hosts; and the most and the least of one host.
SAMPLED_ROWS = 4000
SAMPLED_OF_HOST = (2000, 8)
#: Different answers, and different values of a unique field, that are counted exactly.
EXACT_ANSWERS = 50_000
#: Combinations of filled fields that are counted before they are added up by field.
MAX_SHAPES = 4096
#: Most different rules and categories that are counted.
MAX_NAMES = 100
#: Shortest text of the input that is not part of an answer where it is repeated.
MIN_ECHO_LENGTH = 6


class ProfileRow(NamedTuple):
    """A job in a final state, as quality looks at it."""

    key: str
    url: str
    host: str
    state: str  #: `succeeded`, `failed` or `cancelled`
    verdict: str | None = None  #: `good`, `suspect` or `bad`; None: not judged
    reason: str | None = None  #: rule or category that speaks against it
    result: str | None = None  #: JSON text as the API sent it
    columns: Mapping[str, Any] = {}  #: carried input cells
    named: frozenset[str] = frozenset()  #: top-level fields that its schema names
    goal: str = ""


class SampledRow(NamedTuple):
    """A delivered row of the sample."""

    key: str
    url: str
    host: str
    verdict: str | None
    answer: int  #: hash of what it says beside the input
    cells: tuple[Cell, ...]
    containers: tuple[Container, ...]


class HostCounts:
    """What is counted of the rows of one host."""

    __slots__ = ("delivered", "failed", "filled", "rows", "sample", "shapes", "suspect")

    def __init__(self, most_sampled: int) -> None:
        self.rows = self.delivered = self.failed = self.suspect = 0
        self.shapes: Counter[tuple[str, ...]] = Counter()
        self.filled: Counter[str] = Counter()
        self.sample: Sample[SampledRow] = Sample(most_sampled)

    def merge(self, other: HostCounts) -> None:
        """Add the counts of other rows."""
        self.rows += other.rows
        self.delivered += other.delivered
        self.failed += other.failed
        self.suspect += other.suspect
        self.shapes.update(other.shapes)
        self.filled.update(other.filled)
        self.sample.merge(other.sample)


class Profile:
    """
    What is known of the rows of a batch.

    The order of the rows never matters, and merging the profiles of two sets of rows gives the
    profile of their union. *unique* names the fields whose repeated values are counted.
    """

    def __init__(self, unique: Iterable[str] = ()) -> None:
        self.rows = self.delivered = self.failed = self.cancelled = self.suspect = self.good = 0
        self.set_aside = 0  #: delivered rows whose result is too large to be read
        self.blank = 0  #: delivered rows whose answer holds nothing
        self.reasons: Counter[str] = Counter()  #: rules of suspects and categories of failures
        self.hosts: dict[str, HostCounts] = {}
        self.answers = Repeats(EXACT_ANSWERS)
        self.unique: dict[str, Repeats] = {path: Repeats(EXACT_ANSWERS) for path in unique}
        self._filled: Counter[str] = Counter()
        self._empty: Counter[str] = Counter()
        self._shapes: Counter[tuple[str, ...]] = Counter()  # of fields that hold nothing
        self._goals = GoalFields()
        self._pending = 0  # shapes that are counted
        self._priorities: dict[str, tuple[int, int]] = {}
        self._last_path: tuple[int, int] | None = None  # paths from here on are not kept
        self._last_host: int | None = None

    # ---- add rows ----

    def add_all(self, rows: Iterable[ProfileRow]) -> Profile:
        """Add many rows, and return the profile."""
        for row in rows:
            self.add(row)
        return self

    def add(self, row: ProfileRow) -> None:
        """Add a row."""
        host = self._host(row.host)
        self.rows += 1
        if host is not None:
            host.rows += 1
        if row.reason is not None and (row.reason in self.reasons or len(self.reasons) < MAX_NAMES):
            self.reasons[row.reason] += 1
        if row.state == "succeeded":
            self._add_delivered(row, host)
        elif row.state == "cancelled":
            self.cancelled += 1
        else:
            self.failed += 1
            if host is not None:
                host.failed += 1

    def _add_delivered(self, row: ProfileRow, host: HostCounts | None) -> None:
        self.delivered += 1
        is_suspect = row.verdict == "suspect"
        self.suspect += is_suspect
        self.good += not is_suspect
        answer = read_answer(row.result, row.named) if row.result is not None else None
        if answer is not None and answer.set_aside:
            self.set_aside += 1
            answer = None
        filled, empty = fields_of(answer.value if answer else None)
        self.blank += not filled
        self._goals.add(_template(row), filled, empty if filled else ())
        self._shapes[empty] += 1
        answered = hash_of(_own_words(row)) if filled else 0
        if filled:
            self.answers.add(answered)
        if host is not None:
            host.delivered += 1
            host.suspect += is_suspect
            host.shapes[filled] += 1
            self._sample(row, host, answer.value if answer else None, answered)
        else:
            self._filled.update(path for path in filled if self._keeps(path))
        if self.unique and answer is not None:
            self._add_unique(answer.value)
        self._pending += 1
        if self._pending >= MAX_SHAPES:
            self._add_up()

    def _sample(self, row: ProfileRow, host: HostCounts, value: Any, answered: int) -> None:
        priority = hash_of(row.key)
        if host.sample.wants(priority):
            cells, containers = cells_of(value)
            sampled = SampledRow(
                row.key, row.url[:500], row.host, row.verdict, answered, cells, containers
            )
            host.sample.add(priority, sampled)

    def _add_unique(self, value: Any) -> None:
        cells: tuple[Cell, ...] | None = None
        for path, repeats in self.unique.items():
            if isinstance(value, dict) and path in value:
                found = [value[path]]
            else:
                cells = cells_of(value)[0] if cells is None else cells
                found = [cell.value for cell in cells if cell.path == path]
            for each in found:
                if isinstance(each, str | int | float) and str(each).strip():
                    repeats.add(hash_of(str(each).strip()))

    # ---- keep it small ----

    def _host(self, name: str) -> HostCounts | None:
        known = self.hosts.get(name)
        if known is not None:
            return known
        hashed = hash_of(name)
        if self._last_host is not None and hashed >= self._last_host:
            return None
        self.hosts[name] = HostCounts(self._most_sampled(len(self.hosts) + 1))
        self._bound_hosts()
        return self.hosts.get(name)

    def _bound_hosts(self) -> None:
        if len(self.hosts) > MAX_HOSTS:
            last = sorted(self.hosts, key=hash_of)[MAX_HOSTS:]
            self._last_host = hash_of(last[0])
            for name in last:
                for shape, count in self.hosts.pop(name).shapes.items():
                    self._filled.update({path: count for path in shape if self._keeps(path)})
        most = self._most_sampled(len(self.hosts))
        for host in self.hosts.values():
            if host.sample.most != most:
                host.sample.shrink(most)

    @staticmethod
    def _most_sampled(hosts: int) -> int:
        most, least = SAMPLED_OF_HOST
        return max(least, min(most, SAMPLED_ROWS // hosts))

    def _keeps(self, path: str) -> bool:
        if self._last_path is None:
            return True
        return self._priority(path) < self._last_path

    def _priority(self, path: str) -> tuple[int, int]:
        known = self._priorities.get(path)
        if known is None:
            if len(self._priorities) > MAX_PATHS * 20:
                self._priorities.clear()
            known = self._priorities[path] = (path.count(".") + path.count("["), hash_of(path))
        return known

    def _add_up(self) -> None:
        """Add up the combinations of filled fields by field, and drop fields beyond the bound."""
        self._pending = 0
        for host in self.hosts.values():
            for shape, count in host.shapes.items():
                for path in shape:
                    if self._keeps(path):
                        host.filled[path] += count
                        self._filled[path] += count
            host.shapes.clear()
        for shape, count in self._shapes.items():
            for path in shape:
                if self._keeps(path):
                    self._empty[path] += count
        self._shapes.clear()
        self._bound_paths()
        self._goals.keep(self._keeps)

    def _bound_paths(self) -> None:
        known = self._filled.keys() | self._empty.keys()
        if len(known) > MAX_PATHS:
            self._last_path = self._priority(sorted(known, key=self._priority)[MAX_PATHS])
        if self._last_path is not None:
            counters = [self._filled, self._empty, *(host.filled for host in self.hosts.values())]
            for counter in counters:
                for path in [path for path in counter if not self._keeps(path)]:
                    del counter[path]

    # ---- merge ----

    def merge(self, other: Profile) -> Profile:
        """Add the rows of another profile, and return this one."""
        self._add_up()
        other._add_up()
        for name in ("rows", "delivered", "failed", "cancelled", "suspect", "good"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.set_aside += other.set_aside
        self.blank += other.blank
        self.reasons.update(other.reasons)
        self.answers.merge(other.answers)
        for path, repeats in other.unique.items():
            self.unique.setdefault(path, Repeats(EXACT_ANSWERS)).merge(repeats)
        self._filled.update(other._filled)
        self._empty.update(other._empty)
        self._goals.merge(other._goals)
        self._merge_hosts(other)
        for limit in (self._last_path, other._last_path):
            if limit is not None and (self._last_path is None or limit < self._last_path):
                self._last_path = limit
        self._bound_paths()
        return self

    def _merge_hosts(self, other: Profile) -> None:
        if other._last_host is not None:
            self._last_host = min(self._last_host or other._last_host, other._last_host)
        for name in set(self.hosts) | set(other.hosts):
            if self._last_host is not None and hash_of(name) >= self._last_host:
                self.hosts.pop(name, None)
            elif name in other.hosts:
                mine = self.hosts.setdefault(name, HostCounts(SAMPLED_OF_HOST[0]))
                mine.merge(other.hosts[name])
        self._bound_hosts()

    # ---- read ----

    def filled(self) -> Mapping[str, int]:
        """Return how many delivered rows hold something, by field."""
        self._add_up()
        return self._filled

    def empty(self) -> Mapping[str, int]:
        """Return how many delivered rows have a field that holds nothing, by field."""
        self._add_up()
        return self._empty

    def asked(self, path: str, other: Profile | None = None) -> int:
        """
        Return how many delivered rows are asked for a field.

        Rows are left out if their goal has the field in no row, neither here nor in *other*.
        """
        self._add_up()
        if other is not None:
            other._add_up()
        return self.delivered - self._goals.without(path, None if other is None else other._goals)

    def filled_by_host(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many delivered rows hold something, by host and field."""
        self._add_up()
        return {name: host.filled for name, host in self.hosts.items()}

    def sample(self) -> list[SampledRow]:
        """Return the rows of the sample, in an order that does not depend on that of the rows."""
        return [row for name in sorted(self.hosts) for row in self.hosts[name].sample]

    def weight(self, host: str) -> float:
        """Return how many delivered rows a sampled row of a host stands for."""
        counts = self.hosts[host]
        return counts.delivered / len(counts.sample) if len(counts.sample) else 0.0


def _template(row: ProfileRow) -> int:
    """Return the hash of a goal without what stands in it of the row's own input."""
    goal = row.goal
    for given in (row.url, row.key, *row.columns.values()):
        text = str(given)
        if text and text in goal and text != goal:
            goal = goal.replace(text, "{}")
    return hash_of(goal)


def _own_words(row: ProfileRow) -> str:
    """Return what an answer says beside the input that it repeats."""
    text = (row.result or "").replace(row.url, "").strip()
    for given in (row.key, *row.columns.values()):
        if isinstance(given, str) and len(given) >= MIN_ECHO_LENGTH and given in text:
            text = text.replace(given, "")
    return text
