"""The back end is away, and meanwhile life goes on: whenever it comes back, the NIC is whole within seconds.

A back end is a program of its own: it is updated, crashes, is started late. No text says what a front end does until
it is back; a VMM that ends, or a NIC that stays deaf, takes the guest's network away for good.
"""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from random import Random

import pytest

from harness.deadline import Deadline, wait_until
from harness.errors import Owner
from harness.guest.status import Status
from harness.host.flows import flows
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user_backend import VhostUser
from harness.lifecycle import check, eject_and_plug
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = pytest.mark.backends("vhost-user")

PAIRS = 4
NOISE = [bytes(64)] * 16
BACK_WITHIN = 5.0
"""Seconds in which a device is whole once its back end is back."""
REFUSED_WITHIN = 1.0
"""Seconds after which a VMM that has not refused a NIC without a back end is taken to look for it."""
ENDS_WITHIN = 10.0
"""Seconds in which a VMM ends that was asked to."""
MINUTE = 63.0
"""Real seconds: more than the 60 after which cloud-hypervisor gives a back end up (8764)."""


def pause_and_resume(nic: ProbeNic) -> None:
    """The VM is paused and resumed."""
    nic.vm.pause()
    nic.vm.resume()


def transmit(nic: ProbeNic) -> None:
    """The guest sends on every pair."""
    for pair in range(PAIRS):
        nic.driver.net.send(pair, NOISE, within=0.1)


MEANWHILE: dict[str, Callable[[ProbeNic], object]] = {
    "nothing": lambda nic: None,
    "fewer-pairs": lambda nic: nic.set_pairs(1),
    "the-same-count": lambda nic: nic.set_pairs(PAIRS),
    "a-refused-count": lambda nic: nic.set_pairs(PAIRS + 1),
    "transmission": transmit,
    "pause-and-resume": pause_and_resume,
    "reset": lambda nic: nic.driver.net.reset(),
    "reset-and-start": lambda nic: nic.driver.net.start(),
}


def check_comes_back(nic: ProbeNic, port: VhostUser) -> None:
    """What the driver believes is in force, then all pairs are; a device may ask the driver to start again first."""
    net = nic.driver.net

    def status() -> str:
        return f"device_status {net.device.status!r}"

    def started() -> bool:
        wanting = net.active_pairs is None or net.device.status & Status.NEEDS_RESET
        return not wanting or not net.start() & Status.NEEDS_RESET

    wait_until("the device to start", started, owed_by=Owner.VMM, within=BACK_WITHIN, last=status)
    port.await_set_up(1)
    check(nic, len(nic.driver.believed_pairs))
    assert nic.set_pairs(PAIRS)
    check(nic, PAIRS)
    assert nic.transmit(PAIRS - 1, flows(16)).exactly_once


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
@requirement("VU-23", "VU-11")
def test_whole_after_an_absence(
    nic: ProbeNic, port: VhostUser, meanwhile: Callable[[ProbeNic], object]
) -> None:
    """More than once: whatever the guest or the operator did meanwhile, it is whole once the back end is back."""
    for _ in range(2):
        assert nic.set_pairs(PAIRS)
        port.stop()
        meanwhile(nic)
        assert nic.vm.state() == "running"
        port.start()
        check_comes_back(nic, port)


@requirement("VU-23")
def test_pause_while_the_back_end_is_away(nic: ProbeNic, port: VhostUser) -> None:
    """A back end that is gone keeps no operator from pausing the VM."""
    assert nic.set_pairs(PAIRS)
    port.stop()
    nic.vm.pause()
    assert nic.vm.state() == "paused"


@requirement("VU-25")
def test_end_while_the_back_end_is_away(nic: ProbeNic, port: VhostUser) -> None:
    """A back end that is gone keeps no operator from ending the VM."""
    assert nic.set_pairs(PAIRS)
    port.stop()
    nic.vm.process.expect_end()
    os.kill(nic.vm.pid, signal.SIGTERM)
    nic.vm.process.wait(ENDS_WITHIN)


@needs(Ability.HOT_PLUG)
@requirement("VU-23", "NET-HOST-04")
def test_removed_while_the_back_end_is_away(nic: ProbeNic[VhostUser], testbed: Testbed) -> None:
    """A NIC goes without its back end as with it; the one beside it works on, and so does the next in its place."""
    plugged = testbed.plug(nic, NicPlan(PAIRS))
    plugged.start()
    assert plugged.set_pairs(PAIRS)
    plugged.backend.stop()
    plugged.vm.remove_nic(plugged.config.id)
    assert nic.set_pairs(PAIRS)
    check(nic, PAIRS)
    plugged.backend.start()
    eject_and_plug(testbed, plugged)
    assert plugged.set_pairs(PAIRS)
    check(plugged, PAIRS)


@needs(Ability.HOT_PLUG)
@requirement("VU-25")
def test_end_is_not_held_up_by_a_back_end_that_never_comes(nic: ProbeNic, testbed: Testbed) -> None:
    """A NIC is plugged whose back end is not there: the VMM may refuse it, or look for it; asked to end, it ends."""
    absent = testbed.vhost_user(PAIRS)
    absent.stop()
    with ThreadPoolExecutor(1) as beside:
        plugging = beside.submit(nic.vm.add_nic, testbed.nic_config(NicPlan(PAIRS), 1, absent))
        wait([plugging], REFUSED_WITHIN)
        nic.vm.process.expect_end()
        os.kill(nic.vm.pid, signal.SIGTERM)
        nic.vm.process.wait(ENDS_WITHIN)


@requirement("VU-23")
def test_first_start_while_the_back_end_is_away(nic_cold: ProbeNic, port: VhostUser) -> None:
    """The driver starts while nobody is there to be told; it may have to start again."""
    port.stop()
    nic_cold.driver.net.start()
    assert nic_cold.vm.state() == "running"
    port.start()
    check_comes_back(nic_cold, port)


@pytest.mark.slow
@requirement("VU-23")
def test_whole_after_more_than_a_minute(nic: ProbeNic, port: VhostUser, rng: Random) -> None:
    """For longer than any VMM tries, with the guest asking for counts all the while."""
    assert nic.set_pairs(PAIRS)
    port.stop()
    gone = time.monotonic()
    while time.monotonic() - gone < MINUTE:
        nic.set_pairs(rng.randint(1, PAIRS))
        assert nic.vm.state() == "running"
        Deadline(1.0).run_out()
    nic.set_pairs(PAIRS)
    port.start()
    check_comes_back(nic, port)


@requirement("VU-24", "VU-20")
def test_buffers_from_before_a_reconnect_are_used(testbed: Testbed) -> None:
    """A back end that goes on where SET_VRING_BASE says comes back, twice: no frame of the guest's rings is lost."""
    (nic,) = testbed.probe_nics([NicPlan(PAIRS)], lambda pairs: testbed.vhost_user(pairs, Offer(pairs)))
    nic.start()
    assert nic.set_pairs(PAIRS)
    check(nic, PAIRS)
    for _ in range(2):
        nic.backend.restart()
        nic.backend.await_set_up(PAIRS)
        check(nic, PAIRS)
        for pair in range(PAIRS):
            assert nic.transmit(pair, flows(16)).exactly_once
