"""With a test of a suite instead of a reproducer, and the reference VMM in the place of every build.

The builds boot the probe guest and refuse Linux, to find out about which would take seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.bisect.command import main
from harness.cache import cache_root
from harness.checkout import ROOT
from harness.vmm.base import Vmm
from tests.bisect.conftest import Repo

SUITE = """
import pytest

@pytest.mark.parametrize("word", ["good", "emulator"])
def test_version_has(vmm, driver, word):
    assert word in f"emulator {vmm.version}"
"""
BUILD = """
echo '#!/bin/sh' > vmm
echo '[ "$1" = --version ] && echo "QEMU emulator version 1.0 '$(cat state)'" && exit' >> vmm
echo 'case "$*" in *earlyprintk*) exit 1; esac; exec {qemu} "$@"' >> vmm
chmod +x vmm
"""


@pytest.fixture
def options(qemu: Vmm, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    cache = tmp_path / "cache/virtio-net-mq"
    cache.mkdir(parents=True)
    for kernel in cache_root().glob("linux-*"):  # of no use here, and slow to fetch anew
        (cache / kernel.name).symlink_to(kernel)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "test_version.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ("harness.run.plugin",)')
    build = ["--build", BUILD.format(qemu=qemu.path), "--binary", "vmm"]
    return ["--repo", str(folder), "--report", str(tmp_path / "report"), *build, "--seed", "7"]


def test_a_test_of_the_suite_is_bisected(
    commits: Repo, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hashes = commits(["good", "good", "bad", "bad"])
    ends = ["--good", hashes[0], "--bad", hashes[-1]]
    test = f"{tmp_path}/test_version.py::test_version_has"
    assert main([*options, *ends, "--test", f"{test}[probe-good]"]) == 0
    out = capfd.readouterr().out
    assert f"first bad commit: {hashes[2]}" in out
    assert f"{hashes[1][:9]}  {hashes[2][:9]}" in out
    assert ["pass", "FAIL"] in [line.split()[-2:] for line in out.splitlines()]
    (results,) = (tmp_path / "report").glob(f"runs/*/{hashes[2][:12]}/report/results.json")
    (result,) = json.loads(results.read_text())["results"]
    assert (result["test"].rpartition("::")[2], result["seed"]) == ("test_version_has[probe-good]", 7)


def test_a_test_that_the_suite_has_not_is_said(
    commits: Repo, options: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    hashes = commits(["good", "bad"])
    ends = ["--good", hashes[0], "--bad", hashes[-1]]
    assert main([*options, *ends, "--test", "conformance/mq/test_default.py::test_none[probe-tap]"]) == 2
    assert (
        "the suite cannot run conformance/mq/test_default.py::test_none[probe-tap]" in capfd.readouterr().err
    )
    assert (ROOT / "conformance/mq/test_default.py").exists()


def test_a_build_that_runs_no_vm_is_not_blamed(
    commits: Repo, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hashes = commits(["good", "bad"])
    ends = ["--good", hashes[0], "--bad", hashes[-1], "--test", "conformance/mq/test_default.py"]
    broken = """echo '#!/bin/sh' > vmm; echo 'echo QEMU emulator version 1.0; [ "$1" = --version ]' >> vmm"""
    assert main([*options, *ends, "--build", f"{broken} && chmod +x vmm"]) == 2
    assert "it runs no VM here" in capfd.readouterr().err
    assert main([*options, *ends, "--build", "cp /bin/true vmm"]) == 2
    assert "it built something else" in capfd.readouterr().err
