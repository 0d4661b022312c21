"""Options of cloud-hypervisor that cannot work, and a word of the answer that names the problem."""

from __future__ import annotations

from harness.vmm.base import BadOptions

BAD_OPTIONS = {
    "one-virtqueue": BadOptions(("--net", "num_queues=1"), ("queues",)),
    "no-virtqueue": BadOptions(("--net", "num_queues=0"), ("queues",)),
    "more-pairs-than-cpus": BadOptions(("--net", "num_queues=8"), ("vCPU",)),
    "count-is-no-number": BadOptions(("--net", "num_queues=abc"), ("num_queues",)),
    "negative-count": BadOptions(("--net", "num_queues=-2"), ("num_queues",)),
    "unknown-option": BadOptions(("--net", "numqueues=2"), ("numqueues",)),
    "small-mtu": BadOptions(("--net", "mtu=1000"), ("MTU",)),
    "address-without-mask": BadOptions(("--net", "ip=192.0.2.1"), ("mask", "Mask")),
    "mask-without-address": BadOptions(("--net", "mask=255.255.255.0"), ("IP",)),
    "reserved-descriptor": BadOptions(("--net", "fd=[1,2],num_queues=2"), ("fd", "FD")),
    "descriptors-and-queues-differ": BadOptions(("--net", "fd=[10,11],num_queues=2"), ("FD", "fd")),
    "queue-size-no-power-of-two": BadOptions(("--net", "queue_size=3"), ("size",)),
    "queue-size-zero": BadOptions(("--net", "queue_size=0"), ("size",)),
    "long-tap-name": BadOptions(("--net", "tap=a-name-that-is-too-long"), ("name", "tap")),
    "vhost-user-without-socket": BadOptions(("--net", "vhost_user=true"), ("socket",), shared_memory=True),
    "vhost-user-without-shared-memory": BadOptions(
        ("--net", "vhost_user=true,socket=/nonexistent"), ("shared memory",)
    ),
    "checksum-off-segmentation-on": BadOptions(
        ("--net", "offload_csum=off,offload_tso=on"), ("offload_csum",)
    ),
}
