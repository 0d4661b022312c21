"""What a run costs, by phase, and two checkouts in turns."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench import __main__ as command
from harness.bench import suite as bench
from harness.bench.suite import Cost, checkout, differing, phase_table, ratio_table
from harness.checkout import ROOT
from harness.deadline import PACE
from harness.errors import BadInput
from harness.scratch import Scratch
from harness.vmm.base import Vmm
from tests.run.suite import Suite

TESTS = """
import signal, subprocess, sys

def test_waits_and_computes(vmm):
    signal.sigtimedwait([], 0.4)
    subprocess.run([sys.executable, "-SEc", "sum(range(6_000_000))"], check=True)
"""


@pytest.fixture
def tree(suite: Suite, qemu: Vmm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one test."""
    suite.know(qemu)
    monkeypatch.setenv("XDG_CACHE_HOME", suite.environment()["XDG_CACHE_HOME"])
    monkeypatch.setattr(bench, "CHOSEN", ())
    folder = suite.folder / "tree"
    (folder / "conformance").mkdir(parents=True)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / ".venv/bin/python").chmod(0o755)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conformance/conftest.py").write_text('pytest_plugins = ("harness.run.plugin",)\n')
    (folder / "conformance/test_it.py").write_text(TESTS)
    return folder


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "worker"])
def test_time_is_told_by_phase_and_by_who_spent_it(
    tree: Path, qemu: Vmm, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    only = bench.tests_of(tree, [qemu], workers, run)
    cost = bench.run(tree, [qemu], workers, run, tmp_path / "report", only)
    assert list(cost.verdicts.values()) == ["pass"]
    call = cost.phases["call"]
    assert call["wall"] > 0.4
    assert call["harness"] < call["wall"] - 0.3, "waiting is told as computing"
    assert call["VMM"] > 0, "what a test starts is told as nothing"
    assert call["guest"] == 0
    assert {"start", "setup", "teardown"} <= cost.phases.keys()
    assert ("main process" in cost.phases) is bool(workers)
    assert cost.cpu > 0
    assert [str(cell) for cell in phase_table([cost]).columns[0].cells] == list(cost.phases)


def test_checkouts_take_turns(tree: Path, qemu: Vmm, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tree.with_name("other")
    shutil.copytree(tree, other)
    order: list[str] = []

    def run(tree: Path, vmms: object, arguments: object, folder: Path, report: Path, only: set[str]) -> Cost:
        order.append(tree.name)
        assert [test.partition("::")[0] for test in only] == ["test_it.py"], "only what both have"
        return Cost(float(len(order)), 1.0, {})

    (other / "conformance/test_more.py").write_text("def test_more(vmm): pass\n")
    monkeypatch.setattr(bench, "run", run)
    scratch = Scratch()
    costs = bench.measure([tree, other], [qemu], 3, (), scratch)
    scratch.close()
    assert order == ["tree", "other", "other", "tree", "tree", "other"]
    assert [len(runs) for runs in costs.values()] == [3, 3]


def test_ratio_has_its_spread() -> None:
    these = [Cost(wall, 1.0, {}) for wall in (1.0, 2.0, 3.0)]
    others = [Cost(wall, 2.0, {}) for wall in (2.0, 2.0, 2.0)]
    table = ratio_table(these, others)
    assert [str(next(iter(column.cells))) for column in table.columns] == [
        "wall clock",
        "0.500",
        "1.000",
        "1.500",
    ]


def test_verdict_that_is_never_the_same_is_named() -> None:
    key = ("t.py::test_a", "q")
    these, others = Cost(1, 1, {key: "pass"}), Cost(1, 1, {key: "fail"})
    assert differing([these], [others]) == ["t.py::test_a on q: pass here, fail there"]
    assert differing([these, others], [others]) == []


def test_run_without_a_verdict_is_said(tree: Path, qemu: Vmm, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(BadInput, match="came to no verdict; it said:"):
        bench.run(tree, [qemu], ["--no-such-option"], tmp_path / "run", tmp_path, set())


def test_other_checkout_must_be_one_that_is_set_up(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no checkout of this project"):
        checkout(tmp_path)
    (tmp_path / "conformance").mkdir()
    (tmp_path / "conformance/conftest.py").touch()
    with pytest.raises(BadInput, match="run ci/setup there"):
        checkout(tmp_path)


def test_words_for_the_suite_need_the_suite() -> None:
    for words in (["--", "-k", "x"], ["--against", str(ROOT)]):
        with pytest.raises(SystemExit):
            command.main(words)


GROWTH = """
import sys
from pathlib import Path
from harness.bench.growth import at_once
from harness.host import namespace
from harness.scratch import Scratch
from harness.vmm.find import identify
namespace.prepare()
namespace.enter()
scratch = Scratch()
found = at_once(identify("q", Path(sys.argv[1])), 2, scratch)
scratch.close()
assert found["failures"] == 0, found
assert found["a test, ms"] > 1, found
assert found["memory of each VMM, MiB"] > 1, found
"""


def test_several_vms_are_up_at_once(qemu: Vmm, runnable: None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(qemu.path)],
        capture_output=True,
        text=True,
        timeout=120 * PACE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
