"""Since when a test is red, told by earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.record.results import dumps
from harness.report import history
from harness.report.history import History, load_history

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
