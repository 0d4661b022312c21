"""What the instrumented back end claims to be able to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from harness.errors import BadInput
from harness.host.vhost_user.features import ProtocolFeature, VirtioFeature, mask, names

MAX_PAIRS = 128
"""SET_VRING_KICK and SET_VRING_CALL number vrings with 8 bits."""

DEFAULT_FEATURES = mask(
    (
        VirtioFeature.PROTOCOL_FEATURES,
        VirtioFeature.VERSION_1,
        VirtioFeature.NET_MAC,
        VirtioFeature.NET_MRG_RXBUF,
        VirtioFeature.NET_CTRL_VQ,
        VirtioFeature.NET_MQ,
        VirtioFeature.RING_INDIRECT_DESC,
    )
)
"""CTRL_VQ and MQ are offered because some VMMs show the guest only what the back end offers too, MAC because some
leave the configuration space to it."""

DEFAULT_PROTOCOL = mask(
    (
        ProtocolFeature.MQ,
        ProtocolFeature.REPLY_ACK,
        ProtocolFeature.CONFIG,
        ProtocolFeature.CONFIGURE_MEM_SLOTS,
    )
)
"""What a VMM may insist on: alioth starts with none of these missing."""

MIGRATABLE = (VirtioFeature.VHOST_LOG_ALL, ProtocolFeature.LOG_SHMFD)
"""What a VMM needs to migrate the guest, or to save it as QEMU does."""

SERVED = DEFAULT_FEATURES | mask(
    (
        VirtioFeature.NET_CSUM,
        VirtioFeature.NET_MTU,
        VirtioFeature.NET_STATUS,
        VirtioFeature.NET_GUEST_ANNOUNCE,
        VirtioFeature.NET_GUEST_CSUM,
        VirtioFeature.VHOST_LOG_ALL,
    )
)
"""Features that the back end works under. EVENT_IDX is not one: without memory barriers it loses notifications."""

PROTOCOL_SERVED = DEFAULT_PROTOCOL | mask(
    (
        ProtocolFeature.LOG_SHMFD,
        ProtocolFeature.RARP,
        ProtocolFeature.NET_MTU,
        ProtocolFeature.RESET_DEVICE,
        ProtocolFeature.STATUS,
        ProtocolFeature.DEVICE_STATE,
    )
)
"""Protocol features that the back end can be told to offer."""


@dataclass(frozen=True)
class Offer:
    """The answers to GET_FEATURES, GET_PROTOCOL_FEATURES and GET_QUEUE_NUM.

    `features` may hold bits that the back end does not serve: they must not reach the guest, and acknowledging
    them is a finding. GET_QUEUE_NUM's unit is not defined: cloud-hypervisor compares it with vrings (two to a
    pair), QEMU and DPDK with pairs. The answer counts vrings, which suits both; `queue_num_counts_pairs` gives the
    other reading.
    `resume_at_used`: take the guest's used index as a ring's base when it starts, as DPDK does, instead of what
    SET_VRING_BASE said: buffers that were available before the connection are then served, not skipped.
    """

    pairs: int = 4
    features: int = DEFAULT_FEATURES
    protocol: int = DEFAULT_PROTOCOL
    queue_num_counts_pairs: bool = False
    resume_at_used: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= MAX_PAIRS:
            raise BadInput(f"a vhost-user back end has 1 to {MAX_PAIRS} pairs, not {self.pairs}")
        if unserved := self.protocol & ~PROTOCOL_SERVED:
            named = names(unserved, ProtocolFeature)
            raise BadInput(f"the back end cannot offer the protocol features {named}: it does not serve them")

    @property
    def rings(self) -> int:
        """Number of vrings, the control queue not counted: it never reaches a back end."""
        return 2 * self.pairs

    @property
    def queue_num(self) -> int:
        """The answer to GET_QUEUE_NUM."""
        return self.pairs if self.queue_num_counts_pairs else self.rings

    def plus(self, *bits: VirtioFeature | ProtocolFeature) -> Self:
        """The same offer with these features as well."""
        virtio, protocol = _split(bits)
        return replace(self, features=self.features | virtio, protocol=self.protocol | protocol)

    def minus(self, *bits: VirtioFeature | ProtocolFeature) -> Self:
        """The same offer without these features."""
        virtio, protocol = _split(bits)
        return replace(self, features=self.features & ~virtio, protocol=self.protocol & ~protocol)


def usual_offer(pairs: int) -> Offer:
    """Of a back end that can be migrated, and goes on where the guest's rings stand, whatever base the VMM names."""
    return Offer(pairs, resume_at_used=True).plus(*MIGRATABLE)


def _split(bits: tuple[VirtioFeature | ProtocolFeature, ...]) -> tuple[int, int]:
    virtio = mask(bit for bit in bits if isinstance(bit, VirtioFeature))
    return virtio, mask(bit for bit in bits if isinstance(bit, ProtocolFeature))
