"""A policy that confuses the NICs of one VM: what is asked for one tap is done to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.host.held_queues import HeldQueue, Lookout
from harness.host.syscalls.call import Action, Call, Operation
from harness.host.syscalls.policy import Verdict


class SwapTaps:
    """Carries every call out on the same pair of the process's next multi-queue tap, and answers 0.

    The taps follow each other in the order in which they were opened, the first after the last. With a single
    multi-queue tap nothing is changed. Nothing is done where the other tap has no such pair, or has it in the
    wanted state already.
    """

    def __init__(self) -> None:
        self._lookout = Lookout()

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """Turn the call to the other tap."""
        taps = _multi_queue_taps(self._lookout.taps(call.caller.pid))
        if call.action is None or call.tap not in taps or len(taps) < 2:
            return None
        names = list(taps)
        other = taps[names[(names.index(call.tap) + 1) % len(names)]]
        pair = next(
            (i for i, queue in enumerate(taps[call.tap]) if call.caller.fd in queue.descriptors), len(other)
        )
        if pair >= len(other) or other[pair].attached == (call.action is Action.ATTACH):
            return Verdict(operations=(), answer=0)
        return Verdict((Operation(other[pair].descriptors[0], call.action),), answer=0)


def _multi_queue_taps(taps: Mapping[str, list[HeldQueue]]) -> dict[str, list[HeldQueue]]:
    return {tap: held for tap, held in taps.items() if len(held) > 1}
