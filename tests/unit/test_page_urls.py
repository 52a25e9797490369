"""Addresses as people paste them: what is refused with which fix, what is warned of, which page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.page_urls import is_ordinary, page_of, url_fault, url_oddities
from batchrunner.model.hosts import host_of

GOOD = "https://shop.example/p/1"


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "is empty", "address"),
        ("shop.example/p/1", "has no https:// in front", f"write {GOOD}"),
        ("www.shop.example", "has no https:// in front", "write https://www.shop.example"),
        ("localhost:8080/x", "has no https:// in front", "write https://localhost:8080/x"),
        ("192.168.0.1/x", "has no https:// in front", "write https://192.168.0.1/x"),
        ("//shop.example/p/1", "has no https:// in front", f"write {GOOD}"),
        ("https:/shop.example/p/1", "starts with `https:/`", f"write {GOOD}"),
        ("https//shop.example/p/1", "starts with `https//`", f"write {GOOD}"),
        ("htps://shop.example/p/1", "starts with `htps://`", f"write {GOOD}"),
        ("hxxps://shop.example/p/1", "starts with `hxxps://`", f"write {GOOD}"),
        ("https:\\\\shop.example\\p\\1", "starts with `https:\\\\`", f"write {GOOD}"),
        ("https://shop.example\\p\\1", "contains backslashes", f"write {GOOD}"),
        ("https://https://shop.example/p/1", "two schemes", f"write {GOOD}"),
        ("mailto:a@shop.example", "is a mail address", "https://"),
        ("a@shop.example", "is a mail address", "https://"),
        ("javascript:void(0)", "is a script", "https://"),
        ("tel:+49301234", "is a telephone number", "https://"),
        ("file:///home/me/x.html", "is a file on a computer", "https://"),
        ("ftp://shop.example/x", "is on an FTP server", "https://"),
        ("data:text/html,x", "is data", "https://"),
        ("C:\\pages\\1.html", "is the path of a file", "https://"),
        ("./page.html", "is the path of a file", "https://"),
        ("[Lamp](https://shop.example/p/1)", "is a Markdown link", f"write {GOOD}"),
        ('[Lamp](https://shop.example/p/1 "T")', "is a Markdown link", f"write {GOOD}"),
        ("<https://shop.example/p/1>", "in angle brackets", f"write {GOOD}"),
        ("“https://shop.example/p/1”", "in quotes", f"write {GOOD}"),
        ("'https://shop.example/p/1'", "in quotes", f"write {GOOD}"),
        ("(https://shop.example/p/1)", "in brackets", f"write {GOOD}"),
        ('=HYPERLINK("https://shop.example/p/1","Lamp")', "is a formula", f"write {GOOD}"),
        ('<a href="https://shop.example/p/1">Lamp</a>', "is an HTML link", f"write {GOOD}"),
        ("https://shop.example/p/1\u200b", "invisible character \\u200b", f"remove it: {GOOD}"),
        ("\ufeffhttps://shop.example/p/1", "invisible character \\ufeff", f"remove it: {GOOD}"),
        ("https://a.example/1 https://a.example/2", "holds 2 addresses", "one row"),
        ("https://a.example/1,https://a.example/2", "holds 2 addresses", "one row"),
        ("https://a.example/1; www.a.example/2", "holds 2 addresses", "one row"),
        ("https://a.example/1\nhttps://a.example/2", "holds 2 addresses", "one row"),
        ("https://shop.example/p/{sku}", "placeholder `{sku}` left", "--url"),
        ("https://shop.example/p/{{ sku }}", "placeholder `{{ sku }}` left", "--url"),
        ("https://shop.example/p/<sku>", "placeholder `<sku>` left", "--url"),
        ("https://shop.example/p/%(sku)s", "placeholder `%(sku)s` left", "--url"),
        ("https://shop.example/p/%7Bsku%7D", "placeholder `%7Bsku%7D` left", "--url"),
        ("https://shop.example/red lamp", "contains a space", "red%20lamp"),
        ("https://shop.example/red\u00a0lamp", "contains a space", "red%20lamp"),
        ("https://shop.example/a\tb", "contains the character \\t", "remove it"),
        ("https://shop..example/", "has the host `shop..example`", "check"),
        (f"https://{'a' * 64}.example/", "which cannot exist", "check"),
        ("https://", "has no valid host", "https://example.com"),
        ("https://shop.example:99999/", "has no valid host and port", "https://example.com"),
        ("#REF!", "is `#REF!`, an error of the spreadsheet", "formula"),
        ("#N/A", "an error of the spreadsheet", "formula"),
        ("n/a", "is `n/a`, not an address", "write"),
        ("https://a.example/" + "x" * 9000, "characters; 8,192 are allowed", ""),
    ],
)
def test_a_fault_is_named_with_what_to_write_instead(text: str, message: str, fix: str) -> None:
    fault = url_fault(text)
    assert fault is not None
    assert message in fault.message
    assert fix in (fault.tip or "")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "http://shop.example",
        "HTTPS://Shop.Example:8443/P?q=a+b&c=%20#top",
        "https://web.archive.org/web/2020/https://shop.example/",
        "https://shop.example/go?to=https://a.example/,https://b.example/x"[:45],
        "https://shop.example/a,b;c|d",
        "https://bücher.example/straße",
        "https://日本.example/商品?名=値",
        "https://shop.example/list[0]?a[]=1",
        "https://[2001:db8::1]/x",
        "https://shop.example./x",
    ],
)
def test_addresses_that_browsers_open_have_no_fault(text: str) -> None:
    assert url_fault(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://me:secret@shop.example/", "a user name or a password"),
        ("https://me@shop.example/", "a user name or a password"),
        ("http://localhost:3000/x", "in a private network"),
        ("http://127.0.0.1/x", "in a private network"),
        ("http://10.1.2.3/x", "in a private network"),
        ("http://[::1]/x", "in a private network"),
        ("http://169.254.169.254/latest", "in a private network"),
        ("https://printer.local/", "in a private network"),
        ("https://intranet/x", "a host without a dot"),
        ("https://xn--bcher-kva.example/", "punycode"),
        ("https://shоp.example/", "several scripts"),
        ("https://xn--shp-0ed.example/", "several scripts"),
        ("https://shop.example/?a=1&amp;b=2", "&amp;"),
        ("https://shop.example/very-long…", "ellipsis"),
        ("https://shop.example/very-long...", "ellipsis"),
    ],
)
def test_what_is_odd_is_named_and_not_refused(text: str, kind: str) -> None:
    assert url_fault(text) is None
    assert any(kind in oddity.kind for oddity in url_oddities(text))
    assert not any("secret" in f"{oddity.kind}{oddity.detail}" for oddity in url_oddities(text))


def test_usual_addresses_are_not_odd() -> None:
    for text in (GOOD, "https://shop.example/a..b", "https://日本.example/商品", f"{GOOD}#top"):
        assert list(url_oddities(text)) == []


@pytest.mark.parametrize(
    "other",
    [
        "https://shop.example/p/1?utm_source=mail&utm_medium=x",
        "https://shop.example/p/1?gclid=abc",
        "https://shop.example/p/1/?fbclid=abc",
        "https://shop.example/p/1#reviews",
        "https://shop.example/p/1/",
        "http://shop.example/p/1",
        "https://Shop.Example:443/p/1",
        "https://shop.example/p/1?",
    ],
)
def test_one_page_has_many_addresses(other: str) -> None:
    assert page_of(other) == page_of(GOOD)


@pytest.mark.parametrize(
    "other",
    [
        "https://shop.example/p/2",
        "https://shop.example/P/1",
        "https://shop.example/p/1?color=red",
        "https://shop.example/p/1#/cart",
        "https://shop.example:8443/p/1",
        "https://www.shop.example/p/1",
    ],
)
def test_other_pages_have_other_addresses(other: str) -> None:
    assert page_of(other) != page_of(GOOD)


def test_parameters_that_are_no_tracking_are_kept_beside_it() -> None:
    assert page_of(f"{GOOD}?utm_source=x&q=1&gclid=2") == page_of(f"{GOOD}?q=1")
    assert page_of(f"{GOOD}?a=utm_source=x") != page_of(GOOD)


@given(st.text(max_size=60).map(lambda text: f"https://{text}"))
def test_what_is_ordinary_has_neither_fault_nor_oddity_by_the_long_way(text: str) -> None:
    url_fault(text)  # no text makes it fail
    page_of(text)
    if is_ordinary(text):
        assert host_of(text)
        assert "@" not in text.split("/")[2]
