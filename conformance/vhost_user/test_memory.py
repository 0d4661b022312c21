"""Guest memory that is plugged in while vhost-user runs: the back end is told of it, and all else stays as it is."""

from dataclasses import replace

import pytest

from harness.guest.probe.features import PLAIN
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.features import ProtocolFeature
from harness.host.vhost_user.messages import Kind
from harness.host.vhost_user.offer import usual_offer
from harness.lifecycle import check_frames
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [pytest.mark.backends("vhost-user"), needs(Ability.MEMORY_HOT_PLUG)]
MORE_MIB = 128


@pytest.fixture
def surroundings(surroundings: Surroundings) -> Surroundings:
    """The VM has room for more memory."""
    return replace(surroundings, memory_room_mib=MORE_MIB)


def plug_memory(nic: Nic, end: Backend) -> None:
    """Plug memory, and wait until the back end knows of it."""
    nic.vm.plug_memory(MORE_MIB)
    end.wait(
        "to be told of the memory", lambda b: MORE_MIB << 20 in (r.size for r in b.memory_regions), within=5
    )


@requirement("VU-22", "NET-MQ-05")
def test_back_end_is_told_of_memory_and_keeps_the_count(nic: Nic, end: Backend) -> None:
    """The new region reaches the back end; frames land where they did, and the next command works."""
    assert nic.set_pairs(2)
    plug_memory(nic, end)
    assert nic.receive(flows(64)).pairs == nic.host().pairs == {0, 1}
    assert nic.set_pairs(3)
    check_frames(nic, 3)


@requirement("VU-22")
def test_back_end_without_memory_slots_is_sent_the_whole_table(
    testbed: Testbed, driver: str, backend: str
) -> None:
    """Where regions cannot be added one by one, SET_MEM_TABLE tells of all of them anew; frames still land."""
    offer = usual_offer(1).minus(ProtocolFeature.CONFIGURE_MEM_SLOTS)
    (nic,) = testbed.probe_nics([NicPlan(1, PLAIN)], lambda pairs: testbed.vhost_user(pairs, offer))
    nic.start()
    plug_memory(nic, nic.backend.end)
    assert len(nic.backend.end.log.entries(Kind.SET_MEM_TABLE)) > 1
    check_frames(nic, 1)
