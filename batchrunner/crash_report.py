"""
Reports an exception that nobody expected: one message, and a file without secrets and results.

Only the standard library is imported: the cause may be a broken installation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

#: What the program exits with: EX_SOFTWARE of sysexits.h.
EXIT_CODE = 70
#: Frames that are shown of each end of a long traceback, and exceptions that are shown in all.
MAX_FRAMES, MAX_EXCEPTIONS = 15, 20
#: Exceptions whose messages name parts of programs, never what a user or a page wrote.
_PLAIN = (ImportError, AttributeError, NameError, RecursionError, MemoryError)
_PACKAGES = ("anyio", "click", "h11", "httpx", "rich", "sqlalchemy", "starlette", "uvicorn")


def report_crash(error: BaseException, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Write a report, tell the user in two lines, and return the exit code; never raises."""
    kind = type(_first(error)).__name__
    path = _written(error, argv, environ)
    where = f"the report {path} has no key and no result in it" if path else "no report was written"
    _say(
        f"error: something unexpected happened in batchrunner ({kind})\n"
        "  tip: what was done is on disk, and runs in flight may go on and cost money: give the "
        f"same command again. If it ends like this again, report it; {where}\n"
    )
    return EXIT_CODE


def _first(error: BaseException) -> BaseException:
    """Return what is inside of exception groups that hold one thing each."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        return  # standard error is gone


def _written(error: BaseException, argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Write a new file that only its owner can read; return its path, or None."""
    try:
        text = "\n".join(describe(error, argv)) + "\n"
        for folder in _folders(argv, environ):
            try:
                return _write_new(os.path.abspath(folder), text)
            except OSError:
                continue
    except Exception:
        return None
    return None


def _write_new(folder: str, text: str) -> str:
    import tempfile

    descriptor, path = tempfile.mkstemp(".txt", "batchrunner-report-", folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path


def _folders(argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """Give the folder of the database, if it is a file, then the folder for temporary files."""
    import tempfile

    db = environ.get("BATCHRUNNER_DB") or "batchrunner.db"
    for option, value in zip(argv, [*argv[1:], ""], strict=True):
        if option == "--db":
            db = value
        elif option.startswith("--db="):
            db = option.removeprefix("--db=")
    if "://" not in db:
        yield os.path.dirname(db) or os.curdir
    yield tempfile.gettempdir()


def describe(error: BaseException, argv: Sequence[str]) -> Iterator[str]:
    """Give the lines of a report: versions, the command's words, tracebacks without any value."""
    yield "batchrunner ended by an exception that nobody expected."
    yield "Values, messages and arguments are left out."
    yield ""
    yield from _versions()
    yield f"command: {' '.join(_words(argv))}"
    for each in _exceptions(error):
        yield ""
        yield _headline(each)
        yield from _frames(each.__traceback__)


def _versions() -> Iterator[str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    yield f"python: {platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in ("batchrunner", *_PACKAGES):
        try:
            yield f"{package}: {version(package)}"
        except PackageNotFoundError:
            yield f"{package}: not installed"


def _words(argv: Sequence[str]) -> Iterator[str]:
    """Give the names of the command and of its options; their values may be secret."""
    first = next(iter(argv[1:]), "")
    if first.isascii() and first.replace("-", "").isalpha() and len(first) <= 20:
        yield first
    for word in argv[2:]:
        name = word.partition("=")[0]
        if name.startswith("--") and name.replace("-", "").isalpha() and len(name) <= 30:
            yield name


def _exceptions(error: BaseException) -> Iterator[BaseException]:
    """Give an exception, its causes, and the members of groups; each one once."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MAX_EXCEPTIONS:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        members = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        waiting += [cause for cause in (*members, each.__cause__, each.__context__) if cause]


def _headline(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, _PLAIN):
        return f"{kind}: {ascii(str(error))[:200]}"
    if isinstance(error, OSError):
        return f"{kind}: {error.errno}"
    return f"{kind}: (a message of {len(str(error))} characters)"


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = "/".join(code.co_filename.split(os.sep)[-3:])
        frames.append(f"  {place}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    yield from frames[:MAX_FRAMES]
    if len(frames) > 2 * MAX_FRAMES:
        yield f"  … {len(frames) - 2 * MAX_FRAMES} more …"
    yield from frames[max(MAX_FRAMES, len(frames) - MAX_FRAMES) :]
