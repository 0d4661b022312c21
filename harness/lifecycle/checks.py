"""What must be true of a NIC after whatever happened to its VM, and of a VMM that refused to go on."""

from __future__ import annotations

from harness.errors import VmmDied, VmmError
from harness.host.flows import flows
from harness.testbed.nic import Nic

SIGNALS = 128
"""Exit statuses from here on mean a signal, as a shell counts them."""


def check(nic: Nic, count: int) -> None:
    """The invariant: guest, host and frames name the first `count` pairs, and no frame is missing."""
    landed = nic.receive(flows(64))
    assert landed.exactly_once, landed
    assert landed.pairs == nic.host().pairs == nic.driver.believed_pairs == set(range(count)), landed


def check_all_active(nic: Nic) -> None:
    """All pairs are attached, whatever the driver believes, and every frame reaches the guest."""
    assert nic.host().pairs == set(range(nic.max_pairs))
    landed = nic.receive(flows(64))
    assert landed.exactly_once, landed
    assert landed.pairs == set(range(nic.max_pairs)), landed


def check_refusal(refused: VmmError) -> None:
    """A VMM that ended said why, and neither panicked nor died of a signal."""
    if isinstance(refused, VmmDied):
        assert 0 < refused.code < SIGNALS, refused
        assert refused.output.strip(), "it ended without a word"
        assert "panicked" not in refused.output, refused


def check_safe(nic: Nic, refused: VmmError | None) -> None:
    """A VMM that was asked to go on from what is damaged refused in words, or has a NIC that receives and obeys."""
    if refused is not None:
        check_refusal(refused)
        return
    landed = nic.receive(flows(64))
    assert landed.exactly_once, landed
    assert nic.set_pairs(2)
    check(nic, 2)
