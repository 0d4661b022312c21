"""Small suites on the real plugin, run as users run them: in a process of their own, in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.deadline import PACE
from harness.run import capability
from harness.run.capability import Answer, Capabilities
from harness.vmm.base import Vmm
from tests.vmm.fakes import make_fake

PATIENCE = 240.0 * PACE
"""Seconds that a run inside a test may take."""


class Ran(NamedTuple):
    """How a run ended: exit code, and what it printed."""

    code: int
    out: str
    err: str


class Suite:
    """A suite in a folder of its own. Its one build, `alpha`, dies whenever it is to start a VM."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self.build = make_fake(folder, "qmp-dies-at-start")
        self._cache = folder / "cache" / "virtio-net-mq"
        self._cache.mkdir(parents=True)
        shutil.copy(image, self._cache)
        (folder / "tmp").mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "conftest.py").write_text('pytest_plugins = ("harness.run.plugin",)\n')

    def write(self, tests: str) -> None:
        """The suite's tests."""
        (self.folder / "test_it.py").write_text(tests)

    def command(self, *more: str, builds: Sequence[str] | None = None) -> list[str]:
        """The words that run it on its own build, or on others: each as --vmm takes it, with a name."""
        chosen = [f"alpha={self.build}"] if builds is None else builds
        return [sys.executable, "-m", "pytest", *(word for b in chosen for word in ("--vmm", b)), *more]

    def environment(self) -> dict[str, str]:
        """No settings of the run that we are in, and caches and temporary files of its own."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MQ_"))}
        return ours | {"XDG_CACHE_HOME": str(self._cache.parent), "TMPDIR": str(self.folder / "tmp")}

    def execute(self, command: list[str], **environment: str) -> Ran:
        """Run a command line in the suite's folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a command line in the suite's folder; what it says on both streams comes through one pipe."""
        return subprocess.Popen(
            # A shell's background jobs ignore interrupts, nohup hang-ups, and both hand that on to what they start.
            ["env", "--default-signal=INT,HUP", *command],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *more: str, builds: Sequence[str] | None = None) -> Ran:
        """Run it."""
        return self.execute(self.command(*more, builds=builds))

    def know(self, vmm: Vmm, **answers: Answer) -> None:
        """Enter into the cache what a build can do here, so that a run need not try it.

        All but Linux guests by default: where a build can run those, a run makes their image.
        """
        works, fails = Answer(True, "laid down by a test"), Answer(False, "laid down by a test")
        found = Capabilities(**{"probe_guest": works, "linux_guest": fails, "snapshot": works, **answers})
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("XDG_CACHE_HOME", str(self._cache.parent))
            patched.setattr(capability, "_probe", lambda *_: (found, True))
            assert capability.capabilities(vmm, Path) == found

    @property
    def results(self) -> Any:
        """What the last run left in results.json."""
        return json.loads((self.folder / "report" / "results.json").read_text())

    @property
    def verdicts(self) -> dict[str, str]:
        """Verdict by test."""
        return {result["test"].partition("::")[2]: result["verdict"] for result in self.results["results"]}
