"""The count in a saved state is found by what follows it, whatever it is called and however it is written."""

from typing import Any

import pytest

from harness.lifecycle.records import following

SAME = {"features": 7, "config": {"mac": [2, 0, 0, 0, 1, 0]}}


@pytest.mark.parametrize(
    ("at_two", "at_three", "expected"),
    [
        ({"active": 2}, {"active": 3}, ("active",)),
        ({"queues": 5}, {"queues": 7}, ("queues",)),
        ({"enabled": [1, 1, 0, 0]}, {"enabled": [1, 1, 1, 0]}, ("enabled",)),
        ({"active": 2, "queues": 5}, {"active": 3, "queues": 7}, ("active",)),
        ({}, {"active": 3}, ("active",)),
        ({}, {}, ()),
    ],
    ids=["number", "virtqueues", "list", "number-before-others", "absent-at-first", "not-recorded"],
)
def test_fields_that_follow_the_count(
    at_two: dict[str, Any], at_three: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert following({**SAME, **at_two}, {**SAME, **at_three}, {**SAME, **at_two}) == expected


def test_what_merely_changes_does_not_follow() -> None:
    assert following({"time": 1}, {"time": 2}, {"time": 3}) == ()
