"""The page about the API has a row for each feature, and each row a test that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
API: dict[str, Any] = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text(encoding="utf-8"))

#: Parts of the description whose members are features.
SCHEMAS = (
    "RunRequest",
    "RunBatchRequest",
    "RunIdsRequest",
    "ProxyConfig",
    "AgentConfig",
    "CaptureConfig",
    "RunCore",
    "Run",
    "Step",
    "RunError",
    "RunList",
    "Pagination",
    "BatchGetResponse",
)


class Row(NamedTuple):
    feature: str
    use: str
    proof: str


def rows() -> list[Row]:
    lines = re.findall(r"^\| (.+) \|$", PAGE, re.M)
    cells = [line.split(" | ") for line in lines]
    return [Row(*each) for each in cells if each[0] not in ("feature", "---")]


def endpoints() -> Iterator[str]:
    for path, operations in API["paths"].items():
        yield from (f"{m.upper()} {path}" for m in operations if m in ("get", "post", "delete"))


def members() -> Iterator[str]:
    for name in SCHEMAS:
        yield from API["components"]["schemas"][name]["properties"]
    for parameter in (
        p for o in API["paths"].values() for p in o.get("get", {}).get("parameters", [])
    ):
        yield parameter["name"]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.feature[:60])
def test_every_row_names_a_use_and_a_test_that_is_there(row: Row) -> None:
    path, _, name = row.proof.partition("::")
    assert row.use
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("endpoint", list(endpoints()))
def test_every_endpoint_is_on_the_page(endpoint: str) -> None:
    assert f"`{endpoint}`" in PAGE


@pytest.mark.parametrize("member", sorted(set(members())))
def test_every_member_that_is_described_has_a_row(member: str) -> None:
    assert any(f"`{member}`" in row.feature for row in rows())
