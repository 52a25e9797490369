"""Which proxy is used, for which host, and what is said of one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrunner.network.clients import check_network
from batchrunner.network.errors import NetworkSettingsError
from batchrunner.network.hosts import Host, is_this_machine, needs_no_proxy, odd_entries
from batchrunner.network.proxies import ignored_entries, proxy_for

API = "https://api.test/v1/runs"
PASSWORD = "sesame-0123456789"


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "the proxy p:1 (HTTPS_PROXY)"),
        ({"https_proxy": "p:1", "HTTPS_PROXY": "http://q:2"}, "the proxy p:1 (https_proxy)"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://q:2"}, None),
        ({"ALL_PROXY": " http://p:1/\n"}, "the proxy p:1 (ALL_PROXY)"),
        ({"HTTPS_PROXY": "https://p", "ALL_PROXY": "ftp://q"}, "the proxy p (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": f"http://me:{PASSWORD}@[::2]:1"}, "the proxy ::2:1 (HTTPS_PROXY)"),
        ({"HTTP_PROXY": "ftp://q:99999"}, None),
        ({"HTTPS_PROXY": "nonsense://", "NO_PROXY": "api.test"}, None),
        ({"HTTPS_PROXY": "nonsense://", "NO_PROXY": "*"}, None),
    ],
)
def test_the_most_specific_variable_counts(environ: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(API, environ)
    assert (str(found) if found else None) == proxy


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        f"ftp://me:{PASSWORD}@p:1",
        f"socks4://me:{PASSWORD}@p:1",
        f"http://me:{PASSWORD}@p:99999",
        f"http://me:{PASSWORD}@p:http",
        f"http://me:{PASSWORD}@p:0",
        f"http://me:{PASSWORD}@",
        f"http://me:{PASSWORD}@[::1",
        f"http://me:{PASSWORD}@p q:1",
        f"http://me:{PASSWORD}@p\n:1",
        f"http://me:{PASSWORD}@p\udcff:1",
        "://",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(NetworkSettingsError) as caught:
        proxy_for(API, {variable: value})
    assert caught.value.what.startswith(f"{variable} names a proxy that cannot be used: ")
    assert f"unset {variable}" in caught.value.next
    assert PASSWORD not in caught.value.what + caught.value.next


def test_a_socks_proxy_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrunner.network.proxies.find_spec", lambda _: None)
    with pytest.raises(NetworkSettingsError) as caught:
        proxy_for(API, {"ALL_PROXY": "socks5://p:1"})
    assert "ALL_PROXY" in caught.value.what
    assert caught.value.next == caught.value.command == "python3 -m pip install socksio"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.9.10", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"),
        *("localhost", "LOCALHOST.", "x.localhost"),
    ],
)
def test_this_machine_is_never_reached_by_way_of_a_proxy(host: str) -> None:
    environ = {"ALL_PROXY": "http://p:1"}
    assert proxy_for(f"http://{host}:8765", environ) is None
    assert proxy_for(f"https://{host}:8765", environ) is None
    assert proxy_for(f"http://{host}", {"ALL_PROXY": "nonsense://"}) is None


def test_a_name_of_the_hosts_file_may_be_this_machine(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.1.1 box box.lan # me\n::1 box\n10.0.0.9 far\n127.0.0.1 far\nodd\n")
    assert [is_this_machine(name, hosts) for name in ("box", "BOX.lan", "far", "other")] == [
        *(True, True),
        *(False, False),
    ]
    assert not is_this_machine("box", tmp_path / "none")


@pytest.mark.parametrize(
    ("no_proxy", "host", "covered"),
    [
        ("api.test", "api.test", True),
        ("api.test", "v2.api.test", True),
        ("api.test", "notapi.test", False),
        (".test", "api.test", True),
        ("*.TEST", "api.test.", True),
        ("  other , api.test\t", "api.test", True),
        ("api.test:443", "api.test", True),
        ("api.test:444", "api.test", False),
        ("https://api.test/", "api.test", True),
        ("*", "api.test", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.*", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "[fd00::1]", True),
        ("fd00::1", "fe80::1", False),
        ("fd00::/8", "api.test", False),
        ("", "api.test", False),
        (",,", "api.test", False),
    ],
)
def test_no_proxy_covers(no_proxy: str, host: str, covered: bool) -> None:
    assert needs_no_proxy(Host(name=host), no_proxy) is covered
    assert not odd_entries(no_proxy)


def one_warning(entry: str) -> str:
    (line,) = [*ignored_entries({"NO_PROXY": f"api.test,{entry}"})] or [""]
    assert entry in line
    return line


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "foo:bar:baz", "a..b", "!", "http://"])
def test_an_entry_that_means_nothing_is_ignored_in_words(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"NO_PROXY": f"api.test,{entry}", "HTTPS_PROXY": "http://p:1"}
    assert proxy_for(API, environ) is None
    line = one_warning(entry)
    check_network(API, environ)
    check_network(API, environ)
    assert [record.getMessage() for record in caplog.records] == [f"warning: {line}"]
