from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInput
from harness.expected.baseline import (
    FOLDER,
    Build,
    expectation_for,
    for_vmm,
    key_of,
    load_about,
    load_baseline,
    load_baselines,
    masked,
    matches,
)
from harness.record.results import VmmInfo

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult

ENTRY = """
[[expect]]
tests = ["t.py::test_a[*]"]
verdict = "{verdict}"
reason = "{reason}"
"""


def _file(folder: Path, *entries: str, build: str = 'kind = "synthetic"', schema: int = 1) -> Path:
    path = folder / "some.toml"
    path.write_text(f"schema = {schema}\n[build]\n{build}\n" + "".join(entries))
    return path


def _entry(verdict: str = "fail", reason: str = "known") -> str:
    return ENTRY.format(verdict=verdict, reason=reason)


@pytest.mark.parametrize(
    ("glob", "text", "yes"),
    [
        ("t.py::test_a[x-1]", "t.py::test_a[x-1]", True),
        ("t.py::test_a[*]", "t.py::test_a[x-1]", True),
        ("t.py::test_a[*]", "t.py::test_ab[x]", False),
        ("t.py::test_a", "t.py::test_a[x]", False),
        ("t.py::test_a[?]", "t.py::test_a[12]", False),
        ("*", "anything\nat all", True),
        ("v52.0-172-*", "v52.0-172-gabc", True),
        ("v52.0", "v52x0", False),
    ],
)
def test_patterns_know_stars_and_take_brackets_as_they_are(glob: str, text: str, yes: bool) -> None:
    assert matches(glob, text) is yes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lost 3 of 64 frames", "lost 17 of 64 frames"),
        ("pairs {0, 1, 2} active", "pairs {0, 3} active"),
        ("waited 2.0 s at 0xffe0", "waited 2.1 s at 0x10"),
        ("waited 2.0 s for an ack; last seen: None", "waited 2.0 s for an ack; last seen: 7"),
        (
            "alpha died (killed by SIGABRT) while writing to its serial port; its last words: (none)",
            "alpha died (killed by SIGABRT) while pausing; its last words: oh",
        ),
    ],
)
def test_reasons_are_the_same_but_for_numbers(one: str, other: str) -> None:
    assert masked(one) == masked(other)
    assert masked(one) != masked("the VMM died (killed by SIGSYS)")


def test_how_a_vmm_died_is_no_detail() -> None:
    assert masked("alpha died (killed by SIGABRT) while pausing") == "alpha died (killed by SIGABRT)"
    assert masked("alpha died (exit status 1) while pausing") != masked("alpha died (killed by SIGSYS)")


def test_words_with_digits_stay(make_result: MakeResult) -> None:
    assert masked("receiveq1 of virtio0") == "receiveq1 of virtio0"


@pytest.mark.parametrize("name", ["v52.0", "base", "x-1"])
def test_how_a_run_calls_its_vmm_is_no_part_of_what_is_compared(make_result: MakeResult, name: str) -> None:
    of_evidence = f"late: {re.sub('[0-9]+', '#', name)} to answer vm.pause"
    assert key_of(make_result("fail", vmm=name, key=of_evidence)) == "late: the VMM to answer vm.pause"
    reason = f"{name} refused vm.pause, as a {name}-like build does"
    assert key_of(make_result("fail", vmm=name, reason=reason)).startswith("the VMM refused vm.pause")


def test_no_baseline_names_a_path_of_a_machine() -> None:
    for path, baseline in load_baselines(FOLDER).items():
        for each in baseline.expect:
            assert "/" not in re.sub(r"https?://", "", each.seen), f"{path}: {each.seen}"


def test_a_build_is_known_by_patterns_that_all_match() -> None:
    vmm = VmmInfo("base", "cloud-hypervisor", "v52.0-172-gabc")
    assert Build(kind="cloud-hypervisor", version="v52.0-172-*").covers(vmm)
    assert Build(name="base").covers(vmm)
    assert not Build(kind="qemu", version="v52.0-172-*").covers(vmm)


def test_the_first_expectation_that_is_about_a_test_counts(tmp_path: Path, make_result: MakeResult) -> None:
    baseline = load_baseline(_file(tmp_path, _entry(reason="first"), _entry(reason="second")))
    found = expectation_for(baseline.expect, make_result("t.py::test_a[1]"))
    assert found
    assert found.reason == "first"
    assert expectation_for(baseline.expect, make_result("t.py::test_b[1]")) is None


@pytest.mark.parametrize(
    ("entries", "more", "sentence"),
    [
        ([_entry("error")], {}, r"Invalid enum value 'error'"),
        ([_entry(), _entry("xpass")], {}, r"Invalid enum value 'xpass'"),
        ([_entry("broken")], {}, "Invalid enum value 'broken'"),
        ([_entry(reason=" ")], {}, "no tests or no reason"),
        (["\n[[expect]]\n"], {}, "missing required field"),
        ([_entry() + "colour = 'red'"], {}, "unknown field"),
        ([], {"build": ""}, "neither kind nor version nor name"),
        ([], {"schema": 2}, "has schema 2"),
        (["= ="], {}, "is not TOML"),
    ],
)
def test_a_broken_baseline_is_one_sentence(
    tmp_path: Path, entries: list[str], more: dict[str, int], sentence: str
) -> None:
    path = _file(tmp_path, *entries, **more)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=sentence) as caught:
        load_baselines(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no folder"):
        load_baselines(tmp_path / "none")
    assert load_baselines(tmp_path) == {}


def test_the_baselines_of_this_project_can_be_read() -> None:
    for path, baseline in load_baselines(FOLDER).items():
        for expectation in baseline.expect:
            assert expectation.reason, path


def test_those_about_a_vmm_are_found_without_reading_all() -> None:
    everything = load_baselines(FOLDER)
    for version in ("cloud-hypervisor v52.0-182-g5c7e1a45a", "cloud-hypervisor v53.0-246-gae44c2971", "none"):
        vmm = VmmInfo("any", "cloud-hypervisor", version)
        assert load_about(FOLDER, [vmm]) == for_vmm(everything, vmm)
    assert load_about(FOLDER, [VmmInfo("a", "cloud-hypervisor", "cloud-hypervisor v52.0-182-g5c7e1a45a")])


def test_what_is_wrong_with_one_is_said_where_it_is_looked_for(tmp_path: Path) -> None:
    _file(tmp_path, build="kind = 3")
    with pytest.raises(BadInput, match="has something wrong in it"):
        load_about(tmp_path, [])
    with pytest.raises(BadInput, match="there is no folder"):
        load_about(tmp_path / "none", [])
