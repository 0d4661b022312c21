"""The nightly workflow and the systemd units: valid, and their scripts do what they are for."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from harness.deadline import PACE
from harness.patch import command as patch
from harness.record.results import Shard, dumps

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github/workflows/nightly.yml"
UNITS = ROOT / "ci/systemd"


def steps() -> list[tuple[str, dict[str, Any]]]:
    jobs: dict[str, Any] = YAML(typ="safe").load(WORKFLOW.read_text())["jobs"]
    return [(name, step) for name, job in jobs.items() for step in job["steps"]]


def script(name: str) -> str:
    (found,) = (str(step["run"]) for _, step in steps() if step.get("name") == name)
    return found


def bash(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120 * PACE,
        check=False,
    )


@pytest.mark.parametrize("workflow", sorted(WORKFLOW.parent.iterdir()), ids=lambda path: path.name)
def test_each_workflow_follows_githubs_schema(workflow: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*command, str(workflow)], capture_output=True, text=True, timeout=60 * PACE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_that_does_not_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOW.read_text().replace("runs-on:", "runs-at:", 1))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(broken)], capture_output=True, timeout=60 * PACE, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("text", [step["run"] for _, step in steps() if "run" in step])
def test_scripts_are_bash_and_take_values_from_the_environment_alone(text: str, tmp_path: Path) -> None:
    assert bash(f"set -n\n{text}", tmp_path).returncode == 0
    assert "${{" not in text, "an input would be run as a script"


def test_what_the_scripts_start_is_there() -> None:
    words = " ".join(step["run"] for _, step in steps() if "run" in step).split()
    started = {word for word in words if word.startswith("ci/")}
    assert started == {"ci/conformance", "ci/patch", "ci/setup"}
    assert all(os.access(ROOT / word, os.X_OK) for word in started)


FETCH = "Fetch both, so that every shard judges the same bytes"


def test_builds_are_releases_or_files(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact/cloud-hypervisor").write_text("a binary")
    done = bash(script(FETCH), tmp_path, RELEASED="release:v1.0", HEAD="artifact")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "builds/released.vmm").read_text() == "release:v1.0\n"
    assert (tmp_path / "builds/head.vmm").read_text() == "builds/head\n"
    assert (tmp_path / "builds/head").read_text() == "a binary"


def test_a_build_that_nobody_named_is_said(tmp_path: Path) -> None:
    done = bash(script(FETCH), tmp_path, RELEASED="release:v1.0", HEAD="")
    assert done.returncode == 1
    assert "::error::no head build: give the input, or set the variable MQ_HEAD" in done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as merging and judging takes, set up already."""
    (tmp_path / "ci").mkdir()
    shutil.copy2(ROOT / "ci/patch", tmp_path / "ci")
    (tmp_path / "ci/setup").write_text("#!/bin/sh\n")
    (tmp_path / "ci/setup").chmod(0o755)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("verdicts", "shards", "wanted", "said"),
    [
        (("pass", "pass"), 2, "verdict=0", "gate: as expected"),
        (("pass", "fail"), 2, "verdict=1", "NEW FAILURE head t.py::test_2"),
        (("pass", "pass"), 1, "verdict=2", "COULD NOT JUDGE"),
        (("pass", "pass"), 0, "verdict=2", "shards/* cannot be read"),
    ],
)
def test_shards_become_a_verdict(
    checkout: Path,
    make_result: MakeResult,
    make_run: MakeRun,
    verdicts: tuple[str, str],
    shards: int,
    wanted: str,
    said: str,
) -> None:
    for number in range(1, shards + 1):
        folder = checkout / f"shards/shard-{number}"
        folder.mkdir(parents=True)
        released = make_result(f"t.py::test_{number}", "released")
        head = make_result(f"t.py::test_{number}", "head", verdicts[number - 1])
        (folder / "results.json").write_bytes(
            dumps(make_run(released, head, shard=Shard(number, 2, 4, "abc")))
        )
    done = bash(script("Merge and judge"), checkout, GITHUB_OUTPUT="output", GITHUB_STEP_SUMMARY="step.md")
    assert done.returncode == 0, done.stderr
    assert (checkout / "output").read_text() == f"{wanted}\n"
    assert ("* head: `synthetic 1.0`" in (checkout / "step.md").read_text()) == (shards > 0)
    assert said in (checkout / "report/gate.txt").read_text()
    assert said in (checkout / "step.md").read_text()
    assert (checkout / "report/report.html").exists() == (shards > 0)
    assert len(list(checkout.glob("history/*/results.json"))) == (shards > 0)


def test_the_second_night_knows_the_first_and_old_ones_go(
    checkout: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    for day in range(1, 32):
        old = checkout / f"history/202401{day:02}T000000Z"
        old.mkdir(parents=True)
        run = make_run(make_result(vmm="head"), started=f"2024-01-{day:02}T00:00:00+00:00")
        (old / "results.json").write_bytes(dumps(run))
    (checkout / "shards/shard-1").mkdir(parents=True)
    bad = make_run(
        make_result(vmm="released"), make_result(vmm="head", verdict="fail"), shard=Shard(1, 1, 2, "abc")
    )
    (checkout / "shards/shard-1/results.json").write_bytes(dumps(bad))
    done = bash(script("Merge and judge"), checkout, GITHUB_OUTPUT="output", GITHUB_STEP_SUMMARY="step.md")
    assert done.returncode == 0, done.stderr
    assert "new: last passed 2024-01-31 00:00" in (checkout / "step.md").read_text()
    kept = sorted(path.name for path in (checkout / "history").iterdir())
    assert len(kept) == 30
    assert kept[0] == "20240103T000000Z"


def test_the_service_starts_ci_patch_with_options_that_it_has() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / "virtio-net-mq.service")
    program, *words = unit["Service"]["ExecStart"].split()
    assert program == "/opt/virtio-net-mq/ci/patch"
    options = patch._parser().parse_args(words)
    assert (options.base, options.head) == ("released=${RELEASED}", "head=${HEAD}")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
@pytest.mark.parametrize("unit", ["virtio-net-mq.service", "virtio-net-mq.timer"])
def test_systemd_takes_the_units(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNITS / unit)],
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if unit in line and "not executable" not in line]
    assert not complaints
