"""The same contract on back ends in use: DPDK's testpmd, Open vSwitch, and cloud-hypervisor's own vhost_user_net."""

from collections.abc import Sequence

import pytest

from harness.deadline import wait_until
from harness.errors import Owner
from harness.guest.driver import Ledger
from harness.host.flows import flows
from harness.host.real_backends.dpdk import DpdkBackend
from harness.lifecycle import check_frames
from harness.mac import mac_bytes
from harness.record.landed import Landed
from harness.register.mark import requirement
from harness.testbed.nic import Nic, ProbeNic
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.slow  # testpmd polls: it takes a whole processor from whatever runs beside it

every_count = pytest.mark.parametrize("pairs", [1, 2, 3, 4])


def echoed(nic: Nic, pair: int) -> Landed:
    """Let the guest send frames on a pair to a back end that sends them back on the same; where they came."""
    ledger = Ledger()
    source = mac_bytes(nic.config.mac)

    def send(batch: Sequence[bytes]) -> None:
        nic.driver.transmit(pair, batch)

    frames = [flow.reply(source, identity) for flow, identity in zip(flows(64), ledger.open(64), strict=True)]
    return nic.driver.receive(send, frames, ledger)


@pytest.mark.backends("testpmd", "ovs")
@every_count
@requirement("VU-08")
def test_count_reaches_dpdk(nic: ProbeNic[DpdkBackend], pairs: int) -> None:
    """The messages that DPDK hears enable exactly the first n pairs, and it says the same of its own state."""
    assert nic.set_pairs(5 - pairs)
    assert nic.set_pairs(pairs)
    assert nic.host().pairs == set(range(pairs))
    dpdk = nic.backend
    wanted = set(range(2 * pairs))
    said = dpdk.enabled_rings
    wait_until("DPDK to say so", lambda: said() == wanted, owed_by=Owner.VMM, within=2, last=said)


@pytest.mark.backends("vhost_user_net")
@needs(Ability.ENABLES_AFTER_KICKS)
@every_count
@requirement("VU-08")
def test_count_reaches_vhost_user_net(nic: Nic, pairs: int) -> None:
    """The messages that it hears enable exactly the first n pairs."""
    assert nic.set_pairs(5 - pairs)
    assert nic.set_pairs(pairs)
    assert nic.host().pairs == set(range(pairs))
    assert nic.host().consistent


@pytest.mark.backends("testpmd")
@every_count
@requirement("VU-08", "NET-MQ-04", "NET-MQ-05")
def test_testpmd_echoes_on_active_pairs_only(nic_interrupting: Nic, pairs: int) -> None:
    """DPDK sends each frame back on the pair it came from: whole where the pair is active, and nothing elsewhere."""
    assert nic_interrupting.set_pairs(pairs)
    assert nic_interrupting.host().pairs == set(range(pairs))
    for pair in range(nic_interrupting.max_pairs):
        landed = echoed(nic_interrupting, pair)
        assert landed.by_pair == ({pair: 64} if pair < pairs else {}), (
            f"sent on pair {pair} of {pairs}: {landed}"
        )


@pytest.mark.backends("testpmd")
@requirement("VU-09")
def test_testpmd_serves_the_first_pair_before_any_command(nic_interrupting: Nic) -> None:
    """Before the driver asked, frames are sent back on pair 0 and on no other."""
    assert echoed(nic_interrupting, 0).by_pair == {0: 64}
    assert echoed(nic_interrupting, 3).by_pair == {}


@pytest.mark.backends("vhost_user_net")
@needs(Ability.ENABLES_AFTER_KICKS)
@requirement("VU-08", "NET-MQ-04")
def test_vhost_user_net_sends_on_active_pairs(nic: Nic) -> None:
    """What the guest sends on each active pair comes out of the tap behind the back end."""
    assert nic.set_pairs(3)
    assert nic.host().pairs == {0, 1, 2}
    for pair in range(3):
        assert nic.transmit(pair, flows(64)).exactly_once


@pytest.mark.backends("vhost_user_net")
@needs(Ability.ENABLES_AFTER_KICKS)
@requirement("VU-20", "NET-MQ-05")
def test_vhost_user_net_uses_buffers_from_before_the_start(nic: Nic) -> None:
    """It goes on where SET_VRING_BASE says: frames arrive, for a driver that fills its rings before DRIVER_OK."""
    assert nic.set_pairs(4)
    check_frames(nic, 4)
