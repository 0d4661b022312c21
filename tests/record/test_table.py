"""The table of pairs under a failure, and the timeline."""

from __future__ import annotations

from harness.record.journal import Journal
from harness.record.landed import Landed
from harness.record.results import PairRow
from harness.record.table import pairs_table


def test_table_shows_each_witness_of_each_pair() -> None:
    rows = [PairRow(0, True, True, 61), PairRow(1, False, False, 0), PairRow(2, None, None, None)]
    assert pairs_table(rows).splitlines() == [
        "pair  guest: active  host: attached  frames",
        "0     yes            yes             61",
        "1     no             no              0",
        "2     ?              ?               ?",
    ]


def test_contradictions_are_marked() -> None:
    rows = [PairRow(0, True, True, 3), PairRow(1, False, True, 0), PairRow(2, False, None, 5)]
    marked = ["disagree" in line for line in pairs_table(rows).splitlines()]
    assert marked == [False, False, True, True]


def test_frames_that_were_not_counted_contradict_nobody() -> None:
    assert "disagree" not in pairs_table([PairRow(0, False, None, None), PairRow(1, None, True, 4)])


def test_backends_have_their_own_word() -> None:
    assert "host: enabled" in pairs_table([PairRow(0)], "enabled")


def test_journal_keeps_order_and_time() -> None:
    journal = Journal()
    journal.add("guest", "first")
    journal.landed(Landed(3, {1: 1, 0: 2}))
    journal.add("host", "last", pairs=2)
    assert [event.at for event in journal.events] == sorted(event.at for event in journal.events)
    assert [(event.pair, event.frames) for event in journal.events[2:4]] == [(0, 2), (1, 1)]
    assert [line.split(maxsplit=1)[1] for line in journal.text().splitlines()] == [
        "guest    first",
        "frames   3 frames sent; landed on pair 0: 2, pair 1: 1",
        "host     last",
    ]
