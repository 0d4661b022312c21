"""A policy that lets the VMM believe it has its way, and keeps the kernel's queues in another shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.host.held_queues import HeldQueue, Lookout
from harness.host.syscalls.call import Action, Call, Operation
from harness.host.syscalls.policy import Verdict

Pairs = frozenset[int]


@dataclass(frozen=True)
class Situation:
    """A tap at one call of the VMM's. Pairs count from 0.

    `believed`: those that the VMM takes for attached once it is told that the call succeeded; `attached`: those
    that the kernel holds attached before anything is done; `pair`: the one that the call is about; `total`: all
    that there are.
    """

    call: Call
    pair: int
    believed: Pairs
    attached: Pairs
    total: int


Shape = Callable[[Situation], Sequence[Pairs]]
"""The sets of attached pairs that the kernel is to go through, the last of them to stay."""


@dataclass
class Reshape:
    """Answers 0 to every legal call, and brings the tap into the shape that `shape` makes of it.

    VMMs remember what they attached and ask for differences only, so what is done cannot be decided call by
    call: an attach after a swallowed detach would be refused with EINVAL. This policy keeps the VMM's belief
    beside the kernel's state instead, for each process and tap. The VMM has opened its taps anew if the kernel's
    state is not as this policy left it, or if a call contradicts the belief: then the belief starts again from
    what the kernel holds. A call that contradicts even this is illegal, and left to the kernel to refuse.
    """

    shape: Shape
    _beliefs: dict[tuple[int, str], tuple[Pairs, Pairs]] = field(default_factory=dict)
    """Per process and tap: what the VMM believes, and what the kernel was left with."""
    _lookout: Lookout = field(default_factory=Lookout)

    def decide(self, call: Call, earlier: Sequence[Call]) -> Verdict | None:
        """Bring the call's tap into shape."""
        queues = self._lookout.queues(call.caller.pid, call.tap)
        pair = next((i for i, queue in enumerate(queues) if call.caller.fd in queue.descriptors), None)
        if pair is None or call.action is None:
            return None
        key = (call.caller.pid, call.tap)
        attached = frozenset(i for i, queue in enumerate(queues) if queue.attached)
        believed, left = self._beliefs.get(key, (attached, attached))
        attach = call.action is Action.ATTACH
        if left != attached or (pair in believed) == attach:
            believed = attached
        if (pair in believed) == attach:
            return None
        believed ^= {pair}
        steps = self.shape(Situation(call, pair, believed, attached, len(queues)))
        self._beliefs[key] = (believed, steps[-1])
        return Verdict(_operations(queues, attached, steps), answer=0)


def _operations(
    queues: Sequence[HeldQueue], attached: Pairs, steps: Sequence[Pairs]
) -> tuple[Operation, ...]:
    """The differences from step to step. Attaches come first, so that no step passes through fewer queues."""
    operations = []
    for wanted in steps:
        operations += [
            Operation(queues[pair].descriptors[0], Action.ATTACH) for pair in sorted(wanted - attached)
        ]
        operations += [
            Operation(queues[pair].descriptors[0], Action.DETACH) for pair in sorted(attached - wanted)
        ]
        attached = wanted
    return tuple(operations)
