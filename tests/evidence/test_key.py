"""What a failure is known by: the same whenever it happens again, and another for another failure."""

from __future__ import annotations

import pytest

from harness.errors import DeadlineExceeded, GuestError, Owner, VmmDied, VmmError
from harness.evidence.key import key_of
from harness.process.last_words import FORBIDDEN

ASSERTION = AssertionError()
LATE = DeadlineExceeded("waited 5.0 s for 4 pairs to be set up; last seen: x", Owner.VMM)
SHOULD = "pairs 0-1 should be active: the guest was told pairs 0-1, "


@pytest.mark.parametrize(
    ("error", "reason", "key"),
    [
        (
            VmmDied("x"),
            "base died (killed by SIGABRT) while pausing; its last words: (none)",
            "died: SIGABRT",
        ),
        (ASSERTION, "base died (killed by SIGABRT) amid the test; it said: oh", "died: SIGABRT"),
        (
            VmmDied("x"),
            "b died (exit status 1) at start; it said: thread 'vmm' panicked at vm.rs:3:4",
            "died: exit status 1 panicked",
        ),
        (
            VmmDied("x"),
            f"b died (killed by SIGSYS) at start; it said: {FORBIDDEN}",
            "died: SIGSYS seccomp",
        ),
        (LATE, str(LATE), "late: # pairs to be set up"),
        (DeadlineExceeded("x", Owner.VMM), "VQ_PAIRS_SET 2 had no answer within 5.0 s", "silence"),
        (VmmError("x"), "VQ_PAIRS_SET 2 had no answer: the device asks for a reset", "needs reset"),
        (VmmError("x"), "base refused vm.pause (HTTP 500): no", "refused"),
        (VmmError("x"), "VQ_PAIRS_SET 2 came back without an ack: its byte is untouched", "no ack"),
        (GuestError("x"), "the probe guest faulted in a batch", "guest"),
        (ASSERTION, "VQ_PAIRS_SET 2 was refused", "refused"),
        (ASSERTION, "VQ_PAIRS_SET 9 was acknowledged, and should have been refused", "acknowledged"),
        (ASSERTION, "the host holds pairs 0-3: expected pair 0", "host"),
        (ASSERTION, "the host holds pair 0: expected pairs 0-3", "host"),
        (ASSERTION, "the host counts 4 active pairs: expected 1", "host"),
        (ASSERTION, "frames landed on pair 0: expected pairs 0-1 (the host holds them)", "frames"),
        (ASSERTION, SHOULD + "the host holds pairs 0-3, frames landed on pairs 0-3", "host frames"),
        (ASSERTION, SHOULD + "the host holds pairs 0-1, frames landed on pairs 0-3", "frames"),
        (
            ASSERTION,
            SHOULD + "the host holds pairs 0-1, frames landed on pairs 0-1; of 64 frames 3 lost",
            "lost",
        ),
        (
            ASSERTION,
            "pair 0 should be active: the guest was told pairs 0-1, the host holds pair 0, frames landed on pair 0",
            "guest",
        ),
        (ASSERTION, "frames should land on pairs 0-1: frames landed on pairs 0-3", "frames"),
        (ASSERTION, "every frame should arrive once: frames landed on pair 0; of 64 frames 46 lost", "lost"),
    ],
)
def test_key_of_a_failure(error: BaseException, reason: str, key: str) -> None:
    assert key_of(error, reason) == key


def test_any_other_assertion_is_known_by_its_source() -> None:
    found = []
    for number in (3, 4):
        try:
            assert number == 2, f"it is {number}"
        except AssertionError as error:
            found.append(key_of(error, str(error)))
    assert found[0] == found[1] == 'assert number == 2, f"it is {number}"'
