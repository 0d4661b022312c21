"""Which pairs are active before the driver has asked for any: exactly the first."""

import pytest

from harness.lifecycle import check_frames, check_receives
from harness.register.mark import requirement
from harness.testbed.nic import Nic

pytestmark = [pytest.mark.issue_8307, pytest.mark.backends("tap", "vhost-user")]


@requirement("NET-MQ-01")
def test_one_pair_is_attached_after_driver_ok(nic: Nic) -> None:
    """Negotiating multiqueue alone activates nothing: the host holds pair 0, and no other."""
    assert nic.host().count == 1
    assert nic.host().pairs == {0}


@requirement("NET-MQ-02")
def test_frames_land_on_the_first_pair_before_any_command(nic: Nic) -> None:
    """With buffers waiting on every receive ring, all frames arrive and only on receiveq1."""
    check_frames(nic, 1)


@requirement("NET-MQ-01", "NET-FEAT-02")
def test_one_pair_is_attached_without_multiqueue(nic_control: Nic) -> None:
    """A driver with a control queue that does not negotiate multiqueue gets one pair."""
    assert nic_control.host().pairs == {0}


@requirement("NET-FEAT-02")
def test_frames_reach_a_driver_without_multiqueue(nic_control: Nic) -> None:
    """It sets up one pair, so a frame that the host gives to another is lost to it."""
    check_receives(nic_control)


@requirement("NET-MQ-01", "NET-FEAT-02")
def test_one_pair_is_attached_without_control_queue(nic_plain: Nic) -> None:
    """Firmware negotiates neither multiqueue nor a control queue, and gets one pair."""
    assert nic_plain.host().pairs == {0}


@requirement("NET-FEAT-02")
def test_frames_reach_a_driver_without_control_queue(nic_plain: Nic) -> None:
    """All frames reach the one pair that firmware sets up."""
    check_receives(nic_plain)
