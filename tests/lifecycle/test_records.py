"""The count in a saved state is found by what follows it, whatever it is called and however it is written."""

from pathlib import Path
from typing import Any

import pytest

from harness.guest.answer import Ack, Answer
from harness.lifecycle import count_fields, rewrite_count, save, snapshot_folders
from harness.lifecycle.records import following
from tests.lifecycle.simulated import a_testbed

SAME = {"features": 7, "config": {"mac": [2, 0, 0, 0, 1, 0]}}


@pytest.mark.parametrize(
    ("at_two", "at_three", "expected"),
    [
        ({"active": 2}, {"active": 3}, ("active",)),
        ({"queues": 5}, {"queues": 7}, ("queues",)),
        ({"enabled": [1, 1, 0, 0]}, {"enabled": [1, 1, 1, 0]}, ("enabled",)),
        ({"active": 2, "queues": 5}, {"active": 3, "queues": 7}, ("active",)),
        ({"active": 2, "queues": 2}, {"active": 3, "queues": 4}, ("active",)),
        ({"active": 2, "first": 1}, {"active": 3, "first": 3}, ("active",)),
        ({}, {"active": 3}, ("active",)),
        ({}, {}, ()),
    ],
    ids=[
        "number",
        "virtqueues",
        "list",
        "number-before-others",
        "number-at-two",
        "number-at-three",
        "absent-at-first",
        "not-recorded",
    ],
)
def test_fields_that_follow_the_count(
    at_two: dict[str, Any], at_three: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert following({**SAME, **at_two}, {**SAME, **at_three}, {**SAME, **at_two}) == expected


def test_what_merely_changes_does_not_follow() -> None:
    assert following({"time": 1}, {"time": 2}, {"time": 3}) == ()


def test_fields_of_a_build_are_found_once_by_saving(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    assert count_fields(bed, nic) == ("count",)
    assert (nic.vm.status, len(nic.driver.believed_pairs)) == ("running", 2)
    assert snapshot_folders(tmp_path) == []
    nic.set_pairs(4)
    asked = nic.vm.told.count("pause")
    assert count_fields(bed, nic) == ("count",)
    assert nic.vm.told.count("pause") == asked == 3, "its format does not change within a run"
    assert len(nic.driver.believed_pairs) == 4


def test_build_that_refuses_the_count_is_not_saved(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    nic.driver.set_pairs = lambda pairs: Answer(f"VQ_PAIRS_SET {pairs}", Ack.ERR)
    with pytest.raises(AssertionError):
        count_fields(bed, nic)
    assert nic.vm.told == []


@pytest.mark.parametrize(("value", "left"), [(5, {"queues": 7, "count": 5}), (None, {"queues": 7})])
def test_count_of_a_snapshot_is_rewritten_or_removed(
    tmp_path: Path, value: Any, left: dict[str, Any]
) -> None:
    bed, nic, other = a_testbed(tmp_path)
    snapshot = save(bed, nic)
    rewrite_count(snapshot, nic, ("count",), value)
    assert bed.vmm.recorded(snapshot.folder, nic.config) == left
    assert bed.vmm.recorded(snapshot.folder, other.config) == {"queues": 5, "count": 2}
