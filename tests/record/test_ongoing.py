"""A run's records as its tests end: what was judged outlives the run, however that ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.record import ongoing, runs
from harness.record.ongoing import Records, written
from harness.record.results import Run, dumps, load
from harness.record.selection import Selection
from harness.record.store import RunStore
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def test_each_process_has_its_file_and_the_worst_phase_stands(
    make_result: MakeResult, tmp_path: Path
) -> None:
    one, two = Records(tmp_path, "gw0"), Records(tmp_path, "gw1")
    one.append(make_result("t.py::test_a"))
    one.append(make_result("t.py::test_a", verdict="error"))
    two.append(make_result("t.py::test_b", details="a line\nand another"))
    found = ongoing.merged(written(tmp_path))
    assert {test: result.verdict for (test, _), result in found.items()} == {
        "t.py::test_a": "error",
        "t.py::test_b": "pass",
    }


def test_record_that_was_cut_short_is_none(make_result: MakeResult, tmp_path: Path) -> None:
    records = Records(tmp_path, "main")
    records.append(make_result("t.py::test_a"))
    whole = (tmp_path / "records-main.jsonl").read_bytes()
    for end in range(len(whole) - 1):
        (tmp_path / "records-main.jsonl").write_bytes(whole + whole[:end])
        assert len(written(tmp_path)) == 1


def test_what_did_not_fit_is_written_with_the_next(
    make_result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path, "main")
    records.append(make_result("t.py::test_a"))
    with monkeypatch.context() as full:
        real = os.write
        full.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:9])))
        records.append(make_result("t.py::test_b"))
        full.setattr(os, "write", no_room)
        records.append(make_result("t.py::test_c"))
        assert len(written(tmp_path)) == 1
    records.append(make_result("t.py::test_d"))
    assert [result.test[-1] for result in written(tmp_path)] == list("abcd")


def no_room(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def half(make_run: MakeRun, make_result: MakeResult, tmp_path: Path) -> RunStore:
    """A run that has no end: one of two tests was judged."""
    store = RunStore(tmp_path)
    head = make_run(complete=False, selected=0, folder=f"runs/{store.folder.name}")
    os.close(ongoing.begin(store.folder, head))
    Selection(tuple(not_run(f"t.py::test_{name}", "alpha") for name in "ab")).write(store.folder)
    Records(store.folder, "gw0").append(make_result("t.py::test_a", verdict="fail"))
    return store


def told(run: Run) -> tuple[list[str], list[str]]:
    return [result.test for result in run.results], [case.test for case in run.not_run]


def test_run_without_an_end_is_read_as_far_as_it_came(half: RunStore) -> None:
    run = ongoing.without_end(half.folder)
    assert run is not None
    assert told(run) == (["t.py::test_a"], ["t.py::test_b"])
    assert not run.complete
    assert runs.how_far(run) == "1 of 2 judged"


def test_run_that_goes_on_is_left_alone(half: RunStore, make_run: MakeRun) -> None:
    lock = ongoing.begin(half.folder, make_run())
    assert ongoing.goes_on(half.folder)
    assert ongoing.without_end(half.folder) is None
    assert list(runs.recover(half.report)) == []
    os.close(lock)
    assert not ongoing.goes_on(half.folder)


def test_next_command_says_how_far_it_came_and_keeps_it(half: RunStore) -> None:
    (sentence,) = runs.recover(half.report)
    assert "was broken off, 1 of 2 judged: " in sentence
    assert told(load(half.folder)) == (["t.py::test_a"], ["t.py::test_b"])
    assert [path.name for path in half.folder.iterdir()] == ["results.json"]
    assert list(runs.recover(half.report)) == []


def test_newer_run_without_an_end_is_the_newest(
    half: RunStore, make_run: MakeRun, make_result: MakeResult
) -> None:
    older = RunStore(half.report)
    older.folder = older.folder.rename(half.report / "runs" / "20200101T000000Z")
    older.save(make_run(make_result()))
    assert runs.newest(half.report).folder == f"runs/{half.folder.name}"
    assert not runs.newest(half.report).complete
    assert len(runs.newest(half.report / "results.json").results) == 1


def test_part_of_the_suite_does_not_take_the_place_of_the_whole(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    whole = make_run(make_result(), make_result("t.py::test_b"))
    RunStore(tmp_path).save(whole)
    for part in ({"narrowed": True}, {"deselected": 3}, {"complete": False}):
        own = RunStore(tmp_path).save(make_run(make_result(), **part))
        assert len(load(own).results) == 1
        assert len(load(tmp_path).results) == 2
    RunStore(tmp_path).save(make_run(make_result()))
    assert len(load(tmp_path).results) == 1


def test_first_part_is_on_top_until_there_is_a_whole(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    RunStore(tmp_path).save(make_run(make_result(), narrowed=True))
    assert load(tmp_path).narrowed


def stored(report: Path, names: list[str], run: Run) -> list[str]:
    for name in names:
        (report / "runs" / name).mkdir(parents=True)
        (report / "runs" / name / "results.json").write_bytes(dumps(run))
    return names


@pytest.mark.parametrize(
    ("number", "size", "left"), [(2, 1 << 30, 2), (9, 1 << 30, 4), (9, 0, 1), (1, 1 << 30, 1)]
)
def test_oldest_runs_go(make_run: MakeRun, tmp_path: Path, number: int, size: int, left: int) -> None:
    names = [f"2026010{day}T000000Z" for day in (4, 3, 2)] + ["20260102T000000Z-10"]
    stored(tmp_path, names, make_run())
    newest = [names[0], names[1], names[3], names[2]]
    assert [folder.name for folder in runs.folders(tmp_path)] == newest
    runs.keep(tmp_path, number, size)
    assert [folder.name for folder in runs.folders(tmp_path)] == newest[:left]


def test_run_on_top_stays(make_run: MakeRun, tmp_path: Path) -> None:
    old, new = stored(tmp_path, ["20260101T000000Z", "20260102T000000Z"], make_run())
    (tmp_path / "results.json").write_bytes(dumps(make_run(folder=f"runs/{old}")))
    runs.keep(tmp_path, 1, 0)
    assert {folder.name for folder in runs.folders(tmp_path)} == {old, new}


def test_folders_of_runs_that_found_nothing_go(make_run: MakeRun, tmp_path: Path) -> None:
    begun, empty, young = (RunStore(tmp_path) for _ in range(3))
    os.close(ongoing.begin(begun.folder, make_run()))
    os.utime(empty.folder, (0, 0))
    assert list(runs.recover(tmp_path)) == []
    assert runs.folders(tmp_path) == [young.folder]
