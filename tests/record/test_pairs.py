"""Pairs and counts that say whose they are."""

from __future__ import annotations

import pickle

import pytest

from harness.host.backend import HostView
from harness.record.landed import Landed
from harness.record.pairs import Count, Pairs, Vectors, Vrings, explained, named


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (set(), "no pair"),
        ({3}, "pair 3"),
        ({0, 1}, "pairs 0-1"),
        ({0, 1, 2, 5}, "pairs 0-2, 5"),
        ({0, 2}, "pairs 0, 2"),
        (range(256), "pairs 0-255"),
    ],
)
def test_pairs_are_named_in_runs(pairs: set[int], words: str) -> None:
    assert named(pairs) == words


def test_witnesses_name_themselves() -> None:
    view = HostView(3, frozenset({0, 1}), 4)
    assert repr(view.pairs) == "the host holds pairs 0-1"
    assert repr(view.count) == "the host counts 3 active pairs"
    assert repr(view) == "the host holds pairs 0-1 (the host counts 3 active pairs)"
    assert repr(HostView(2, frozenset({0, 1}), 4)) == "the host holds pairs 0-1"
    assert repr(Landed(4, {0: 3, 2: 1, 3: 0}).pairs) == "frames landed on pairs 0, 2"


def test_they_are_sets_and_numbers_as_before() -> None:
    assert Pairs({0, 1}, "x") == frozenset({0, 1}) == {0, 1}
    assert hash(Pairs({0, 1}, "x")) == hash(frozenset({0, 1}))
    assert Count(3, "x") == 3
    assert pickle.loads(pickle.dumps((Pairs({1}, "x"), Count(3, "x")))) == (frozenset({1}), 3)


HOST, FRAMES = Pairs({0, 1}, "the host holds"), Pairs({0}, "frames landed on")
DUE = Vectors({1, 9}, "due are")


@pytest.mark.parametrize(
    ("operator", "left", "right", "words"),
    [
        ("==", HOST, {0}, "the host holds pairs 0-1: expected pair 0"),
        ("==", {0}, HOST, "the host holds pairs 0-1: expected pair 0"),
        ("==", HOST, set(), "the host holds pairs 0-1: expected no pair"),
        ("==", FRAMES, HOST, "frames landed on pair 0: expected pairs 0-1 (the host holds them)"),
        ("<=", HOST, {0}, "the host holds pairs 0-1: expected at most pair 0"),
        ("==", Count(4, "the host counts"), 1, "the host counts 4 active pairs: expected 1"),
        ("<=", {0}, HOST, "the host holds pairs 0-1: expected at least pair 0"),
        (">=", HOST, {0, 2}, "the host holds pairs 0-1: expected at least pairs 0, 2"),
        ("in", 2, HOST, "the host holds pairs 0-1: expected pair 2"),
        ("not in", 1, DUE, "due are vectors 1, 9: expected no vector 1"),
        ("==", Vrings(range(8), "enabled are"), {0, 1}, "enabled are vrings 0-7: expected vrings 0-1"),
        ("==", HOST & {1, 5}, set(), "the host holds pair 1: expected no pair"),
        (
            ">=",
            Count(1, "the back end was sent", "SET", ""),
            2,
            "the back end was sent 1 SET: expected at least 2",
        ),
        ("==", 4, 1, None),
        ("in", 1, {2}, None),
    ],
)
def test_failed_comparison_says_found_and_expected(
    operator: str, left: object, right: object, words: str | None
) -> None:
    assert explained(operator, left, right) == (None if words is None else [words])
