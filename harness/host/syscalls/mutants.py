"""Mutants: ways in which a VMM's TUNSETQUEUE calls go wrong, made from outside on an unmodified binary.

What the kernel ends up with was thought through for the two ways in which VMMs make these calls. QEMU detaches
all but pair 0 before the guest runs, and then asks for differences on its main thread, lowest pair first (on a
vCPU's thread when the guest resets). cloud-hypervisor, where it honours VQ_PAIRS_SET at all, detaches on thread
`vmm` when the driver sets DRIVER_OK, and asks for differences on thread `<id>_ctrl`, detaching from the top. It
leaves the count alone on reset until the next DRIVER_OK. A cloud-hypervisor without the fix for 8306 makes no
such call, and no mutant changes it.

N is the number of pairs of the device, n the number that the driver asked for last (1 before it asked).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import BadInput
from harness.host.syscalls.conditions import GROWN, Condition, at_activation, restoring
from harness.host.syscalls.policy import Policy, fail, misreport, postpone
from harness.host.syscalls.reshape import Pairs, Reshape, Situation
from harness.host.syscalls.swap import SwapTaps
from harness.vmm.base import Habits

LATENESS = 1.0
"""Seconds by which `late` lags behind its answer."""
ENDURANCE = 24
"""Calls after which `wears-out` does nothing more."""


@dataclass(frozen=True)
class Mutant:
    """A way to be wrong: `sentence` says what the kernel ends up with, `emulates` which defect that is.

    `policy` makes a fresh policy for a VMM of such habits, which may serve several VMs at once.
    """

    name: str
    sentence: str
    emulates: str
    policy: Callable[[Habits], Policy]


def _mutant(name: str, shape: Callable[[Situation], Pairs], sentence: str, emulates: str) -> Mutant:
    return Mutant(name, sentence, emulates, lambda habits: Reshape(lambda now: [shape(now)]))


def _where(
    name: str,
    when: Callable[[Habits], Condition],
    shape: Callable[[Situation], Pairs],
    sentence: str,
    emulates: str,
) -> Mutant:
    """One that has a shape of its own at some calls, and does what is asked for at the others."""

    def policy(habits: Habits) -> Policy:
        condition = when(habits)
        return Reshape(lambda now: [shape(now) if condition.holds(now.call) else now.believed])

    return Mutant(name, sentence, emulates, policy)


def _first(count: int) -> Pairs:
    return frozenset(range(count))


def _last(count: int, total: int) -> Pairs:
    return frozenset(range(total - count, total))


def _swallowed(now: Situation) -> Pairs:
    """Nothing is done; the next call that is carried out sets all that was missed right."""
    return now.attached


def _worn_out(now: Situation) -> Pairs:
    return now.believed if now.call.number <= ENDURANCE else now.attached


def _restored_again(habits: Habits) -> Policy:
    """What the VMM restored is done once more at each activation that follows."""
    restored, activated = restoring(habits), at_activation(habits)
    recorded: dict[tuple[int, str], Pairs] = {}

    def shape(now: Situation) -> list[Pairs]:
        key = (now.call.caller.pid, now.call.tap)
        if restored.holds(now.call):
            recorded[key] = now.believed
        elif activated.holds(now.call):
            return [recorded.get(key, now.believed)]
        return [now.believed]

    return Reshape(shape)


MUTANTS = (
    _mutant(
        "swallow-all",
        lambda now: now.attached,
        "every call succeeds and none is carried out: N pairs are attached at all times",
        "issue 8306: VQ_PAIRS_SET is acknowledged and ignored",
    ),
    _mutant(
        "swallow-attach",
        lambda now: now.attached & now.believed,
        "attaches succeed and are not carried out: the count can only fall, to 1 at activation on both VMMs",
        "a VMM that cannot grow again",
    ),
    _mutant(
        "swallow-detach",
        lambda now: now.attached | now.believed,
        "detaches succeed and are not carried out: N pairs at all times, for VMMs open their taps attached",
        "a VMM that enables what is asked for and disables nothing",
    ),
    _mutant(
        "swallow-shrink",
        lambda now: now.attached | now.believed if now.call.grown else now.believed,
        "detaches are not carried out once the tap has had an attach: 1 pair at first, then the highest n so far",
        "a VMM that starts right and grows on command, and never shrinks",
    ),
    _where(
        "swallow-at-activation",
        at_activation,
        _swallowed,
        "detaches are not carried out before the driver's first attach, on cloud-hypervisor after a reset as well: "
        "N pairs until the driver asks for more than one, n from then on",
        "issue 8307: all pairs are active before the driver asked",
    ),
    _where(
        "reset-keeps-count",
        lambda habits: at_activation(habits) & GROWN,
        _swallowed,
        "detaches at a reset (QEMU) or the activation after it (cloud-hypervisor) are not carried out: the count "
        "of the driver before stays until this one asks for more than one",
        "issue 8307 after a reset alone: the count outlives the driver that asked for it",
    ),
    _mutant(
        "one-pair-too-many",
        lambda now: _first(min(len(now.believed) + 1, now.total)),
        "n + 1 pairs are attached, N at most",
        "counting one too far",
    ),
    _mutant(
        "one-pair-too-few",
        lambda now: _first(max(len(now.believed) - 1, 1)),
        "n - 1 pairs are attached, 1 at least",
        "counting one too short",
    ),
    _mutant(
        "no-pair-left",
        lambda now: now.believed if len(now.believed) > 1 else _first(0),
        "at n = 1 pair 0 is detached as well, otherwise n pairs are attached: the host drops every frame",
        "detaching one too many at the bottom",
    ),
    _mutant(
        "all-or-one",
        lambda now: now.believed if len(now.believed) == 1 else _first(now.total),
        "every n above 1 attaches all N pairs",
        "VQ_PAIRS_SET taken for a switch: multiqueue on or off",
    ),
    _mutant(
        "wrong-queue",
        lambda now: _first(1) | _last(len(now.believed) - 1, now.total),
        "n queues are attached: that of pair 0, the others from the last pair down; right for n = 1 and n = N",
        "attaching by an index that counts from the wrong end",
    ),
    _mutant(
        "pair-0-last",
        lambda now: _last(len(now.believed), now.total),
        "n queues are attached, from the last pair down: pair 0 comes last, and is alone right at n = N",
        "the wrong end of the list of pairs is kept",
    ),
    _mutant(
        "attach-error-as-success",
        lambda now: now.believed - {1},
        "attaching pair 1 fails and is reported as success: pair 1 is missing for every n above 1",
        "an error of one queue that is dropped on the way to the guest",
    ),
    _mutant(
        "detach-error-as-success",
        lambda now: now.believed | {now.total - 1},
        "detaching the last pair fails and is reported as success: pair N - 1 is attached beside those below n",
        "an error of one queue that is dropped on the way to the guest",
    ),
    Mutant(
        "success-as-error",
        "the driver's commands are carried out, and their first call is reported as EBUSY: the guest gets an "
        "error though the count has moved one pair towards it; QEMU aborts instead",
        "an error reported without undoing what was done",
        lambda habits: misreport(errno.EBUSY, ~at_activation(habits)),
    ),
    Mutant(
        "refuse",
        "the driver's commands fail with EPERM and change nothing, so the guest gets an error; QEMU aborts instead",
        "a VMM that lacks the right to do what it offers",
        lambda habits: fail(errno.EPERM, ~at_activation(habits)),
    ),
    Mutant(
        "late",
        f"every call succeeds at once and is carried out {LATENESS:.0f} s later: n pairs, and too late",
        "acknowledging before the work is done",
        lambda habits: postpone(LATENESS),
    ),
    Mutant(
        "flicker",
        "every call passes through no attached queue at all: n pairs in the end, and all frames in the queues lost",
        "detaching everything and attaching anew for each change",
        lambda habits: Reshape(lambda now: [frozenset(), now.believed]),
    ),
    _mutant(
        "wears-out",
        _worn_out,
        f"the first {ENDURANCE} calls of the VM are carried out, later ones succeed and are not",
        "a leak, an overflow: what only a long run meets",
    ),
    _where(
        "restore-forgets",
        restoring,
        lambda now: _first(1),
        "what a restored VMM asks for before the guest goes on leaves pair 0 alone attached; later calls are carried "
        "out, and set right what was missed",
        "a restore that starts as a boot does; harmless where a restore makes no call",
    ),
    _where(
        "restore-takes-all",
        restoring,
        lambda now: _first(now.total),
        "what a restored VMM asks for before the guest goes on leaves all pairs attached; later calls are carried out",
        "every snapshot taken for one without a count",
    ),
    Mutant(
        "restores-at-each-activation",
        "in a restored VM each activation attaches the pairs that were restored, not pair 0 alone",
        "a restored count that is not used up",
        _restored_again,
    ),
    Mutant(
        "other-nic",
        "calls are carried out on the next NIC of the VM: each NIC has the other's count; harmless with a single NIC",
        "an index shared between devices",
        lambda habits: SwapTaps(),
    ),
)
"""All mutants of the tap. Each changes something that a test of the suite must notice."""


def mutant(name: str) -> Mutant:
    """The mutant of that name. Raises BadInput, which lists them, for another."""
    for found in MUTANTS:
        if found.name == name:
            return found
    raise BadInput(f"there is no mutant {name!r}; there are {', '.join(found.name for found in MUTANTS)}")
