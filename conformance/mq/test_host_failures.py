"""The host fails where frames pass: the tap is down, pulled out or gone, refuses a frame, or tells of fewer bytes.

No specification says what a device does then. A frame may be lost; its buffer comes back, the other pairs go on, the
VMM lives, and once the host is well again so is the NIC. That is quality of implementation, and what QEMU does.
"""

import errno
from collections.abc import Callable

import pytest

from harness.guest.probe.net import HEADER, VirtioNet
from harness.guest.status import Status
from harness.host.flows import flows
from harness.host.syscalls import Direction, FrameFault, Supervisor
from harness.host.tap import Tap
from harness.lifecycle import check
from harness.register.mark import requirement
from harness.testbed.nic import ProbeNic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed

PAIRS = 4
SOME = 16
NOISE = [bytes(64)] * SOME
"""Frames that meet trouble: nobody accounts for them."""
each_pair = pytest.mark.parametrize("pair", range(PAIRS))


def check_whole(nic: ProbeNic[Tap]) -> None:
    """Every pair receives and sends."""
    check(nic, PAIRS)
    for pair in range(PAIRS):
        sent = nic.transmit(pair, flows(SOME))
        assert sent.exactly_once, f"what is sent on pair {pair} should arrive once: {sent}"
        assert sent.returned == SOME


TROUBLES: dict[str, Callable[[Tap, bool], None]] = {
    "down": lambda tap, well: tap.set_up(well),
    "cable-pulled": lambda tap, well: tap.set_carrier(well),
}


def check_used(pair: int, returned: int) -> None:
    """Each buffer of the noise came back."""
    assert returned == len(NOISE), f"of {len(NOISE)} frames sent on pair {pair} {returned} came back used"


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@each_pair
@requirement("NET-FAIL-01")
def test_transmission_while_the_tap_is_down(
    nic: ProbeNic[Tap], net: VirtioNet, trouble: Callable[[Tap, bool], None], pair: int
) -> None:
    """Buffers come back, more than once; when the tap is well again every pair sends and receives."""
    assert nic.set_pairs(PAIRS)
    for _ in range(2):
        trouble(nic.backend, False)
        returned = net.send(pair, NOISE)
        trouble(nic.backend, True)
        check_used(pair, returned)
        check_whole(nic)


@requirement("NET-FAIL-02")
def test_tap_that_is_removed_takes_nothing_with_it(testbed: Testbed) -> None:
    """The VMM lives and answers, the guest's registers too, and the VM's other NIC works on."""
    gone, other = testbed.probe_nics([NicPlan(PAIRS), NicPlan(PAIRS)], testbed.tap)
    for nic in (gone, other):
        nic.start()
        assert nic.set_pairs(PAIRS)
    gone.backend.remove()
    for pair in range(PAIRS):
        gone.driver.net.send(pair, NOISE)
    assert gone.vm.state() == "running"
    gone.driver.net.reset()
    check_whole(other)


EDGES = {
    "no-frame": 0,
    "one-byte": 1,
    "shorter-than-ethernet": 13,
    "ethernet-header-only": 14,
    "jumbo": 9014,
    "largest": 65535,
    "larger-than-a-tap-takes": 200_000,
}
"""Lengths of frames. A tap takes 14 bytes and more (EINVAL), and fewer than some 128 KiB (EMSGSIZE)."""
_PART = 32 << 10


@pytest.mark.parametrize("length", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("pair", [0, PAIRS - 1])
@requirement("NET-FAIL-03")
def test_frame_at_the_edge_of_what_a_tap_takes(
    nic: ProbeNic[Tap], net: VirtioNet, length: int, pair: int
) -> None:
    """Its buffer comes back, whatever became of it, and the pair goes on, as do the others."""
    assert nic.set_pairs(PAIRS)
    frame = bytes.fromhex("02000000000102000000010088b5") + bytes(max(0, length - 14))
    parts = [bytes(HEADER), *(frame[:length][at : at + _PART] for at in range(0, length, _PART))]
    for _ in range(2):
        assert net.send_chain(pair, parts) is not None, "the device never used the frame"
    check_whole(nic)


@requirement("NET-FAIL-03")
def test_transmission_shorter_than_its_header(nic: ProbeNic[Tap], net: VirtioNet) -> None:
    """A buffer that does not even hold the header comes back too, or the device asks for a reset; then all is whole."""
    assert nic.set_pairs(PAIRS)
    for length in (1, HEADER - 1):
        back = net.send_chain(0, [bytes(length)])
        if net.device.status & Status.NEEDS_RESET:
            nic.reset()
            assert nic.set_pairs(PAIRS)
        else:
            assert back is not None, "the device never used the frame"
    check_whole(nic)


ANSWERS = {
    **{error: (getattr(errno, error), 0) for error in ("EIO", "ENOBUFS", "ENOMEM", "EINVAL")},
    "short": (0, 5),
}
"""What the kernel answers: an errno, or that only so many bytes have passed. EAGAIN is none: the kernel follows it with
an event, for which a VMM that is told by edges rightly waits, and a supervisor has no such event to give."""


class TestStruck:
    """With a supervisor of system calls between the VMM and its tap."""

    @pytest.fixture
    def surroundings(self, surroundings: Surroundings) -> Surroundings:
        """What the VMM reads and writes can be altered."""
        return surroundings.supervised(frames=True)

    @pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
    @requirement("NET-FAIL-04")
    def test_write_that_fails(
        self, nic: ProbeNic[Tap], net: VirtioNet, supervisor: Supervisor, answer: tuple[int, int]
    ) -> None:
        """On one pair after the other: all buffers come back, and whatever is sent afterwards comes out."""
        assert nic.set_pairs(PAIRS)
        for pair in range(PAIRS):
            fault = FrameFault(Direction.TO_HOST, *answer, times=2, tap=nic.backend.name)
            with supervisor.struck(fault):
                returned = net.send(pair, NOISE)
            check_used(pair, returned)
            assert fault.struck == fault.times
        check_whole(nic)

    @pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
    @requirement("NET-FAIL-04")
    def test_read_that_fails(
        self, nic: ProbeNic[Tap], supervisor: Supervisor, answer: tuple[int, int]
    ) -> None:
        """Frames come for every pair, some reads fail: what comes afterwards arrives, on each pair."""
        assert nic.set_pairs(PAIRS)
        fault = FrameFault(Direction.TO_GUEST, *answer, times=2 * PAIRS, tap=nic.backend.name)
        with supervisor.struck(fault):
            nic.receive(flows(64), copies=2)
        assert fault.struck
        nic.vm.check_alive("reads from its tap failed")
        check_whole(nic)
