from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import Unavailable
from harness.record import store
from harness.record.results import load
from harness.record.store import RunStore, write_atomically

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def _full_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let fsync fail as a full disk does, for files below a folder."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_earlier_runs_are_kept_and_the_newest_is_on_top(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    first = RunStore(tmp_path).save(make_run(make_result()))
    second = RunStore(tmp_path).save(make_run(make_result(verdict="fail")))
    assert first.parent != second.parent
    assert load(first).results[0].verdict == "pass"
    assert load(tmp_path) == load(second)
    assert not (tmp_path / "results.json").is_symlink()
    assert load(second).folder == str(second.parent.relative_to(tmp_path))


def test_saving_twice_renews_the_run(make_result: MakeResult, make_run: MakeRun, tmp_path: Path) -> None:
    own = RunStore(tmp_path)
    own.save(make_run(make_result(), complete=False))
    file = own.save(make_run(make_result(), make_result(vmm="beta")))
    assert len(load(file).results) == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [own.folder.name]


def test_a_full_disk_loses_neither_the_older_nor_the_new_results(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, spare = tmp_path / "report", tmp_path / "spare"
    spare.mkdir()
    RunStore(report).save(make_run(make_result()))
    monkeypatch.setattr(store, "_LAST_RESORTS", (report, spare))
    newer = RunStore(report)
    _full_disk(monkeypatch, report)
    with pytest.raises(Unavailable, match=r"the disk is full.*results are in .*spare") as caught:
        newer.save(make_run(make_result(verdict="fail")))
    (saved,) = spare.iterdir()
    assert str(saved) in str(caught.value)
    assert load(saved).results[0].verdict == "fail"
    assert load(report).results[0].verdict == "pass"
    leftovers = {path.name for path in report.rglob("*") if path.is_file()}
    assert leftovers == {"results.json"}


def test_a_report_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="--report DIR"):
        RunStore(tmp_path / "file")


def test_a_failed_write_leaves_the_older_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "kept"
    write_atomically(target, b"older")
    _full_disk(monkeypatch, tmp_path)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, b"newer")
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]
