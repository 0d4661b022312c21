"""A guest that is resumed sends at once: its frames are not thrown away."""

from contextlib import suppress

import pytest

from harness.deadline import wait_until
from harness.errors import DeadlineExceeded, Owner
from harness.host.flows import flows
from harness.host.vhost_user.backend import Backend
from harness.host.vhost_user.faults import Delay
from harness.host.vhost_user.messages import Kind
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import Nic
from harness.vmm.abilities import Ability
from harness.vmm.needs import needs

pytestmark = [pytest.mark.backends("vhost-user"), needs(Ability.PAUSE)]

LATENESS = 1.0
LAST = 7
"""The transmitq of pair 3: a VMM enables it last."""


def await_pause(end: Backend) -> None:
    """Some VMMs disable the rings over a pause, behind the API's back; the others cost half a second."""
    with suppress(DeadlineExceeded):
        wait_until(
            f"vring {LAST} to be disabled",
            lambda: LAST not in end.enabled_rings(),
            owed_by=Owner.VMM,
            within=0.5,
        )


@requirement("VU-15")
def test_frames_sent_after_a_resume_come_out(nic: Nic, end: Backend, acknowledged: None) -> None:
    """A back end discards what is sent on a vring that is disabled: the guest goes on when all are enabled again."""
    assert nic.set_pairs(4)
    nic.vm.pause()
    await_pause(end)
    end.arm(Delay(Kind.SET_VRING_ENABLE, ring=LAST, value=1, delay=LATENESS))
    nic.vm.resume()
    landed = nic.transmit(3, flows(16))
    assert landed.exactly_once
    check(nic, 4)
