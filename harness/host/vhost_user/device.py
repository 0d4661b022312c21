"""The back end's side of the vhost-user protocol on one connection: what each message does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.host.vhost_user.dirty_log import DirtyLog
from harness.host.vhost_user.features import ProtocolFeature, VirtioFeature, has, names
from harness.host.vhost_user.loop import Loop
from harness.host.vhost_user.memory import MAX_SLOTS, MemoryMap, OutsideMemory
from harness.host.vhost_user.messages import LAYOUTS, Kind
from harness.host.vhost_user.net_config import NetConfig
from harness.host.vhost_user.offer import SERVED, Offer
from harness.host.vhost_user.payloads import (
    U64,
    ConfigAccess,
    LogArea,
    Malformed,
    MemoryTable,
    Payload,
    SingleRegion,
    StateTransfer,
)
from harness.host.vhost_user.ring import Counters, Ring
from harness.host.vhost_user.state_transfer import NO_DESCRIPTOR, BackendState
from harness.host.vhost_user.traffic import NetHeader
from harness.host.vhost_user.vrings import Vrings
from harness.host.vhost_user.wire import Message


class Device:
    """Memory, rings and negotiated features, from the start of a connection to its end.

    `kicked(device, ring)` is called whenever a ring may hold something new; `report` with what the VMM did wrong
    and was let through.
    """

    def __init__(
        self,
        offer: Offer,
        config: NetConfig,
        counters: Sequence[Counters],
        loop: Loop,
        kicked: Callable[[Device, Ring], None],
        report: Callable[[str], None],
    ) -> None:
        self.offer = offer
        self._config = config
        self.memory = MemoryMap()
        self.rings = Vrings(
            counters, loop, lambda ring: kicked(self, ring), report, resume_at_used=offer.resume_at_used
        )
        self.features = 0
        self.protocol = 0
        self.header = NetHeader(0)
        self.report = report
        self._status = 0
        self._log: DirtyLog | None = None
        self._state = BackendState()
        # `decode` makes the payload that LAYOUTS has for the kind, which is what each handler takes.
        self._handlers: Mapping[Kind, Callable[[Message, Any], Payload | None]] = {
            Kind.GET_FEATURES: lambda m, p: U64(offer.features),
            Kind.SET_FEATURES: self._set_features,
            Kind.SET_OWNER: _nothing,
            Kind.RESET_OWNER: self._reset_owner,
            Kind.SET_MEM_TABLE: self._set_mem_table,
            Kind.SET_LOG_BASE: self._set_log_base,
            Kind.SET_LOG_FD: _nothing,
            Kind.SET_VRING_NUM: self.rings.set_num,
            Kind.SET_VRING_ADDR: self.rings.set_addr,
            Kind.SET_VRING_BASE: self.rings.set_base,
            Kind.GET_VRING_BASE: self.rings.get_base,
            Kind.SET_VRING_KICK: self.rings.set_kick,
            Kind.SET_VRING_CALL: self.rings.set_call,
            Kind.SET_VRING_ERR: self.rings.set_err,
            Kind.GET_PROTOCOL_FEATURES: self._get_protocol_features,
            Kind.SET_PROTOCOL_FEATURES: self._set_protocol_features,
            Kind.GET_QUEUE_NUM: lambda m, p: U64(offer.queue_num),
            Kind.SET_VRING_ENABLE: self.rings.set_enable,
            Kind.SEND_RARP: _nothing,
            Kind.NET_SET_MTU: _nothing,
            Kind.GET_CONFIG: self._get_config,
            Kind.SET_CONFIG: self._set_config,
            Kind.RESET_DEVICE: self._reset_device,
            Kind.GET_MAX_MEM_SLOTS: lambda m, p: U64(MAX_SLOTS),
            Kind.ADD_MEM_REG: self._add_mem_reg,
            Kind.REM_MEM_REG: self._rem_mem_reg,
            Kind.SET_STATUS: self._set_status,
            Kind.GET_STATUS: lambda m, p: U64(self._status),
            Kind.SET_DEVICE_STATE_FD: self._set_device_state_fd,
            Kind.CHECK_DEVICE_STATE: lambda m, p: U64(0 if self._state.finish() else 1),
        }

    @property
    def log(self) -> DirtyLog | None:
        """Where written pages are noted, while a migration asks for it (VHOST_F_LOG_ALL)."""
        return self._log if has(self.features, VirtioFeature.VHOST_LOG_ALL) else None

    def handle(self, message: Message, payload: Payload) -> Payload | None:
        """Let a message take effect; answers its own reply, or None where the kind has none.

        Takes the descriptors it keeps out of `message`. Raises Malformed for what cannot be done, and then
        nothing has changed.
        """
        kind = Kind(message.kind)
        needs = LAYOUTS[kind].needs
        if needs is not None and not has(self.protocol, needs):
            raise Malformed(f"{kind.name} without having negotiated the protocol feature {needs.name}")
        if kind not in self._handlers:
            raise Malformed(f"{kind.name}, which this back end does not serve")
        if payload.ring is not None and payload.ring >= len(self.rings):
            raise Malformed(f"{kind.name} for vring {payload.ring} where the back end has {len(self.rings)}")
        try:
            return self._handlers[kind](message, payload)
        except OutsideMemory as error:
            raise Malformed(f"{kind.name} with {error}") from None

    def close(self) -> None:
        """Stop everything and give back memory and descriptors; the rings' flags can still be looked at."""
        for ring in self.rings:
            self.rings.stop(ring)
        self._state.close()
        if self._log:
            self._log.close()
        self.memory.close()

    def _get_protocol_features(self, message: Message, payload: Payload) -> U64:
        if not has(self.offer.features, VirtioFeature.PROTOCOL_FEATURES):
            raise Malformed("GET_PROTOCOL_FEATURES although PROTOCOL_FEATURES was not offered")
        return U64(self.offer.protocol)

    def _set_protocol_features(self, message: Message, payload: U64) -> None:
        if foreign := payload.number & ~self.offer.protocol:
            self.report(
                f"the VMM acknowledged protocol features never offered: {names(foreign, ProtocolFeature)}"
            )
        self.protocol = payload.number

    def _set_features(self, message: Message, payload: U64) -> None:
        features = payload.number
        if foreign := features & ~self.offer.features:
            self.report(f"the VMM acknowledged features never offered: {names(foreign, VirtioFeature)}")
        if unserved := features & self.offer.features & ~SERVED:
            self.report(
                f"the VMM acknowledged features that are offered but not served: {names(unserved, VirtioFeature)}"
            )
        self.features = features
        self.header = NetHeader(features)
        if not has(features, VirtioFeature.PROTOCOL_FEATURES):
            # Newer text enables all rings on this message, older text each ring as it starts: no started ring
            # can tell the difference.
            for ring in self.rings:
                self.rings.enable(ring, True)

    def _set_status(self, message: Message, payload: U64) -> None:
        self._status = payload.number

    def _set_mem_table(self, message: Message, payload: MemoryTable) -> None:
        if len(message.fds) != len(payload.regions):
            raise Malformed(
                f"SET_MEM_TABLE of {len(payload.regions)} regions with {len(message.fds)} file descriptors"
            )
        memory = MemoryMap()
        try:
            for region, fd in zip(payload.regions, message.fds, strict=True):
                memory.add(region, fd)
        except Malformed:
            memory.close()
            raise
        self.rings.release()
        self.memory.close()
        self.memory = memory
        self.rings.place(memory)

    def _add_mem_reg(self, message: Message, payload: SingleRegion) -> None:
        if len(message.fds) != 1:
            raise Malformed(f"ADD_MEM_REG with {len(message.fds)} file descriptors where one belongs")
        self.rings.release()
        try:
            self.memory.add(payload.region, message.fds[0])
        finally:
            self.rings.place(self.memory)

    def _rem_mem_reg(self, message: Message, payload: SingleRegion) -> None:
        self.rings.release()
        try:
            self.memory.remove(payload.region)
        finally:
            self.rings.place(self.memory)

    def _get_config(self, message: Message, payload: ConfigAccess) -> ConfigAccess:
        found = self._config.read(payload.offset, len(payload.data))
        if found is None:
            self.report(f"the VMM sent GET_CONFIG for {payload}, outside the configuration space")
        return ConfigAccess(payload.offset, payload.flags, found or b"")

    def _set_config(self, message: Message, payload: ConfigAccess) -> None:
        """A driver may write no field of a network device (virtio 1.2, 5.1.4): it is recorded, and changes nothing."""
        if self._config.read(payload.offset, len(payload.data)) is None:
            raise Malformed(f"SET_CONFIG for {payload}, outside the configuration space")

    def _set_log_base(self, message: Message, payload: LogArea) -> LogArea:
        if len(message.fds) != 1:
            raise Malformed(f"SET_LOG_BASE with {len(message.fds)} file descriptors where one belongs")
        log = DirtyLog(payload, message.fds[0])
        if self._log:
            self._log.close()
        self._log = log
        return payload

    def _reset_owner(self, message: Message, payload: Payload) -> None:
        """Deprecated; of the two readings left to a back end, disable all rings."""
        for ring in self.rings:
            ring.enabled = False

    def _reset_device(self, message: Message, payload: Payload) -> None:
        for ring in self.rings:
            self.rings.stop(ring)
            ring.enabled = False

    def _set_device_state_fd(self, message: Message, payload: StateTransfer) -> U64:
        self._state.begin(payload, message.take_fd())
        return U64(NO_DESCRIPTOR)


def _nothing(message: Message, payload: Payload) -> None:
    """For messages that only need to be recorded."""
