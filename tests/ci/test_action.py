"""The action, the workflow for pull requests, and what the documentation shows of both."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.checkout import ROOT
from harness.deadline import PACE
from harness.patch import command as patch
from harness.version import VERSION

ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / ".github/workflows/pull-request.yml"
PAGE = ROOT / "docs/pull-requests.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


def follows(schema: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "checked.yml"
    file.write_text(text)
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        f"vendor.github-{schema}",
        str(file),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60 * PACE, check=False)


@pytest.mark.parametrize(
    ("schema", "text", "wrong"),
    [("actions", ACTION.read_text(), "using:"), ("workflows", WORKFLOW.read_text(), "runs-on:")],
    ids=["action", "workflow"],
)
def test_they_follow_githubs_schema(tmp_path: Path, schema: str, text: str, wrong: str) -> None:
    done = follows(schema, text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert follows(schema, text.replace(wrong, "wrong:", 1), tmp_path).returncode == 1


def test_scripts_take_values_from_the_environment_alone() -> None:
    jobs = load(WORKFLOW.read_text())["jobs"]
    steps = [
        *load(ACTION.read_text())["runs"]["steps"],
        *(step for job in jobs.values() for step in job["steps"]),
    ]
    texts = [step["run"] for step in steps if "run" in step]
    assert len(texts) >= 3
    assert not [text for text in texts if "${{" in text]


class Judged:
    """The action's script, run as GitHub does for a user, with a ci/patch that writes down its words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "suite/ci").mkdir(parents=True)
        self._program(
            "suite/ci/patch",
            'printf "%s\\0" "$@" > words\necho "$XDG_CACHE_HOME" > cache\necho hello\nexit $ENDS',
        )
        self._program("bin/sudo", '[ "$1" = chown ] || exec "$@"')
        self._program("bin/id", "echo 1000")

    def _program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def __call__(self, inputs: dict[str, str], ends: int = 0) -> list[str]:
        action = load(ACTION.read_text())
        (step,) = (step for step in action["runs"]["steps"] if step.get("id") == "judge")
        given = {name.replace("-", "_"): value for name, value in inputs.items()}
        values = {
            name.replace("-", "_").upper(): given.get(name.replace("-", "_"), str(how.get("default", "")))
            for name, how in action["inputs"].items()
        }
        files = {"GITHUB_STEP_SUMMARY": "step.md", "GITHUB_OUTPUT": "output"}
        place = {"SUITE": str(self.folder / "suite"), "CACHE": "/the/cache", "ENDS": str(ends)}
        path = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={**os.environ, **values, **files, **place, **path},
            check=True,
            timeout=60 * PACE,
        )
        assert set(step["env"]) <= {*values, *place}
        return (self.folder / "words").read_text().split("\0")[:-1]


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return Judged(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "own", "rest"),
    [
        ({"vmm": "a b"}, {"head": "a b", "base": ""}, []),
        (
            {"vmm": "x", "base": "release:v1.0", "arguments": "-m 'not slow' -n 2"},
            {"base": "release:v1.0"},
            ["-m", "not slow", "-n", "2"],
        ),
        (
            {
                "vmm": "h",
                "base": "b",
                "repo": "r",
                "build": "make -j",
                "binary": "out/vmm",
                "since_fork": "true",
            },
            {"repo": Path("r"), "build": "make -j", "binary": "out/vmm", "since_fork": True},
            [],
        ),
    ],
)
def test_inputs_become_options_that_ci_patch_has(
    judged: Judged, inputs: dict[str, str], own: dict[str, object], rest: list[str]
) -> None:
    words = judged(inputs)
    mine = words.index("--")
    parser = patch._parser()
    options = parser.parse_args(words[:mine])
    patch._check(parser, options)
    assert {name: getattr(options, name) for name in own} == own
    assert words[mine + 1 :] == rest


@pytest.mark.parametrize("ends", [0, 1, 2])
def test_the_verdict_is_told_and_later_steps_are_reached(judged: Judged, ends: int) -> None:
    judged({"vmm": "x"}, ends)
    assert (judged.folder / "output").read_text() == f"verdict={ends}\n"
    assert (judged.folder / "step.md").read_text() == "hello\n"
    assert (judged.folder / "cache").read_text() == "/the/cache\n"


def test_the_lines_in_the_documentation_are_ten_and_right(tmp_path: Path) -> None:
    job, workflow = EXAMPLES
    whole = f"on: pull_request\njobs:\n{job}"
    for text in (whole, workflow):
        assert len(text.splitlines()) <= 12
        done = follows("workflows", text, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    (step,) = (
        s
        for s in load(whole)["jobs"]["virtio-net-mq"]["steps"]
        if s.get("uses", "").startswith("OWNER/NAME@")
    )
    assert set(step["with"]) <= set(load(ACTION.read_text())["inputs"])
    (called,) = load(workflow)["jobs"].values()
    inputs = load(WORKFLOW.read_text())["on"]["workflow_call"]["inputs"]
    assert set(called["with"]) <= set(inputs)
    assert {name for name, how in inputs.items() if how.get("required")} <= set(called["with"])
    assert called["uses"].endswith(f".github/workflows/{WORKFLOW.name}@{called['with']['ref']}")


def test_the_documentation_pins_this_version() -> None:
    assert set(re.findall(r"@v([0-9][0-9.]*)", PAGE.read_text())) == {"4", VERSION}


def test_the_image_runs_the_installed_program() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert 'ENTRYPOINT ["virtio-net-mq"]' in text
    (line,) = re.findall(r"podman run ((?:.*\\\n)*.*)", PAGE.read_text())
    words = shlex.split(line.replace("\\\n", " "))
    assert words[-3:] == ["conformance", "--vmm", "./cloud-hypervisor"]
