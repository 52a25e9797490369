"""What a job file asks for is what the API is asked for: every option, each job its own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchrunner.api_facts.run_options import RUN_OPTIONS
from tests.e2e.programs import batchrunner, served

TEXT = {"type": "object", "properties": {"name": {"type": "string", "nullable": True}}}
NUMBER = {"type": "object", "properties": {"price": {"type": "number", "nullable": True}}}
OPTIONS: dict[str, Any] = {
    "browser_profile": "stealth",
    "proxy_config": {
        "enabled": True,
        "type": "custom",
        "url": "http://proxy.example.com:3128",
        "username": "u",
        "password": "p",
    },
    "agent_config": {
        "mode": "strict",
        "max_steps": 40,
        "max_duration_seconds": 240,
        "cursor_style": "fish",
    },
    "capture_config": {
        "screenshots": True,
        "snapshots": True,
        "html": True,
        "elements": True,
        "recording": True,
    },
    "output_schema": TEXT,
    "use_vault": True,
    "credential_item_ids": ["cred:c:v:i"],
    "use_profile": True,
    "profile_id": "prof_1",
    "webhook_url": "https://hooks.example.com/done",
    "api_integration": "night",
    "feature_flags": {"enable_agent_memory": True},
}
URL = "http://shop.test/products/"


@pytest.mark.sweep
def test_every_option_reaches_the_api_from_defaults_and_from_jobs(tmp_path: Path) -> None:
    assert set(OPTIONS) == set(RUN_OPTIONS)
    jobs: list[dict[str, Any]] = [
        {"url": f"{URL}1"},
        {"url": f"{URL}2", "browser_profile": "lite", "agent_config": None, "use_profile": True},
        {"url": f"{URL}3", "output_schema": NUMBER},
        {"url": f"{URL}4", "output_schema": None},
        {"url": f"{URL}5"},
    ]
    with served(tmp_path) as remote:
        here: Any = {"cwd": tmp_path, "env": remote.env}
        item, *_ = batchrunner("vault", "--json", **here).json()["items"]
        profile, *_ = batchrunner("profiles", "--json", **here).json()
        ids = {"credential_item_ids": [item["itemId"]], "profile_id": profile["id"]}
        file = {"defaults": {"goal": "Read the page", **OPTIONS, **ids}, "jobs": jobs}
        (tmp_path / "jobs.yaml").write_text(json.dumps(file))
        batchrunner("run", "jobs.yaml", "-q", cwd=tmp_path, env=remote.env)
        # Another try may change options: it is the first one that is as the file says.
        bodies: dict[str, Any] = {}
        for run in remote.runs():
            bodies.setdefault(run.url, dict(run.body))
        creates = [
            json.loads(line)["runs"]
            for line in remote.count.journal.read_text().splitlines()
            if "runs" in json.loads(line)
        ]
    expected = {job["url"]: {**OPTIONS, **ids, **job} for job in jobs}
    for url, body in bodies.items():
        sent = {name: body[name] for name in RUN_OPTIONS if name in body}
        wanted = {name: v for name, v in expected[url].items() if name in RUN_OPTIONS and v}
        assert sent == wanted, url
    assert len(bodies) == len(jobs)
    for create in creates:
        schemas = Counter(json.dumps(run.get("output_schema")) for run in create)
        assert len(schemas) == 1, "a request has one schema for all its runs"


def test_combinations_that_the_api_refuses_are_refused_when_the_file_is_loaded(
    tmp_path: Path,
) -> None:
    wrong = {
        "credential_item_ids: [a]": "needs `use_vault: true`",
        "profile_id: prof_1": "needs `use_profile: true`",
        "proxy_config: {enabled: true, type: custom}": "needs `url`",
        "agent_config: {max_steps: 501}": "500",
        "agent_config: {max_duration_seconds: 0}": "max_duration_seconds",
        "webhook_url: http://hooks.example.com": "https://",
        "output_schema: {type: object, properties: {a: {oneOf: []}}}": "#/properties/a",
        "output_schema: {anyOf: []}": "must be the top",
    }
    jobs = [f"- url: {URL}{at}\n  goal: Read\n  {option}\n" for at, option in enumerate(wrong)]
    (tmp_path / "jobs.yaml").write_text("".join(jobs))
    refused = batchrunner("load", "jobs.yaml", cwd=tmp_path)
    assert refused.code == 2
    for words in wrong.values():
        assert words in refused.err, words
    assert not (tmp_path / "batchrunner.db").exists()


@pytest.mark.sweep
def test_a_feature_without_a_right_to_it_is_told_from_a_lack_of_credits(tmp_path: Path) -> None:
    job = {"url": "http://faults.test/gated", "goal": "Read", "agent_config": {"mode": "strict"}}
    (tmp_path / "jobs.yaml").write_text(json.dumps([job]))
    with served(tmp_path) as remote:
        ended = batchrunner("run", "jobs.yaml", "-q", cwd=tmp_path, env=remote.env)
        assert ended.code == 1
        assert remote.runs() == []
    row = json.loads(batchrunner("export", cwd=tmp_path).out)
    assert row["category"] == "unauthorized"
    assert "no right to agent_config.mode" in row["message"]
