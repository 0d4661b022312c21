"""Mutants: ways in which what a VMM tells its vhost-user back end goes wrong, made from outside by the proxy.

What the back end ends up with was thought through for VMMs that name every vring for each VQ_PAIRS_SET
(cloud-hypervisor with the fix for 8306, QEMU) and for those that name only what changes. N is the number of pairs of
the device, n the number that the driver asked for last (1 before it asked). A VMM that sends no SET_VRING_ENABLE for
a VQ_PAIRS_SET is changed at activation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.host.vhost_user.features import VirtioFeature, mask
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import DEFAULT_FEATURES, DEFAULT_PROTOCOL
from harness.host.vhost_user.rules import (
    Add,
    Claim,
    Deny,
    Drop,
    DropLast,
    DropLaterMemory,
    Flip,
    Late,
    OnePairTooMany,
    Rule,
    Swap,
)

WITHOUT_SUPPORT = (VirtioFeature.NET_HASH_REPORT, VirtioFeature.NET_RSS, VirtioFeature.RING_PACKED)
"""Features that no VMM under test supports."""
LATENESS = 1.0
"""Seconds by which `vhost-late` lags behind its answer."""


@dataclass(frozen=True)
class Mutant:
    """A way to be wrong: `sentence` says what the back end ends up with, `emulates` which defect that is.

    `rules` makes fresh rules for the proxy of a NIC with the given number of pairs.
    """

    name: str
    sentence: str
    emulates: str
    rules: Callable[[int], Sequence[Rule]]


MUTANTS = (
    Mutant(
        "vhost-deaf-to-disable",
        "no vring is ever disabled: every pair stays that was active once",
        "a VMM that starts right and grows on command, and never shrinks",
        lambda pairs: [Drop(Kind.SET_VRING_ENABLE, value=0)],
    ),
    Mutant(
        "vhost-deaf-above-first",
        "no vring above the first pair is ever enabled: one pair at all times",
        "a VMM that cannot grow",
        lambda pairs: [Drop(Kind.SET_VRING_ENABLE, ring=ring, value=1) for ring in range(2, 2 * pairs)],
    ),
    Mutant(
        "vhost-flip-last",
        "the last pair is enabled when it should not be, and the other way round",
        "a condition the wrong way round at the end of a loop",
        lambda pairs: [Flip(ring=ring) for ring in range(max(2, 2 * pairs - 2), 2 * pairs)],
    ),
    Mutant(
        "vhost-half-a-pair",
        "of pair 1 only the receive ring follows the count",
        "vrings taken for pairs",
        lambda pairs: [Drop(Kind.SET_VRING_ENABLE, ring=3)],
    ),
    Mutant(
        "vhost-drop-last",
        "the highest enabled vring stays disabled: half a pair less than n",
        "counting one too short",
        lambda pairs: [DropLast(pairs)],
    ),
    Mutant(
        "vhost-one-pair-too-many",
        "n + 1 pairs are enabled, N at most",
        "counting one too far",
        lambda pairs: [OnePairTooMany(pairs)],
    ),
    Mutant(
        "vhost-swap",
        "of every two messages about vring 2 the older arrives last, and stands; a single one never arrives",
        "messages that overtake each other",
        lambda pairs: [Swap(Kind.SET_VRING_ENABLE, ring=2)],
    ),
    Mutant(
        "vhost-late",
        f"enables of pairs above the first are answered at once and arrive {LATENESS:.0f} s later",
        "acknowledging before the work is done",
        lambda pairs: [Late(Kind.SET_VRING_ENABLE, ring=r, delay=LATENESS) for r in range(2, 2 * pairs)],
    ),
    Mutant(
        "vhost-forgets-memory",
        "memory that is plugged in once a vring was started is unknown to the back end",
        "memory that the VMM plugs in and tells nobody of",
        lambda pairs: [DropLaterMemory()],
    ),
    Mutant(
        "vhost-takes-all-for-granted",
        "the back end is not asked for its features and queues: it is taken for one that has all that is needed",
        "a VMM that does not look at what is offered",
        lambda pairs: [
            Claim(Kind.GET_FEATURES, answer=DEFAULT_FEATURES),
            Claim(Kind.GET_PROTOCOL_FEATURES, answer=DEFAULT_PROTOCOL),
            Claim(Kind.GET_QUEUE_NUM, answer=2 * pairs),
        ],
    ),
    Mutant(
        "vhost-accepts-more",
        "RSS, hash reports and packed rings are accepted, offered or not",
        "a VMM that passes on features without support of its own",
        lambda pairs: [Add(Kind.SET_FEATURES, bits=mask(WITHOUT_SUPPORT))],
    ),
    Mutant(
        "vhost-refuse",
        "the last vring cannot be enabled, and a VMM that asks is told so: no count of N, and no start where all are "
        "enabled at activation",
        "a back end that lacks what it offers",
        lambda pairs: [Deny(Kind.SET_VRING_ENABLE, ring=2 * pairs - 1, value=1)],
    ),
)
"""All mutants of the messages. Each changes something that a test of the suite must notice."""
