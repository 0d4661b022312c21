"""What must be true of a NIC after whatever happened to its VM, and of a VMM that refused to go on."""

from __future__ import annotations

from harness.errors import VmmDied, VmmError
from harness.host.flows import flows
from harness.record.landed import EACH_ONCE, Landed
from harness.record.pairs import named
from harness.testbed.nic import Nic

FLOWS = 64
"""Enough for every pair of a NIC to get some, whatever a VMM makes of the hash."""
_IN_WORDS = "what cannot work should be refused in words"
SIGNALS = 128
"""Exit statuses from here on mean a signal, as a shell counts them."""


def check(nic: Nic, count: int) -> None:
    """The invariant: guest, host and frames name the first `count` pairs, and each frame lands once."""
    landed = nic.receive(flows(FLOWS))
    found, wanted = nic.witnesses(), frozenset(range(count))
    assert all((found.name(wanted), landed.exactly_once)), f"{_owed(wanted)}: {found}{_astray(landed)}"


def check_all_active(nic: Nic) -> None:
    """All pairs are attached, whatever the driver believes, and every frame reaches the guest."""
    landed, host, wanted = nic.receive(flows(FLOWS)), nic.host(), frozenset(range(nic.max_pairs))
    assert all((host.pairs == landed.pairs == wanted, landed.exactly_once)), (
        f"{_owed(wanted)}, whatever the guest was told: {host}, {landed.pairs!r}{_astray(landed)}"
    )


def check_frames(nic: Nic, count: int) -> None:
    """The frames' part of the invariant: they land on the first `count` pairs, on each of them, once each."""
    landed, wanted = nic.receive(flows(FLOWS)), frozenset(range(count))
    assert all((landed.pairs == wanted, landed.exactly_once)), (
        f"frames should land on {named(wanted)}: {landed.pairs!r}{_astray(landed)}"
    )


def check_receives(nic: Nic) -> None:
    """Every frame reaches the guest once, on whatever pair."""
    landed = nic.receive(flows(FLOWS))
    assert landed.exactly_once, f"{EACH_ONCE}: {landed.pairs!r}{_astray(landed)}"


def _owed(pairs: frozenset[int]) -> str:
    return f"{named(pairs)} should be active"


def _astray(landed: Landed) -> str:
    return f"; of {landed.sent} frames {landed.astray}" * bool(landed.astray)


def check_refusal(refused: VmmError) -> None:
    """A VMM that ended said why, and neither panicked nor died of a signal."""
    if isinstance(refused, VmmDied):
        assert 0 < refused.code < SIGNALS, f"{_IN_WORDS}, and with an exit status: {refused}"
        assert refused.output.strip(), f"{_IN_WORDS}: {refused}"
        assert "panicked" not in refused.output, f"{_IN_WORDS}, and without a panic: {refused}"


def check_safe(nic: Nic, refused: VmmError | None) -> None:
    """A VMM that was asked to go on from what is damaged refused in words, or has a NIC that receives and obeys."""
    if refused is not None:
        check_refusal(refused)
        return
    check_receives(nic)
    assert nic.set_pairs(2)
    check(nic, 2)
