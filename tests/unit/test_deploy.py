"""The files in deploy/ are what their readers take, and their commands are ours."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from batchrunner.app.run_window import run_window
from batchrunner.cli.commands.run import command

DEPLOY = Path(__file__).parents[2] / "deploy"
KEY_FILE = "TINYFISH_API_KEY_FILE"


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return loaded


def unit(name: str) -> RawConfigParser:
    parser = RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / name).read_text(encoding="utf-8"))
    return parser


def check_command(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that these words after `batchrunner` are a `run` that the program takes."""
    first, file, *options = words
    assert first == "run"
    monkeypatch.chdir(folder)
    Path(folder / Path(file).name).write_text("jobs: []", encoding="utf-8")
    given = command.make_context("run", [Path(file).name, *options], resilient_parsing=False)
    assert isinstance(given, click.Context)
    if given.params["until"] is not None:
        run_window(None, given.params["until"], lambda _: None)


# ---- compose ----


def test_compose_starts_postgresql_and_two_runners_that_share_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = document("compose.yaml")
    services = found["services"]
    database, *runners = services.values()
    assert database["image"].startswith("postgres:")
    assert database["healthcheck"]["test"][0] == "CMD-SHELL"
    assert len(runners) == 2
    for runner in runners:
        assert runner["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert runner["environment"] == runners[0]["environment"]
        check_command(runner["command"], tmp_path, monkeypatch)
    outputs = [runner["command"][-1] for runner in runners]
    assert len(set(outputs)) == 2, "two runners must not write one file"


def test_every_name_in_compose_is_declared() -> None:
    found = document("compose.yaml")
    for service in found["services"].values():
        assert set(service["secrets"]) <= set(found["secrets"])
        assert set(service.get("depends_on", ())) <= set(found["services"])
        named = [volume.partition(":")[0] for volume in service["volumes"]]
        assert {name for name in named if not name.startswith(".")} <= set(found["volumes"])
        for value in map(str, service["environment"].values()):
            if value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_the_image_is_built_from_this_source() -> None:
    build = document("compose.yaml")["services"]["runner-1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.1[1-9]-slim$", text, re.MULTILINE)
    assert re.search(r"^USER 10001$", text, re.MULTILINE)


def test_compose_itself_takes_the_file_where_it_is_installed() -> None:
    docker = shutil.which("docker")
    if docker is None or _run(docker, "compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    checked = _run(docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "-q")
    assert checked.returncode == 0, checked.stderr


# ---- Kubernetes ----


def cron_job() -> dict[str, Any]:
    found = document("cronjob.yaml")
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    spec: dict[str, Any] = found["spec"]
    return spec


def test_the_cron_job_runs_once_at_a_time_and_has_time_to_end() -> None:
    spec = cron_job()
    assert spec["concurrencyPolicy"] == "Forbid"
    assert len(spec["schedule"].split()) == 5
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] >= 120
    hours = spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] / 3600
    assert 9 < hours < 10, "from 22:00 until a little after 07:00"


def test_the_cron_job_has_the_key_and_the_address_as_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = cron_job()["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert variables[KEY_FILE].startswith(f"{mounts['secrets']}/")
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    (secret,) = [each["secret"] for each in pod["volumes"] if "secret" in each]
    assert secret["defaultMode"] == 0o440
    assert "--until" in container["args"]
    args = [each.replace("/results/", "") for each in container["args"]]
    check_command(args, tmp_path, monkeypatch)


def test_exit_codes_about_jobs_do_not_start_the_pod_again() -> None:
    rules = cron_job()["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    (failing,) = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert failing["values"] == sorted(failing["values"])
    assert {1, 4, 5, 6, 7} <= set(failing["values"])
    assert not {0, 3, 137, 143} & set(failing["values"])


# ---- systemd and cron ----


def test_the_service_has_the_key_as_a_credential_and_drains_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = unit("batchrunner.service")["Service"]
    name = service["LoadCredential"].partition(":")[0]
    assert service["Environment"] == f"{KEY_FILE}=%d/{name}"
    assert (service["Type"], service["KillSignal"]) == ("oneshot", "SIGINT")
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "batchrunner"
    check_command(words, tmp_path, monkeypatch)
    assert unit("batchrunner.timer")["Timer"]["Unit"] == "batchrunner.service"


def test_systemd_itself_takes_the_units_where_it_is_installed(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("batchrunner.service", "batchrunner.timer"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        # It checks that the program exists.
        text = text.replace("/opt/batchrunner/bin/batchrunner", "/bin/true")
        (tmp_path / name).write_text(text, encoding="utf-8")
    units = [str(tmp_path / "batchrunner.service"), str(tmp_path / "batchrunner.timer")]
    checked = _run(analyze, "verify", "--man=no", *units)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_crontab_is_one_command_of_five_fields_and_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (DEPLOY / "crontab").read_text(encoding="utf-8").splitlines()
    variable, entry = [line for line in lines if line and not line.startswith("#")]
    assert variable.startswith(f"{KEY_FILE}=/")
    *fields, shell = entry.split(maxsplit=5)
    assert all(re.fullmatch(r"[0-9*,/-]+", each) for each in fields)
    assert "%" not in shell, "cron makes a line end of it"
    words = shlex.split(shell.partition(" 2>> ")[0])
    check_command(words[words.index("run") :], tmp_path, monkeypatch)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
