import pytest

from harness.errors import GuestError
from harness.guest.linux.command import SHOWN, shown
from harness.guest.linux.ethtool import Channels, parse_channels, parse_packets
from harness.guest.linux.frames import Frames
from harness.guest.linux.kernel import LogLine, QueueInterrupts, parse_interrupts, parse_log

CHANNELS = """Channel parameters for net0:
Pre-set maximums:
RX:\t\tn/a
TX:\t\tn/a
Other:\t\tn/a
Combined:\t4
Current hardware settings:
RX:\t\tn/a
TX:\t\tn/a
Other:\t\tn/a
Combined:\t2
"""

STATISTICS_6_1 = """NIC statistics:
     rx_queue_0_packets: 31
     rx_queue_0_bytes: 1798
     rx_queue_1_packets: 33
     rx_queue_1_bytes: 1914
     tx_queue_0_packets: 6
     tx_queue_0_xdp_tx: 0
     tx_queue_1_packets: 10
     tx_queue_1_xdp_tx: 0
"""

ETHTOOL_6_12 = """NIC statistics:
     rx0_drops: 0
     rx0_kicks: 2
     tx0_xdp_tx: 0
     tx0_kicks: 11
"""

QUEUE_STATS = """rx0_packets: 31
rx1_packets: 33
tx0_packets: 6
tx1_packets: 10
"""

INTERRUPTS = """           CPU0       CPU1
  4:          0          8   IO-APIC   4-edge      ttyS0
 25:          0          0   PCI-MSI 32768-edge      virtio0-config
 26:         17          1   PCI-MSI 32769-edge      virtio0-input.0
 27:          2          0   PCI-MSI 32770-edge      virtio0-output.0
 28:          0          5   PCI-MSI 32771-edge      virtio0-input.1
 29:          0          0   PCI-MSI 32772-edge      virtio0-output.1
 35:        900        117   PCI-MSI 49153-edge      virtio10-input.0
LOC:        772        801   Local timer interrupts
"""

LOG = """<5>[    0.000000] Linux version 6.1.0
<6>[    2.000001] mark 1
<4>[    3.100000] something odd
<14>[    3.200000] from user space
<6>[   12.000000] mark 1
<3>[   13.000000] something bad
"""


def test_channels_tell_the_maximum_from_the_current_number() -> None:
    assert parse_channels(CHANNELS) == Channels(maximum=4, current=2)


def test_a_nic_without_combined_channels_is_no_multiqueue_nic() -> None:
    with pytest.raises(GuestError, match="no combined channels"):
        parse_channels(CHANNELS.replace("Combined:\t2", "Combined:\tn/a"))


@pytest.mark.parametrize("text", [STATISTICS_6_1, QUEUE_STATS], ids=["ethtool of 6.1", "queue-stats"])
def test_packets_by_queue_are_read_in_either_naming(text: str) -> None:
    assert parse_packets(text, "rx") == (31, 33)
    assert parse_packets(text, "tx") == (6, 10)


def test_an_interface_that_is_down_has_no_queue_in_use() -> None:
    assert parse_packets("the interface is down\n", "rx") == ()


def test_more_than_ten_queues_stay_in_numerical_order() -> None:
    lines = [f"     {side}{queue}_packets: {queue}" for queue in range(12) for side in ("rx", "tx")]
    assert parse_packets("\n".join(sorted(lines)), "rx") == tuple(range(12))


def test_a_gap_among_the_queues_is_an_error() -> None:
    with pytest.raises(GuestError, match=r"packets are told of the rx queues \[1\], and not 0, 1"):
        parse_packets("NIC statistics:\n     rx1_packets: 3\n     tx0_packets: 1\n", "rx")


@pytest.mark.parametrize("text", ["", ETHTOOL_6_12], ids=["nothing", "ethtool of 6.12"])
def test_a_guest_that_tells_no_packets_by_queue_is_told_what_it_lacks(text: str) -> None:
    with pytest.raises(GuestError, match=r"from Linux 6.10 on its image needs queue-stats"):
        parse_packets(text, "rx")


def test_interrupts_are_summed_over_the_cpus_for_one_device_only() -> None:
    assert parse_interrupts(INTERRUPTS, "virtio0") == QueueInterrupts(rx=(18, 5), tx=(2, 0))
    assert parse_interrupts(INTERRUPTS, "virtio1") == QueueInterrupts(rx=(), tx=())


def test_the_log_is_read_with_its_levels() -> None:
    assert parse_log(LOG)[2:4] == [LogLine(4, "something odd"), LogLine(6, "from user space")]


def test_the_log_begins_after_the_last_mark_of_that_name() -> None:
    assert parse_log(LOG, "mark 1") == [LogLine(3, "something bad")]


def test_a_mark_that_ran_out_of_the_log_is_an_error() -> None:
    with pytest.raises(GuestError, match="has run over"):
        parse_log(LOG, "mark 2")


def test_frames_on_queues_not_in_use_show_in_the_difference() -> None:
    before = Frames((10, 10), 40)  # the other 20 came while four queues were in use
    assert Frames((40, 40), 100) - before == Frames((30, 30), 60)
    assert (Frames((40, 40), 100) - before).above == 0
    strayed = Frames((40, 10), 101) - before
    assert (strayed.above, strayed.queues) == (31, frozenset({0}))


def test_a_difference_needs_the_same_queues_in_use() -> None:
    with pytest.raises(GuestError, match="it used 1 before, and 2 now"):
        Frames((1, 1), 2) - Frames((1,), 1)


def test_command_is_shown_as_one_line() -> None:
    assert shown("set -e\n  ip link\n\nethtool -L eth0 combined 2\n") == (
        "`set -e; ip link; ethtool -L eth0 combined 2`"
    )
    assert len(shown("echo " + "x" * 1000)) == SHOWN + 3
