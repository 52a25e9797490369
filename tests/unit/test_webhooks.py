"""Where webhooks come in: an address that the API would call, or an error that says what to do."""

from __future__ import annotations

import pytest

from batchrunner.app.webhook_listener import webhook_from_options
from batchrunner.errors import UsageError

SECRET = "c2VjcmV0"


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:0", "http://127.0.0.1:4711/"),
        ("localhost:8788", "http://127.0.0.1:4711/"),
        ("0.0.0.0:8788", "http://127.0.0.1:4711/"),
        ("[::1]:8788", "http://[::1]:4711/"),
        ("[::]:8788", "http://[::1]:4711/"),
    ],
)
def test_an_api_on_this_machine_comes_straight_to_the_port(listen: str, address: str) -> None:
    hook = webhook_from_options(listen, None, local=True)
    assert hook is not None
    assert hook.address(4711, SECRET) == address + SECRET


@pytest.mark.parametrize("url", ["https://hooks.example.com", "https://hooks.example.com/br/"])
def test_any_other_api_comes_by_the_public_address(url: str) -> None:
    hook = webhook_from_options("127.0.0.1:8788", url, local=False)
    assert hook is not None
    assert hook.address(8788, SECRET) == f"{url.rstrip('/')}/{SECRET}"


def test_without_the_options_nobody_listens() -> None:
    assert webhook_from_options(None, None, local=False) is None


@pytest.mark.parametrize(
    ("listen", "url", "local", "says"),
    [
        (None, "https://hooks.example.com", False, "leads nowhere"),
        ("127.0.0.1:8788", None, False, "only addresses with https"),
        ("8788", None, True, "no address of this machine"),
        (":8788", None, True, "no address of this machine"),
        ("127.0.0.1:", None, True, "no address of this machine"),
        ("127.0.0.1:65536", None, True, "no address of this machine"),
        ("127.0.0.1:-1", None, True, "no address of this machine"),
        ("hooks.example.com:80", None, True, "no address of this machine"),
        ("127.0.0.1:8788", "http://hooks.example.com", False, "would call"),
        ("127.0.0.1:8788", "ftp://hooks.example.com", True, "would call"),
        ("127.0.0.1:8788", "https://", False, "would call"),
        ("127.0.0.1:8788", "https://me:secret@hooks.example.com", False, "would call"),
        ("127.0.0.1:8788", "https://hooks.example.com/?a=b", False, "would call"),
        ("127.0.0.1:8788", "https://hooks.example.com/#a", False, "would call"),
        ("127.0.0.1:8788", "https://hooks.example.com:99999", False, "would call"),
        ("127.0.0.1:8788", "https://[hooks", False, "would call"),
        ("127.0.0.1:8788", "hooks.example.com", False, "would call"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_begins(
    listen: str | None, url: str | None, local: bool, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        webhook_from_options(listen, url, local=local)
    assert refused.value.next
    assert "me:secret" not in refused.value.what
