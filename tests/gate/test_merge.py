from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BadInput
from harness.evidence.bundle import write_bundle
from harness.gate import command as gate
from harness.gate.merge import main, merge
from harness.record.results import Result, Run, Shard, VmmInfo, bundle_folder, load
from harness.record.store import RunStore
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

Shards = dict[str, Run]


@pytest.fixture
def shards(make_result: MakeResult, make_run: MakeRun) -> Shards:
    """Three shards of a suite of six tests, two in each."""
    return {
        f"place {number}": make_run(
            make_result(f"t.py::test_{number}"),
            make_result(f"t.py::test_{number}b", verdict="fail" if number == 2 else "pass"),
            shard=Shard(number, 3, 6, "abc"),
            host={"kernel": f"6.{number}"},
            started=f"2026-01-0{number}T00:00:00+00:00",
            finished=f"2026-01-0{number}T01:00:00+00:00",
        )
        for number in (1, 2, 3)
    }


def changed(run: Run, **more: Any) -> Run:
    return Run(**{**{name: getattr(run, name) for name in run.__struct_fields__}, **more})


def test_all_shards_are_the_whole_suite(shards: Shards) -> None:
    whole = merge(dict(reversed(shards.items())))
    assert whole.everything_ran
    assert whole.shard is None
    assert [result.test[-1] for result in whole.results] == list("1b2b3b")
    assert whole.host == {f"shard {n}": {"kernel": f"6.{n}"} for n in (1, 2, 3)}
    assert (whole.started[:10], whole.finished[:10]) == ("2026-01-01", "2026-01-03")


def test_a_missing_shard_is_never_taken_for_good(shards: Shards) -> None:
    del shards["place 2"]
    whole = merge(shards)
    assert not whole.complete
    assert not whole.everything_ran
    assert (len(whole.results), whole.selected) == (4, 6)


def test_a_shard_that_lost_tests_or_was_stopped_makes_a_whole_that_did(shards: Shards) -> None:
    first = shards["place 1"]
    gap = not_run(first.results[0].test, "alpha")
    shards["place 1"] = changed(first, results=first.results[1:], not_run=(gap,))
    assert merge(shards).not_run == (gap,)
    assert not merge(shards).everything_ran
    shards["place 1"] = changed(first, complete=False)
    assert not merge(shards).everything_ran


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"shard": None}, "place 3 is no shard"),
        ({"shard": Shard(3, 4, 6, "abc")}, "different suites"),
        ({"shard": Shard(3, 3, 6, "xyz")}, "different suites"),
        ({"shard": Shard(2, 3, 6, "abc")}, "place 3 and place 2 are the same shard, number 2"),
        ({"vmms": (VmmInfo("alpha", "synthetic", "another 2.0"),)}, "different builds"),
    ],
)
def test_what_does_not_belong_together_is_refused(shards: Shards, more: dict[str, Any], said: str) -> None:
    shards["place 3"] = changed(shards["place 3"], **more)
    with pytest.raises(BadInput, match=said):
        merge(shards)


@pytest.fixture
def saved(shards: Shards, tmp_path: Path) -> list[str]:
    """The shards' report folders, each result with a failure bundle."""
    folders = []
    for number, run in enumerate(shards.values(), 1):
        store = RunStore(tmp_path / f"s{number}")
        results = []
        for result in run.results:
            bundle = write_bundle(store.folder / "failures", result, {"log": result.test})
            kept = {name: getattr(result, name) for name in result.__struct_fields__}
            results.append(Result(**{**kept, "bundle": str(bundle.relative_to(store.folder))}))
        store.save(changed(run, results=tuple(results)))
        folders.append(str(tmp_path / f"s{number}"))
    return folders


def test_the_merged_report_has_every_bundle(
    saved: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "all"
    assert main([*saved, "--report", str(report)]) == 0
    assert "5 pass" in " ".join(capsys.readouterr().out.split())
    whole = load(report)
    for result in whole.results:
        folder = bundle_folder(report, whole, result)
        assert folder is not None
        assert (folder / "log").read_text() == result.test
        assert folder.with_name(f"{folder.name}.tar.gz").is_file()


def test_the_gate_judges_a_merged_run_and_neither_a_shard_nor_a_part(
    saved: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = ["--base", "alpha", "--head", "alpha"]
    assert main([*saved, "--report", str(tmp_path / "all")]) == 0
    assert gate.main([str(tmp_path / "all"), *sides]) == 0
    assert gate.main([saved[0], *sides]) == 2
    assert "this is shard 1 of 3" in capsys.readouterr().out
    assert main([*saved[:2], "--report", str(tmp_path / "part")]) == 2
    assert "shard 3 is missing" in capsys.readouterr().err
    assert gate.main([str(tmp_path / "part"), *sides]) == 2
    assert "2 selected tests have no result" in capsys.readouterr().out


def test_shards_that_do_not_fit_leave_no_report(
    saved: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([saved[0], f"{saved[0]}/results.json", "--report", str(tmp_path / "all")]) == 2
    assert "are the same shard" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--report", str(tmp_path / "all")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()
