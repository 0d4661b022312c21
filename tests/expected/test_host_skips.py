"""A host that cannot run everything can be a gate for the rest, once somebody has said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.expected.baseline import Baseline, Build
from harness.expected.compare import Kind, against_baselines, exit_code
from harness.expected.host_skips import accept, accepted, excused
from harness.record.results import Run
from tests.synthetic_runs import MakeResult, MakeRun

REQUIREMENTS = ("NET-MQ-04", "NET-MQ-05")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "skips.toml"


@pytest.fixture
def run(make_result: MakeResult, make_run: MakeRun) -> Run:
    return make_run(
        make_result("t::a"),
        make_result("t::b", verdict="skip", reason="no KVM (0.3 s)", requirements=("NET-MQ-05",)),
    )


def code(run: Run, file: Path) -> int:
    baselines = {Path("b.toml"): Baseline(1, Build(kind="synthetic"), REQUIREMENTS)}
    findings = excused(run, against_baselines(run, baselines), accepted(file), file)
    return exit_code(findings, changed_matters=True)


def test_a_skip_is_not_judged_until_it_is_accepted(run: Run, file: Path) -> None:
    assert code(run, file) == 2
    assert accept(run, file) == ["no KVM (# s)"]
    assert code(run, file) == 0
    assert accept(run, file) == []


def test_what_was_accepted_is_counted_with_what_it_leaves_open(run: Run, file: Path) -> None:
    accept(run, file)
    (note,) = excused(run, against_baselines(run, {}), accepted(file), file)[-1:]
    assert note.kind is Kind.NOTE
    assert note.text.startswith("1 skips for reasons that ")
    assert note.text.endswith("not judged for them: NET-MQ-05")


def test_another_reason_and_another_lost_requirement_are_not_accepted(
    run: Run, file: Path, make_result: MakeResult, make_run: MakeRun
) -> None:
    accept(run, file)
    other = make_run(*run.results, make_result("t::c", verdict="skip", reason="no back end"))
    assert code(other, file) == 2
    lost = make_run(make_result("t::b", verdict="skip", reason="no KVM (9 s)", requirements=("NET-MQ-05",)))
    assert code(lost, file) == 2, "NET-MQ-04 is lost for another reason"


def test_a_damaged_file_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("skips = 3")
    with pytest.raises(BadInput, match="something wrong"):
        accepted(file)
