"""Waiting with a reason, a deadline and a last observation."""

from __future__ import annotations

import pytest

from harness import deadline as deadline_module
from harness.deadline import LONGEST_PAUSE, PACE, Deadline, before_next_look, wait_until
from harness.errors import BadInput, DeadlineExceeded, Owner


def test_first_true_answer_is_returned() -> None:
    answers = iter([None, 0, "", "there", "later"])
    assert wait_until("an answer", lambda: next(answers), owed_by=Owner.HOST, within=5) == "there"


def test_expiry_says_what_was_awaited_and_what_was_last_seen() -> None:
    answers = iter([0, 0.0])
    with pytest.raises(
        DeadlineExceeded,
        match=rf"^waited {0.02 * PACE:.1f} s for the moon; last seen: None; the host owed it",
    ):
        wait_until("the moon", lambda: next(answers, None), owed_by=Owner.HOST, within=0.02)


def test_last_observation_may_be_told_by_somebody_else() -> None:
    with pytest.raises(DeadlineExceeded, match="last seen: half of it"):
        wait_until("the moon", lambda: False, owed_by=Owner.HOST, within=0, last=lambda: "half of it")


def test_expiry_is_a_timeout_too() -> None:
    with pytest.raises(TimeoutError):
        wait_until("the moon", lambda: None, owed_by=Owner.HOST, within=0)


def test_probe_has_a_last_look_however_short_the_time() -> None:
    assert wait_until("now", lambda: True, owed_by=Owner.HOST, within=0)
    assert wait_until("now", lambda: True, owed_by=Owner.HOST, within=-1)


def test_who_was_not_let_run_looks_once_more_after_the_deadline() -> None:
    deadline, looks = Deadline(0.01), iter([False, True])

    def late() -> bool:
        deadline.run_out()
        return next(looks)

    assert wait_until("what came while we slept", late, owed_by=Owner.VMM, within=deadline)


def test_nobody_computes_all_through_a_silence() -> None:
    assert [before_next_look(waited) for waited in (0.0, 0.008, 9.0)] == [0.0, 0.001, LONGEST_PAUSE]


def test_errors_of_the_probe_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until("nonsense", lambda: 1 / 0, owed_by=Owner.HOST, within=5)


def test_pause_is_never_longer_than_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_module, "before_next_look", lambda _: 3600)
    shared = Deadline(0.05)
    with pytest.raises(DeadlineExceeded):
        wait_until("the moon", lambda: None, owed_by=Owner.HOST, within=shared)
    assert shared.remaining() == 0


def test_shared_deadline_is_not_begun_anew() -> None:
    shared, looks = Deadline(0), []
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            wait_until("the moon", lambda: looks.append(1), owed_by=Owner.HOST, within=shared)
    assert len(looks) == 3
    assert shared.expired()


def test_deadline_counts_down() -> None:
    deadline = Deadline(60)
    assert 0 < deadline.remaining() <= 60 * PACE
    assert not deadline.expired()


def test_pace_multiplies_every_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_module, "PACE", 15.0)
    assert Deadline(2).seconds == 30
    assert Deadline(2).remaining() > 29


@pytest.mark.parametrize(("text", "pace"), [("1", 1), ("0.5", 0.5), ("15", 15)])
def test_pace_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, pace: float) -> None:
    monkeypatch.setenv("MQ_PACE", text)
    assert deadline_module._pace() == pace


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "nan", "inf"])
def test_pace_that_is_no_positive_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MQ_PACE", text)
    with pytest.raises(BadInput, match=rf"^MQ_PACE={text!r} is not a positive number: .* 1 is the default$"):
        deadline_module._pace()


@pytest.mark.parametrize("owner", Owner)
def test_expiry_says_whose_it_was_and_names_the_way_out_of_a_slow_host(owner: Owner) -> None:
    with pytest.raises(DeadlineExceeded) as late:
        wait_until("the moon", lambda: None, owed_by=owner, within=0)
    assert late.value.owed_by is owner
    assert ("MQ_PACE" in str(late.value)) is (owner is Owner.HOST)
    assert late.value.with_more(" over Hameln").owed_by is owner
    assert str(late.value.with_more(" over Hameln")).endswith(" over Hameln")
