"""Transmission: every active pair sends, and an inactive one wedges nothing."""

import pytest

from harness.host.flows import flows
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = pytest.mark.backends("tap", "vhost-user")


@pytest.mark.drivers("probe", "linux")
@pytest.mark.parametrize("pair", [0, 1, 2, 3])
@requirement("NET-MQ-04")
def test_active_pair_transmits(nic: Nic, pair: int) -> None:
    """Frames put on an active transmitq come out on the host once each, and their buffers come back."""
    assert nic.set_pairs(4)
    sent = nic.transmit(pair, flows(64))
    assert sent.exactly_once
    assert sent.returned == 64


@pytest.mark.parametrize("pair", [1, 2, 3])
@requirement("NET-MQ-17")
def test_inactive_pair_returns_its_buffers(nic: Nic, pair: int) -> None:
    """Linux lowers its own count only after the ack, so buffers above n do come; they must come back."""
    assert nic.set_pairs(1)
    assert nic.transmit(pair, flows(64)).returned == 64
    sent = nic.transmit(0, flows(64))
    assert sent.exactly_once
    assert nic.set_pairs(4)
    assert nic.transmit(pair, flows(64)).exactly_once
