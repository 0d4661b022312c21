from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import BadInput
from harness.gate.merge import main as merge
from harness.record.results import load
from harness.run.shard import deal, parse_shard
from harness.vmm.base import Vmm

SUITE = """
import pytest

@pytest.mark.parametrize("number", range(7))
def test_number(vmm, number):
    assert number != 4

@pytest.mark.slow
def test_slow(vmm):
    pass

def test_of_no_vmm():
    pass
"""

ITEMS = [(f"t.py::test_{number}", vmm) for number in range(10) for vmm in ("alpha", "beta")]


def own_name(item: tuple[str, str]) -> tuple[str, str]:
    return item


@pytest.mark.parametrize("of", [1, 2, 3, 7, 10, 12])
def test_each_test_is_in_one_shard_with_all_its_vmms(of: int) -> None:
    shards = [deal(ITEMS, own_name, number, of) for number in range(1, of + 1)]
    dealt = [item for items, _ in shards for item in items]
    assert sorted(dealt) == sorted(ITEMS)
    for items, _ in shards:
        assert set(Counter(test for test, _ in items).values()) <= {2}
    sizes = [len(items) for items, _ in shards]
    assert max(sizes) - min(sizes) <= 2
    assert len({(shard.of, shard.tests, shard.digest) for _, shard in shards}) == 1


def test_other_items_have_another_digest_whatever_their_order() -> None:
    _, shard = deal(ITEMS, own_name, 1, 2)
    assert deal(ITEMS[::-1], own_name, 1, 2)[1] == shard
    assert deal(ITEMS[1:], own_name, 1, 2)[1].digest != shard.digest


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", ""])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="such as 2/5"):
        parse_shard(text)


def run_shard(folder: Path, qemu: Vmm, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(folder), "--vmm", f"qemu={qemu.path}", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120 * PACE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ("harness.run.plugin",)')
    (tmp_path / "test_it.py").write_text(SUITE)
    return tmp_path


def test_shards_of_a_run_make_a_whole(suite: Path, qemu: Vmm, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_shard(suite, qemu, "--shard", "1/2", "-m", "not slow", "--report", "one")
    second = run_shard(suite, qemu, "--shard", "2/2", "-m", "not slow", "--report", "two", "-n", "2")
    assert {first[0], second[0]} == {0, 1}, first[1] + second[1]
    one, two = load(suite / "one"), load(suite / "two")
    assert not one.everything_ran
    assert one.shard
    assert two.shard
    assert (one.shard.tests, one.shard.digest) == (two.shard.tests, two.shard.digest)
    assert {one.deselected, two.deselected} == {1}
    assert merge([str(suite / "one"), str(suite / "two"), "--report", str(suite / "all")]) == 0
    whole = load(suite / "all")
    assert (len(whole.results), whole.selected, whole.deselected, whole.complete) == (7, 7, 1, True)
    assert "1 FAIL" in capsys.readouterr().out


def test_a_shard_that_is_none_is_said_before_anything_runs(suite: Path, qemu: Vmm) -> None:
    status, said = run_shard(suite, qemu, "--shard", "3/2")
    assert status == 4
    assert "--shard 3/2: give which of how many" in said
