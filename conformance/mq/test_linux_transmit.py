"""Transmission from Linux's network stack, which chooses the pair by the CPU that sends (XPS)."""

import pytest

from harness.guest.linux.guest import LinuxGuest
from harness.host.flows import HOST_MAC
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [pytest.mark.drivers("linux"), pytest.mark.backends("tap", "vhost-user")]

EACH = 3
"""Frames from each CPU."""
IP_PROTOCOL = 14 + 9
"""Where an Ethernet frame with an IPv4 packet in it has the number of the protocol."""
ICMP = 1

FROM_EVERY_CPU = f"""
for cpu in 0 1 2 3; do
    taskset -c $cpu ping -c {EACH} -i 0.1 -W 1 10.88.0.2 &
done
wait
"""


@pytest.fixture
def neighbour(nic: Nic, guest: LinuxGuest) -> None:
    """The guest has an address on the NIC and knows a neighbour, who never answers."""
    name = nic.config.id
    guest.check(f"ip address add 10.88.0.1/24 dev {name} && arp -i {name} -s 10.88.0.2 {HOST_MAC}")


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("pairs", [1, 2, 3, 4])
@requirement("NET-MQ-04", "NET-MQ-25")
def test_every_cpu_transmits(nic: Nic, guest: LinuxGuest, pairs: int) -> None:
    """At any count the frames of all four CPUs reach the host, from the pairs in use; at four, each from its own."""
    assert nic.set_pairs(pairs)
    before = guest.transmitted(nic.config.id)
    nic.wire.capture()
    guest.run(FROM_EVERY_CPU)
    sent = guest.transmitted(nic.config.id) - before
    assert sent.above == 0, f"nothing should be sent on pairs above the first {pairs}: {sent}"
    assert pairs < 4 or sent.per_queue == (EACH,) * 4, f"each of four pairs should send {EACH} frames: {sent}"
    out = [frame[IP_PROTOCOL] for frame in nic.wire.capture()]
    assert out == [ICMP] * 4 * EACH, (
        f"{len(out)} frames came out on the host: expected {4 * EACH}, all of ICMP"
    )
