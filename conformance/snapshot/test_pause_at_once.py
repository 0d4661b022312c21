"""A pause that comes while the VMM still starts the threads that work for the NIC.

No specification says when a VMM may be paused; a call of its API that never returns is a defect of any. All other
tests pause when the threads are in place.
"""

import pytest

from harness.guest.probe.net import VirtioNet
from harness.host.syscalls import Supervisor
from harness.lifecycle import check_receives
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.surroundings import Surroundings
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [
    pytest.mark.backends("tap", "vhost-user"),
    needs(Ability.PAUSE, Ability.DEVICE_THREADS),
]

SLOWNESS = 0.2
"""Seconds that a thread takes to start."""


@pytest.fixture
def surroundings(surroundings: Surroundings) -> Surroundings:
    """The VMM's TUNSETQUEUE calls can be altered, and the start of its threads too."""
    return surroundings.supervised()


@requirement("NET-SNAP-09")
def test_pause_while_threads_start(nic: ProbeNic, net: VirtioNet, supervisor: Supervisor) -> None:
    """The driver has just set DRIVER_OK: the VM can be paused and resumed, and then frames arrive."""
    nic.reset()
    nic.vm.pause()
    nic.vm.resume()
    with supervisor.slow_start(SLOWNESS, f"{nic.config.id}*"):
        nic.reset()
        nic.vm.pause(at_once=True)
    nic.vm.resume()
    check_receives(nic)
