from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BadInput
from harness.expected.accept import accept, accept_races, needs_reason
from harness.expected.baseline import Outcome, load_baseline, load_baselines
from harness.expected.compare import Kind, against_baselines, exit_code
from harness.record.results import Run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun


def _accept(run: Run, folder: Path, reason: str = "synthetic reason") -> list[Path]:
    return accept(run, load_baselines(folder), folder, reason=reason, link="https://example.org/1")


def _code(run: Run, folder: Path) -> int:
    return exit_code(against_baselines(run, load_baselines(folder)), changed_matters=True)


def _variants(make_result: MakeResult, bad: set[int]) -> list[object]:
    return [
        make_result(f"t.py::test_a[pairs{n}]", verdict="fail" if n in bad else "pass", reason=f"lost {n}")
        for n in (1, 2, 3, 10)
    ]


def test_what_was_accepted_is_green_and_the_rest_is_not(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(
        make_result("t.py::test_a", verdict="fail", reason="lost 3 of 64"),
        make_result("t.py::test_b", verdict="skip", reason="no KVM"),
        make_result("t.py::test_c", disagreement=True),
    )
    assert _code(run, tmp_path) == 2, "no baseline is about this build"
    assert needs_reason(run, {})
    (path,) = _accept(run, tmp_path)
    assert path.name == "synthetic-synthetic-1.0.toml"
    assert _code(run, tmp_path) == 0
    assert not needs_reason(run, load_baselines(tmp_path))
    assert _accept(run, tmp_path) == []
    worse = make_run(*run.results[:2], make_result("t.py::test_c", verdict="fail", reason="died"))
    assert _code(worse, tmp_path) == 1


def test_witnesses_that_disagree_in_a_pass_are_an_expectation_of_their_own(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    (path,) = _accept(make_run(make_result(disagreement=True)), tmp_path)
    (entry,) = load_baseline(path).expect
    assert entry.verdict is Outcome.DISAGREE
    worse = make_run(make_result(verdict="fail", reason="used length 5"))
    assert _code(worse, tmp_path) == 1


def test_what_did_not_end_alike_in_several_runs_is_a_race(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    ends: list[dict[str, Any]] = [
        {},
        {"verdict": "fail", "reason": "x", "key": "host"},
        {},
        {"disagreement": True},
    ]
    runs = [make_run(make_result("t.py::test_a", **end), make_result("t.py::test_b")) for end in ends]
    _accept(runs[0], tmp_path)
    assert _code(runs[1], tmp_path) == 1
    (path,) = accept_races(runs, load_baselines(tmp_path), reason="a thread races with a reset")
    (entry,) = load_baseline(path).expect
    assert entry.outcomes == {"pass": 0.5, "fail: host": 0.25, "disagree": 0.25}
    assert [_code(run, tmp_path) for run in runs] == [0, 0, 0, 0]
    died = make_run(
        make_result("t.py::test_a", verdict="fail", reason="y", key="died"), make_result("t.py::test_b")
    )
    assert _code(died, tmp_path) == 1
    assert accept_races(runs, load_baselines(tmp_path), reason="again") == []


def test_races_are_one_builds(make_result: MakeResult, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(make_result(vmm="alpha")), make_run(make_result(vmm="beta"))]
    with pytest.raises(BadInput, match="not all of these runs are of alpha"):
        accept_races(runs, {}, reason="x")
    with pytest.raises(BadInput, match="0 baselines are about alpha: accept one run of it first"):
        accept_races(runs[:1], {}, reason="x")


def test_a_build_that_passes_gets_its_coverage_written(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(make_result(requirements=("VU-08", "NET-MQ-04")))
    assert not needs_reason(run, {})
    (path,) = _accept(run, tmp_path, reason="")
    assert load_baseline(path).requirements == ("NET-MQ-04", "VU-08")
    assert load_baseline(path).expect == ()
    assert _code(make_run(make_result(requirements=("VU-08",))), tmp_path) == 2


def test_all_variants_become_a_pattern_and_some_become_a_list(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    (path,) = _accept(make_run(*_variants(make_result, {1, 2, 3, 10})), tmp_path)  # type: ignore[arg-type]
    (entry,) = load_baseline(path).expect
    assert entry.tests == ("t.py::test_a[*]",)
    assert (entry.reason, entry.link, entry.seen) == ("synthetic reason", "https://example.org/1", "lost #")
    _accept(make_run(*_variants(make_result, {2, 10})), tmp_path, "narrower")  # type: ignore[arg-type]
    (entry,) = load_baseline(path).expect
    assert entry.tests == ("t.py::test_a[pairs2]", "t.py::test_a[pairs10]")
    assert entry.reason == "synthetic reason"


def test_what_was_repaired_loses_its_entry(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    (path,) = _accept(make_run(make_result(verdict="fail")), tmp_path)
    repaired = make_run(make_result())
    assert [f.kind for f in against_baselines(repaired, load_baselines(tmp_path))] == [Kind.REPAIRED]
    assert not needs_reason(repaired, load_baselines(tmp_path))
    assert _accept(repaired, tmp_path, reason="") == [path]
    assert load_baseline(path).expect == ()
    assert _code(make_run(make_result(verdict="fail")), tmp_path) == 1


def test_a_changed_reason_takes_a_new_reason_from_somebody(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    (path,) = _accept(make_run(make_result(verdict="fail", reason="lost 3")), tmp_path, "old story")
    changed = make_run(make_result(verdict="fail", reason="the VMM died"))
    assert needs_reason(changed, load_baselines(tmp_path))
    _accept(changed, tmp_path, "new story")
    (entry,) = load_baseline(path).expect
    assert (entry.reason, entry.seen) == ("new story", "the VMM died")


def test_comments_and_build_patterns_written_by_hand_stay(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    path = tmp_path / "by-hand.toml"
    path.write_text(
        '# Why this file exists.\nschema = 1\n\n[build]\nversion = "synthetic *"  # all of them\n'
    )
    assert _accept(make_run(make_result(verdict="fail")), tmp_path) == [path]
    text = path.read_text()
    assert text.startswith("# Why this file exists.\n")
    assert 'version = "synthetic *"  # all of them' in text
    baseline = load_baseline(path)
    assert baseline.build.version == "synthetic *"
    assert baseline.requirements == ("NET-MQ-04",)
    assert len(baseline.expect) == 1


def test_each_vmm_gets_its_file(make_result: MakeResult, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(make_result(), make_result(vmm="beta", version="2"))
    run = make_run(*run.results, vmms=(run.vmms[0], type(run.vmms[0])("beta", "synthetic", "synthetic 2.0")))
    assert {path.name for path in _accept(run, tmp_path)} == {
        "synthetic-synthetic-1.0.toml",
        "synthetic-synthetic-2.0.toml",
    }


def test_a_run_that_is_not_whole_cannot_be_accepted(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="not everything was run"):
        _accept(make_run(make_result(), complete=False), tmp_path)
    with pytest.raises(BadInput, match="1 tests ended in an error"):
        _accept(make_run(make_result(verdict="error")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_files_about_one_build_are_left_to_people(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text('schema = 1\n[build]\nkind = "synthetic"\n')
    with pytest.raises(BadInput, match=r"a\.toml, b\.toml"):
        _accept(make_run(make_result(verdict="fail")), tmp_path)


def test_two_builds_of_one_version_get_a_file_each(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(make_result(verdict="fail", reason="lost"), make_result(vmm="beta"))
    paths = _accept(run, tmp_path)
    assert [path.name for path in paths] == [
        "synthetic-synthetic-1.0-alpha.toml",
        "synthetic-synthetic-1.0-beta.toml",
    ]
    assert load_baseline(paths[0]).build.name == "alpha"
    assert _code(run, tmp_path) == 0
    worse = make_run(run.results[0], make_result(vmm="beta", verdict="fail", reason="lost"))
    assert _code(worse, tmp_path) == 1, "what alpha may fail, beta may not"


def test_one_file_is_never_written_for_two_builds(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    (path,) = _accept(make_run(make_result(verdict="fail", reason="lost")), tmp_path)
    before = path.read_bytes()
    both = make_run(make_result(verdict="fail", reason="other"), make_result(vmm="beta"))
    with pytest.raises(BadInput, match="is about both alpha and beta"):
        _accept(both, tmp_path)
    assert path.read_bytes() == before
