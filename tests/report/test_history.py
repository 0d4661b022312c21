"""Since when a test is red, told by earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.record.results import Result, Run, VmmInfo, dumps
from harness.report import history
from harness.report.history import History, load_history
from harness.report.versions import doubts

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


@pytest.fixture
def past(tmp_path: Path, make_result: MakeResult, make_run: MakeRun) -> Path:
    """A run a day, of builds 1, 2, 3..., with these verdicts."""
    verdicts = ("pass", "fail", "pass", "skip", "fail", "error", "fail")
    for day, verdict in enumerate(verdicts, 1):
        folder = tmp_path / f"2025010{day}T021700Z"
        folder.mkdir()
        run = make_run(
            make_result(verdict=verdict, version=f"v{day}"), started=f"2025-01-0{day}T02:17:00+00:00"
        )
        (folder / "results.json").write_bytes(dumps(run))
    return tmp_path


def test_since_is_the_oldest_red_run_in_a_row(past: Path, make_result: MakeResult, make_run: MakeRun) -> None:
    found = load_history([past], make_run()).since(make_result(verdict="fail"))
    assert found.runs == 2, "what was skipped, or could not judge, says nothing"
    assert str(found) == (
        "red since 2025-01-05 02:17 (v5), 2 earlier runs; last passed 2025-01-03 02:17 (v3)"
    )
    assert not found.new


def test_what_was_green_the_last_time_is_new(past: Path, make_result: MakeResult, make_run: MakeRun) -> None:
    earlier = load_history([past], make_run(started="2025-01-04T00:00:00+00:00"))
    found = earlier.since(make_result(verdict="fail"))
    assert found.new
    assert str(found) == "new: last passed 2025-01-03 02:17 (v3)"


def test_a_pass_in_which_witnesses_disagreed_was_red(
    tmp_path: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    (tmp_path / "a").mkdir()
    run = make_run(make_result(disagreement=True), started="2025-01-01T00:00:00+00:00")
    (tmp_path / "a/results.json").write_bytes(dumps(run))
    found = load_history([tmp_path], make_run()).since(make_result(verdict="fail"))
    assert str(found).endswith("1 earlier run, never green")


def test_other_vmms_and_later_runs_do_not_count(
    past: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    assert load_history([past], make_run()).since(make_result(vmm="beta")).first is None
    assert load_history([past], make_run(started="2025-01-01T02:17:00+00:00")).runs == 0
    assert str(History().since(make_result())) == "not judged in any earlier run"


@pytest.mark.parametrize(
    "content", ['{"schema": 1, "resu', '{"schema": 9, "started": "", "results": []}', "[]"]
)
def test_what_cannot_be_read_is_counted(past: Path, make_run: MakeRun, content: str) -> None:
    (past / "20250108T021700Z").mkdir()
    (past / "20250108T021700Z/results.json").write_text(content)
    found = load_history([past], make_run())
    assert (found.runs, found.unreadable) == (7, 1)


def test_a_long_past_is_cut(past: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "NEWEST", 3)
    assert load_history([past, past], make_run()).runs == 3


def a_run(make_run: MakeRun, day: int, *columns: tuple[str, str, Result]) -> Run:
    """One run; each column is a name, the hash of its bytes, and a result."""
    vmms = tuple(VmmInfo(name, "synthetic", "synthetic 1.0", sha256=sha256) for name, sha256, _ in columns)
    return make_run(*(r for *_, r in columns), vmms=vmms, started=f"2025-01-0{day}T00:00:00+00:00")


def kept(folder: Path, *runs: Run) -> Path:
    for number, run in enumerate(runs):
        (folder / str(number)).mkdir()
        (folder / str(number) / "results.json").write_bytes(dumps(run))
    return folder


def test_a_build_is_followed_by_its_bytes_whatever_it_was_called(
    tmp_path: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    red, green = make_result(vmm="head", verdict="fail"), make_result(vmm="alpha")
    folder = kept(tmp_path, a_run(make_run, 1, ("head", "aa", red), ("alpha", "bb", green)))
    now = a_run(make_run, 2, ("alpha", "aa", make_result(verdict="fail")))
    assert load_history([folder], now).since(now.results[0]).runs == 1


def test_another_file_of_the_same_name_is_its_history_where_its_bytes_are_new(
    tmp_path: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    folder = kept(tmp_path, a_run(make_run, 1, ("alpha", "bb", make_result(verdict="fail"))))
    now = a_run(make_run, 2, ("alpha", "aa", make_result(verdict="fail")))
    assert load_history([folder], now).since(now.results[0]).runs == 1


def test_versions_that_may_be_stale_are_told(
    tmp_path: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    folder = kept(tmp_path, a_run(make_run, 1, ("alpha", "cc", make_result())))
    one, other = ("alpha", "aa", make_result()), ("beta", "bb", make_result(vmm="beta"))
    now = a_run(make_run, 2, one, other)
    first, *rest = doubts(now, load_history([folder], now))
    assert first.startswith("alpha and beta are different files and say the same version")
    assert [text.partition(" says")[0] for text in rest] == ["alpha", "beta"]
    same = a_run(make_run, 2, ("alpha", "cc", make_result()))
    assert not list(doubts(same, load_history([folder], same)))
