"""What became of a control command, and how it shows itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import DeadlineExceeded, Owner, VmmError
from harness.guest.answer import Ack, Answer, explained, plain
from harness.guest.status import Status
from harness.record.pairs import ARRIVED

ANSWERS = [
    (Ack.OK, "VQ_PAIRS_SET 2 was acknowledged", "OK"),
    (Ack.ERR, "VQ_PAIRS_SET 2 was refused", "ERR"),
    (
        Ack.NONE,
        "VQ_PAIRS_SET 2 came back without an ack: its byte is untouched",
        "nothing: the command came back without an ack",
    ),
    (Ack.SILENCE, "VQ_PAIRS_SET 2 had no answer within 5.0 s", "nothing within 5.0 s"),
    (0x77, "VQ_PAIRS_SET 2 was answered 0x77, which is neither OK nor ERR", "0x77"),
]


def answered(ack: Ack | int) -> Answer:
    return Answer("VQ_PAIRS_SET 2", ack, waited=5.0)


@pytest.mark.parametrize(("ack", "words", "told"), ANSWERS)
def test_answer_shows_itself(ack: Ack | int, words: str, told: str) -> None:
    assert str(answered(ack)) == repr(answered(ack)) == words
    assert answered(ack).told == told


def test_silence_of_a_device_that_asks_for_a_reset_is_told_as_that() -> None:
    answer = replace(answered(Ack.SILENCE), status=Status.NEEDS_RESET)
    assert str(answer) == "VQ_PAIRS_SET 2 had no answer: the device asks for a reset"
    assert answer.told == "nothing: the device asks for a reset"
    with pytest.raises(VmmError, match="asks for a reset"):
        bool(answer)


def test_answer_is_true_or_false() -> None:
    assert answered(Ack.OK)
    assert not answered(Ack.ERR)


def test_silence_is_neither_and_the_vmm_owed_it() -> None:
    with pytest.raises(DeadlineExceeded, match=r"had no answer within 5\.0 s$") as silence:
        bool(answered(Ack.SILENCE))
    assert silence.value.owed_by is Owner.VMM


@pytest.mark.parametrize("ack", [Ack.NONE, 0x77, 255])
def test_what_is_no_answer_is_neither(ack: Ack | int) -> None:
    with pytest.raises(VmmError, match="VQ_PAIRS_SET 2 "):
        bool(answered(ack))


@pytest.mark.parametrize(
    ("assertion", "words"),
    [
        ("assert VQ_PAIRS_SET 2 was refused", "VQ_PAIRS_SET 2 was refused"),
        (
            "assert not VQ_PAIRS_SET 9 was acknowledged",
            "VQ_PAIRS_SET 9 was acknowledged, and should have been refused",
        ),
        ("assert the host holds pairs 0-3: expected pair 0", "the host holds pairs 0-3: expected pair 0"),
        (
            "assert every frame should arrive once: 4 frames sent; landed on pair 0: 3, 1 lost",
            "every frame should arrive once: 4 frames sent; landed on pair 0: 3, 1 lost",
        ),
        (
            f"assert {ARRIVED} 0 SET_VRING_ENABLE of vring 2",
            "the back end was sent 0 SET_VRING_ENABLE of vring 2: expected at least one",
        ),
        ("assert 1 == 2", "assert 1 == 2"),
    ],
)
def test_assertion_about_an_answer_is_told_in_words(assertion: str, words: str) -> None:
    assert plain(assertion) == words


@pytest.mark.parametrize(
    ("operator", "left", "right", "words"),
    [
        ("is", Ack.OK, Ack.ERR, "the command was answered OK: expected ERR"),
        ("is not", Ack.OK, Ack.OK, "the command was answered OK: expected anything but OK"),
        ("in", Ack.NONE, (Ack.OK, Ack.ERR), "the command was answered no ack: expected one of OK, ERR"),
        (
            "==",
            [Ack.OK, Ack.SILENCE],
            [Ack.OK, Ack.OK],
            "the commands were answered OK, silence: expected OK, OK",
        ),
        ("==", [], [], None),
        ("==", 1, 0, None),
        ("==", [Ack.OK, 3], [Ack.OK], None),
        ("<", Ack.OK, Ack.ERR, None),
    ],
)
def test_failed_comparison_of_acks_says_found_and_expected(
    operator: str, left: object, right: object, words: str | None
) -> None:
    assert explained(operator, left, right) == (None if words is None else [words])
