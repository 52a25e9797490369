"""Says before anything is spent that the jobs of a file were run elsewhere: where, and what now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from batchrunner.app.input_request import STANDARD_INPUT, batch_name
from batchrunner.app.open_database import retry_while_away
from batchrunner.app.run_observer import Say
from batchrunner.errors import BatchElsewhere
from batchrunner.model import JobFile
from batchrunner.model.places import BatchSource, FileSample, Holding
from batchrunner.store.address import file_of, names_memory, usual_beside
from batchrunner.store.holdings import (
    batch_sources,
    databases_in,
    has_urls,
    holdings,
    holdings_in_file,
)
from batchrunner.store.store import Store

#: Share of a file's jobs, or of its urls, from which on it counts as the file of another batch.
SAME_FILE, SAME_URLS = 0.5, 0.9
#: Folders above that of the file in which databases are looked for.
FOLDERS_ABOVE = 4
#: Characters that a name of a batch cannot have.
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


class PlaceKind(StrEnum):
    """Why the jobs of a file may have been paid for already."""

    RENAMED = "renamed"  #: another batch has them, and its file is gone
    COPIED = "copied"  #: another batch has them
    OTHER_DATABASE = "other database"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the jobs of a file were run before."""

    kind: PlaceKind
    says: str
    options: tuple[str, ...]  #: of the command that goes on there


@dataclass(frozen=True, kw_only=True)
class PlaceChoice:
    """What the user said about the place of a batch."""

    named: bool = False  #: the batch's name
    new_batch: bool = False  #: pay again for jobs that were run elsewhere
    is_default: bool = False  #: the database was not named


def placed(
    address: str, job_file: JobFile, origin: str | None, choice: PlaceChoice, say: Say
) -> JobFile:
    """
    Return the file under the name of its batch; nothing is changed, and no database is made.

    *origin* is the API that would be used; None: any.

    Raises:
        BatchElsewhere: It would be a new batch, and its jobs were run before in another batch or
            database; the error says where, and the options with which a command goes on there.
    """

    found, elsewhere = locate(address, job_file, origin, choice, say)
    for place in elsewhere:
        raise BatchElsewhere(
            f"{place.says}: a new batch pays again",
            next=f"go on there: {' '.join(place.options)}; or pay again: --new-batch",
            options=place.options,
        )
    return found


def locate(
    address: str, job_file: JobFile, origin: str | None, choice: PlaceChoice, say: Say
) -> tuple[JobFile, tuple[Place, ...]]:
    """Return the file under the name of its batch, and where the jobs of a new one were run."""

    def find() -> tuple[JobFile, tuple[Place, ...]]:
        with _opened(address) as store:
            found = batch_of_file(store, job_file, choice, say) if store else job_file
            return found, tuple(_places(store, address, found, origin, choice, say))

    return retry_while_away(find, say)


@contextmanager
def _opened(address: str) -> Iterator[Store | None]:
    """Open a database that exists, without migrating it."""
    file = file_of(address)
    if names_memory(address) or (file is not None and not file.exists()):
        yield None
        return
    with closing(Store.connect(address)) as store:
        yield store


def batch_of_file(store: Store, job_file: JobFile, choice: PlaceChoice, say: Say) -> JobFile:
    """
    Return the file under the name of its batch in this database.

    Two files of one name in two folders are two batches: the second has its folder in its name. A
    file that was moved goes on. A name that the user gave decides.
    """
    path = path_of(job_file)
    if choice.named or path is None or job_file.name != batch_name(Path(path)):
        return job_file
    sources = store.trial(batch_sources)
    if known := _batch_from(sources, path, job_file.name):
        return job_file if known == job_file.name else _renamed(job_file, known, path, say)
    other = next((each for each in sources if each.batch == job_file.name), None)
    if other is None or other.path is None or other.path == str(STANDARD_INPUT):
        return job_file
    if not os.path.exists(other.path) and _has_jobs_of(store, job_file):
        say(f"batch {job_file.name!r} was loaded from {other.path}, which is gone: it goes on")
        return job_file
    return _renamed(job_file, _free_name(sources, job_file.name, path), path, say, other.path)


def path_of(job_file: JobFile) -> str | None:
    """Return the file that a job file was read from; None for rows and standard input."""
    first = job_file.sources[0].path if job_file.sources else None
    return None if first == str(STANDARD_INPUT) else first


def _batch_from(sources: Sequence[BatchSource], path: str, name: str) -> str | None:
    """Return the batch that the file was loaded into: the one of its name, else the newest."""
    real = os.path.realpath(path)
    its = [each.batch for each in sources if each.path and os.path.realpath(each.path) == real]
    return name if name in its else next(reversed(its), None)


def _has_jobs_of(store: Store, job_file: JobFile) -> bool:
    """Whether the batch of a file's name has any of its urls."""
    return store.trial(has_urls, job_file.name, FileSample.of(job_file))


def _free_name(sources: Sequence[BatchSource], name: str, path: str) -> str:
    taken = {each.batch for each in sources}
    folder = _NOT_IN_NAMES.sub("-", Path(path).parent.name).strip("-.") or "2"
    wanted = f"{name}-{folder}"[:90]
    return next(
        each
        for each in (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
        if each not in taken
    )


def _renamed(
    job_file: JobFile, name: str, path: str, say: Say, other: str | None = None
) -> JobFile:
    why = f": {job_file.name!r} is that of {other}" if other else ""
    say(f"{path} is the batch {name!r} of this database{why}; --name NAME gives it another name")
    return replace(job_file, name=name)


# ---- jobs that were run before ----


def _places(
    store: Store | None,
    address: str,
    job_file: JobFile,
    origin: str | None,
    choice: PlaceChoice,
    say: Say,
) -> Iterator[Place]:
    """Yield where the jobs of a new batch were run before; say what is not a reason to stop."""
    path = path_of(job_file)
    if path is None or choice.new_batch:
        return
    sources = [] if store is None else store.trial(batch_sources)
    if any(each.batch == job_file.name for each in sources):
        return
    nearby = list(_databases_nearby(address, Path(path)))
    if not sources and not nearby:
        return
    sample = FileSample.of(job_file)  # reads the whole file once more
    if store is not None and sources:
        yield from _in_this(store.trial(holdings, sample, origin), sources, say)
    for other in nearby:
        found = holdings_in_file(other, sample, origin)
        if found is None:
            say(f"note: {other} is a database, too, and cannot be read now: are these jobs in it?")
        for each in (found or ())[:1]:
            yield from _in_other(each, other, choice, say)


def _in_this(found: Sequence[Holding], sources: Sequence[BatchSource], say: Say) -> Iterator[Place]:
    paths = {each.batch: each.path for each in sources}
    for each in found:
        name = each.batch.partition("@")[0] if each.batch not in paths else each.batch
        path = paths.get(name)
        gone = path is not None and not os.path.exists(path)
        if each.share >= SAME_FILE or (gone and each.url_share >= SAME_URLS):
            kind = PlaceKind.RENAMED if gone else PlaceKind.COPIED
            where = f" (loaded from {path}, which is gone)" if gone else ""
            where = where or (f" (loaded from {path})" if path else "")
            says = f"{_part(each)} in the batch {name!r}{where}{_failed(each)}"
            yield Place(kind=kind, says=says, options=("--name", name))
            return
        _say_some(each, f"the batch {name!r}", say)


def _in_other(found: Holding, path: Path, choice: PlaceChoice, say: Say) -> Iterator[Place]:
    if found.share < SAME_FILE:
        return
    shown = os.path.relpath(path)
    shown = shown if len(shown) < len(str(path)) else str(path)
    says = (
        f"{_part(found)} in the batch {found.batch!r} of another database, {shown}{_failed(found)}"
    )
    if choice.is_default:
        yield Place(kind=PlaceKind.OTHER_DATABASE, says=says, options=("--db", shown))
    else:
        say(f"note: {says}")


def _part(found: Holding) -> str:
    if found.same == found.of_jobs:
        return "these jobs are" if found.same > 1 else "this job is"
    if found.share < SAME_FILE:
        return f"{found.url_share:.0%} of these urls are"
    return f"{found.share:.0%} of these jobs are"


def _failed(found: Holding) -> str:
    return f"; {found.failed_share:.0%} have failed there" if found.failed else ""


def _say_some(found: Holding, where: str, say: Say) -> None:
    if found.same:
        say(f"note: about {found.share:.0%} of these jobs are in {where}, too{_failed(found)}")
    elif found.url_share >= SAME_FILE:
        say(
            f"note: {found.url_share:.0%} of these urls are in {where}, with other goals or "
            "options: these jobs ask something else, and are paid for"
        )


def _databases_nearby(address: str, file: Path) -> Iterator[Path]:
    """Yield the databases beside a file, above it, and in the working folder, except the used."""
    used = file_of(address)
    usual = None if used is None else usual_beside(used)
    folders = [file.parent, *list(file.parent.parents)[:FOLDERS_ABOVE], Path.cwd()]
    seen = {os.path.realpath(each) for each in (used, usual) if each is not None}
    for folder in folders:
        for path in databases_in(folder):
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                yield path
