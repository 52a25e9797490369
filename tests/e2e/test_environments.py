"""A batch run in hostile environments: the same exit code, the same export, and no traceback."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.programs import (
    CANARY,
    PROCESS_SECONDS,
    PROGRAM,
    Ended,
    batchrunner,
    environment,
    pages,
    write_jobs,
)

#: A key and a certificate for this machine that nobody has signed.
TLS = Path(__file__).parents[1] / "fixtures" / "tls"
#: Everything about proxies and certificates that cannot be used; the sandbox needs none of it.
BAD_NETWORK = {
    "HTTP_PROXY": "http://127.0.0.1:99999",
    "HTTPS_PROXY": "ftp://me:sesame@127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "NO_PROXY": "fd00::/8, [::1, foo:bar:baz, 10.0.0.0/99",
    "SSL_CERT_FILE": "/nonexistent.pem",
    "SSL_CERT_DIR": "/nonexistent",
    "SSLKEYLOGFILE": "/nonexistent/keys",
}
BAD_TERMINAL = {"TERM": "\x1b[31m", "COLUMNS": "-5", "LINES": "abc", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Place:
    """An environment: variables (None: unset), and what a shell does before and around."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    before: str = ""
    around: str = ""


def at(env: Mapping[str, str | None] | None = None, before: str = "", around: str = "") -> Place:
    return Place(env=env or {}, before=before, around=around)


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
PLACES = {
    "proxies and certificates": at(BAD_NETWORK),
    "a dead proxy": at({"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "127.0.0.1:9"}),
    "SOCKS": at({"ALL_PROXY": "socks5://127.0.0.1:9", "all_proxy": "socks://127.0.0.1:9"}),
    "no certificates": at({"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}),
    "stdin closed": at(around="<&-"),
    "stdout closed": at(around=">&-"),
    "stderr closed": at(around="2>&-"),
    "everything closed": at(around="<&- >&- 2>&-"),
    "stderr full": at(around="2>/dev/full"),
    "stdout full": at(around=">/dev/full"),
    "both to a reader that goes": at(around="2>&1 | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}"),
    "C locale": at(ASCII),
    "an odd locale": at({"LANG": "xx_YY.none", "LC_ALL": "garbage"}),
    "ASCII only": at({"PYTHONIOENCODING": "ascii:strict"}),
    "no HOME": at({"HOME": None}),
    "HOME is missing": at({"HOME": "/nonexistent"}),
    "umask 000": at(before="umask 000;"),
    "TERM unset": at({"TERM": None}),
    "TERM dumb": at({"TERM": "dumb"}),
    "an odd terminal": at(BAD_TERMINAL),
    "a wide terminal": at({"COLUMNS": "99999999999999999999", "FORCE_COLOR": "1"}),
    "an odd time zone": at({"TZ": "Mars/Olympus"}),
    "TMPDIR is missing": at({"TMPDIR": "/nonexistent"}),
    "TMPDIR is a file": at({"TMPDIR": "/etc/passwd"}),
    "few open files": at(before="ulimit -n 24;"),
    "warnings are errors": at({"PYTHONWARNINGS": "error"}),
    "optimised": at({"PYTHONOPTIMIZE": "2"}),
    "developer mode": at({"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}),
    "almost no variables": at(before='env -i PYTHONPATH="$PYTHONPATH"'),
    "nohup": at(before="nohup", around="</dev/null"),
    "at once": at(
        {**BAD_NETWORK, **BAD_TERMINAL, **ASCII, "HOME": None, "PYTHONWARNINGS": "error"},
        before="umask 000;",
        around="<&- >/dev/full 2>&-",
    ),
}
QUICK = ("at once",)


def cases() -> list[object]:
    return [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.sweep) for name in PLACES
    ]


def in_place(place: Place, *args: str | Path, cwd: Path) -> Ended:
    """Run a command in an environment, started by a shell."""
    env = {k: v for k, v in {**environment(), **place.env}.items() if v is not None}
    done = subprocess.run(
        ["bash", "-c", f'{place.before} "$@" {place.around}', "bash", *PROGRAM, *map(str, args)],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROCESS_SECONDS,
    )
    decoded = [each.decode(errors="replace") for each in (done.stdout, done.stderr)]
    return Ended(done.returncode, *decoded)


@pytest.mark.sweep
@pytest.mark.parametrize("name", cases())
def test_a_batch_run_ends_as_it_would_undisturbed(name: str, tmp_path: Path) -> None:
    jobs = write_jobs(tmp_path, pages(2))
    ended = in_place(PLACES[name], "run", jobs, "--sandbox", "--json", cwd=tmp_path)
    assert "Traceback" not in ended.said
    assert ended.code == 0, ended.said
    assert len((tmp_path / "jobs.results.csv").read_text(encoding="utf-8").splitlines()) == 3
    for file in ("batchrunner.sandbox.db", "batchrunner.sandbox.jsonl", "jobs.results.csv"):
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600, file
    assert not [*tmp_path.glob("batchrunner-report-*")]


#: Environments in which nothing can be done: a code, one message, and no traceback.
HOPELESS = {
    "its folder is gone": (Place(before="mkdir gone; cd gone; rmdir ../gone;"), 3),
    "no file may grow": (Place(before="ulimit -f 0;"), 3),
    "its database is blank": (Place(env={"BATCHRUNNER_DB": " "}), 2),
    "a module is broken": (Place(env={"PYTHONPATH": "broken"}), 70),
}


@pytest.mark.sweep
@pytest.mark.parametrize("name", HOPELESS)
def test_what_cannot_be_done_is_a_code_and_a_message(name: str, tmp_path: Path) -> None:
    place, code = HOPELESS[name]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "click.py").write_text("raise RuntimeError('it is broken')")
    if "PYTHONPATH" in place.env:
        broken = f"{tmp_path}/broken{os.pathsep}{environment()['PYTHONPATH']}"
        place = Place(env={"PYTHONPATH": broken})
    jobs = write_jobs(tmp_path, pages(2))
    ended = in_place(place, "run", jobs, "--sandbox", cwd=tmp_path)
    assert (ended.code, ended.out) == (code, ""), ended.said
    assert len(ended.err.splitlines()) == 2
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks4://me:sesame@127.0.0.1:9"),
        ("https_proxy", "http://me:sesame@127.0.0.1:99999"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
    ],
)
@pytest.mark.parametrize("command", [["run", "jobs.yaml"], ["wallet"], ["runs", "list"]])
def test_a_setting_that_cannot_be_used_is_one_message(
    variable: str, value: str, command: list[str], tmp_path: Path
) -> None:
    write_jobs(tmp_path, ["https://shop.example/1"])
    env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": "https://api.test", variable: value}
    ended = batchrunner(*command, cwd=tmp_path, env=env)
    assert (ended.code, ended.out) == (3, "")
    first, tip = ended.err.splitlines()
    assert first.startswith(f"error: {variable} names ")
    assert tip.startswith("  tip: ")
    assert "sesame" not in ended.err
    assert not (tmp_path / "batchrunner.db").exists()


@pytest.mark.parametrize("command", [["run", "jobs.yaml"], ["wallet"], ["runs", "list"]])
def test_an_untrusted_certificate_is_one_message(command: list[str], tmp_path: Path) -> None:
    write_jobs(tmp_path, ["https://shop.example/1"])
    with untrusted() as url:
        env = {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": url}
        ended = batchrunner(*command, cwd=tmp_path, env=env)
    assert ended.code == 3
    assert "not trusted: self-signed certificate" in ended.err.splitlines()[-2]
    assert "export SSL_CERT_FILE=" in ended.err.splitlines()[-1]
    assert ended.err.count("not trusted") == 1


@contextmanager
def untrusted() -> Iterator[str]:
    """Serve nothing, with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "this_machine.pem", TLS / "key.pem")

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
