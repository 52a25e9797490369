"""`batchrunner explain`: which rules are in force, and where each was written."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.programs import batchrunner

JOBS = """\
settings:
  max_attempts: 4
  policy:
    goal_failure: {wait: 30s}
    blocked: {attempts: 2}
jobs:
  - id: lamp
    url: https://shop.example/lamp
    goal: Get the price
    policy:
      goal_failure: {attempts: 6}
      lost:
        then: [{proxy_config: {enabled: true, type: custom, url: "http://u:hush@a.test"}}]
  - {id: vase, url: "https://shop.example/vase", goal: Get the price}
"""


def test_every_rule_is_reported_with_the_place_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(JOBS)
    shown = batchrunner("explain", "jobs.yaml", "--job", "lamp", "--json", cwd=tmp_path).json()
    assert (shown["job"], shown["failures_in_all"]) == ("lamp", 6)
    rules = shown["rules"]
    assert rules["goal_failure"] == {
        "attempts": {"value": 6, "from": "job, line 11"},
        "wait": {"value": 30.0, "from": "settings, line 4"},
        "then": {"value": [], "from": "usual"},
    }
    assert rules["blocked"]["attempts"] == {"value": 2, "from": "settings, line 5"}
    assert rules["blocked"]["then"]["from"] == "usual"
    assert rules["unknown"]["attempts"] == {"value": 4, "from": "max_attempts"}
    assert rules["throttled"] == {"fixed": "put back, uncounted"}
    assert rules["suspect"]["attempts"] == {"value": 1, "from": "usual"}
    assert rules["lost"]["attempts"] == {"value": 2, "from": "job, line 12"}
    assert set(rules["lost"]["then"]["value"][0]["proxy_config"]) == {"enabled", "type"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs.yaml"], "nothing is made"


def test_without_a_job_the_batchs_rules_are_reported(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(JOBS)
    ended = batchrunner("explain", "jobs.yaml", cwd=tmp_path)
    assert ended.code == 0
    assert "at most 4 counted failures in all" in ended.out
    assert "1 of 2 jobs have rules of their own: --job ID" in ended.out
    assert "hush" not in ended.out
    unknown = batchrunner("explain", "jobs.yaml", "--job", "rug", cwd=tmp_path)
    assert (unknown.code, unknown.out) == (2, "")
    assert "there is no job 'rug'" in unknown.err
