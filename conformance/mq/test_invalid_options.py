"""Options that cannot work: refused at once, in words that name the problem, and without a crash."""

from typing import NamedTuple

import pytest

from harness.lifecycle import check_refusal
from harness.register.mark import requirement
from harness.testbed.testbed import Testbed

pytestmark = pytest.mark.only_on("cloud-hypervisor", reason="these are options of cloud-hypervisor")


class Bad(NamedTuple):
    """A value of --net, and the words of which one must be in the answer."""

    net: str
    words: tuple[str, ...]
    shared: bool = False


BAD = {
    "one-virtqueue": Bad("num_queues=1", ("queues",)),
    "no-virtqueue": Bad("num_queues=0", ("queues",)),
    "more-pairs-than-cpus": Bad("num_queues=8", ("vCPU",)),
    "count-is-no-number": Bad("num_queues=abc", ("num_queues",)),
    "negative-count": Bad("num_queues=-2", ("num_queues",)),
    "unknown-option": Bad("numqueues=2", ("numqueues",)),
    "small-mtu": Bad("mtu=1000", ("MTU",)),
    "address-without-mask": Bad("ip=192.0.2.1", ("mask", "Mask")),
    "mask-without-address": Bad("mask=255.255.255.0", ("IP",)),
    "reserved-descriptor": Bad("fd=[1,2],num_queues=2", ("fd", "FD")),
    "descriptors-and-queues-differ": Bad("fd=[10,11],num_queues=2", ("FD", "fd")),
    "queue-size-no-power-of-two": Bad("queue_size=3", ("size",)),
    "queue-size-zero": Bad("queue_size=0", ("size",)),
    "long-tap-name": Bad("tap=a-name-that-is-too-long", ("name", "tap")),
    "vhost-user-without-socket": Bad("vhost_user=true", ("socket",), shared=True),
    "vhost-user-without-shared-memory": Bad("vhost_user=true,socket=/nonexistent", ("shared memory",)),
    "checksum-off-segmentation-on": Bad("offload_csum=off,offload_tso=on", ("offload_csum",)),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@requirement("NET-HOST-02")
def test_bad_value_is_refused_in_words(testbed: Testbed, bad: Bad) -> None:
    """The VMM ends by itself with an error status, names what is wrong, and neither panics nor dies of a signal."""
    refused = testbed.refusal("--net", bad.net, shared_memory=bad.shared)
    check_refusal(refused)
    assert any(word in refused.output for word in bad.words), refused


@pytest.mark.usefixtures("own_sysfs")
@requirement("NET-HOST-02")
def test_single_queue_tap_is_refused_for_several_pairs(testbed: Testbed) -> None:
    """A tap that was made for one queue cannot carry two pairs, and the VMM says so."""
    tap = testbed.tap(1)
    refused = testbed.refusal("--net", f"tap={tap.name},num_queues=4", cpus=2)
    check_refusal(refused)
    assert "multiqueue" in refused.output, refused
