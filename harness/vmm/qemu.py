"""QEMU as the reference VMM: emulated by TCG, so that it runs on any machine; controlled over QMP."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, Owner, VmmError
from harness.process.child import VmmProcess
from harness.vmm.abilities import Ability
from harness.vmm.base import (
    Habits,
    Incoming,
    Launch,
    NicConfig,
    TapByFds,
    TapByName,
    VhostUserSocket,
    Vm,
    VmConfig,
    Vmm,
)
from harness.vmm.qemu_state import STATE_DAMAGES, STATE_FILE, NicState, read_stream, sections
from harness.vmm.qemu_version import QemuVersion, as_words
from harness.vmm.serial import SerialPort

START_PATIENCE = 10.0
CALL_PATIENCE = 20.0
MACHINE = "q35,memory-backend=ram,smm=off,hpet=off,usb=off,sata=off,smbus=off"
"""Without what no guest of ours uses: the firmware looks at each device, which took a third of its time."""
TRANSLATED_MIB = 128
"""Of translated code. A Linux guest makes 60 in its boot and 10 with each change of pairs, most of it never run again:
with less it takes longer, with more it takes no less time (QEMU 7.2 lets it grow to 1 GiB)."""

LARGEST_RING = 1024
SMALLEST_RING = 256
"""Bounds of QEMU's rx_queue_size; a driver may choose smaller rings all the same."""


def netdev_options(nic: NicConfig) -> dict[str, Any]:
    """A NIC's network backend, in QMP's form."""
    match nic.attachment:
        case TapByName(name, vhost):
            options = {"type": "tap", "ifname": name, "script": "no", "downscript": "no", "vhost": vhost}
            if nic.pairs > 1:
                options["queues"] = nic.pairs
        case TapByFds(fds):
            options = {"type": "tap", "fds": ":".join(map(str, fds)), "vhost": False}
        case VhostUserSocket():
            options = {"type": "vhost-user", "chardev": f"{nic.id}-socket", "queues": nic.pairs}
    return {"id": f"{nic.id}-backend", **options}


def device_options(nic: NicConfig, version: QemuVersion) -> dict[str, Any]:
    """A NIC's device, in QMP's form."""
    vhost_user = isinstance(nic.attachment, VhostUserSocket)
    vectors = 2 * nic.pairs + 2 if version.msix_over_vhost_user or not vhost_user else 0
    ring = min(max(nic.queue_size, SMALLEST_RING), LARGEST_RING)
    return {
        "driver": "virtio-net-pci",
        "id": nic.id,
        "netdev": f"{nic.id}-backend",
        "mac": nic.mac,
        "mq": nic.pairs > 1,
        "vectors": vectors,
        "rx_queue_size": ring,
        "tx_queue_size": ring if vhost_user else SMALLEST_RING,
        "disable-legacy": "on",
        "iommu_platform": nic.iommu,
        "packed": nic.packed,
        "romfile": "",
    }


def _as_option(options: Mapping[str, Any]) -> str:
    """Options in the command line's form; its first word is the kind."""

    def text(value: Any) -> str:
        return ("on" if value else "off") if isinstance(value, bool) else str(value)

    kind, *rest = [(name, text(value)) for name, value in _kind_first(options).items()]
    return ",".join([kind[1], *(f"{name}={value}" for name, value in rest)])


def _kind_first(options: Mapping[str, Any]) -> dict[str, Any]:
    kind = "type" if "type" in options else "driver"
    return {kind: options[kind], **{name: value for name, value in options.items() if name != kind}}


def nic_arguments(nic: NicConfig, version: QemuVersion, device: Mapping[str, Any]) -> list[str]:
    """The command line's words for a NIC that is such a device."""
    words = []
    if isinstance(nic.attachment, VhostUserSocket):
        how = {"server": "on", "wait": "off"} if nic.attachment.server else version.reconnect
        words += ["-chardev", f"socket,id={nic.id}-socket,path={nic.attachment.path}{as_words(how)}"]
    return [
        *words,
        *("-netdev", _as_option(netdev_options(nic))),
        *("-device", _as_option(device)),
    ]


class QemuVm(Vm):
    """A running QEMU."""

    vmm: Qemu

    def __init__(
        self, vmm: Qemu, config: VmConfig, process: VmmProcess, serial: socket.socket, qmp: socket.socket
    ) -> None:
        super().__init__(vmm, config, process, SerialPort(serial, self.check_alive))
        import asyncio  # slow to import, and the next too

        from qemu.qmp import EventListener, QMPClient

        self._loop = asyncio.new_event_loop()
        self._client = QMPClient(vmm.name)
        self._resets = EventListener("RESET")
        self._client.register_listener(self._resets)
        try:
            self._run(self._client.connect(qmp), "answering on its monitor", START_PATIENCE)
        except (VmmError, DeadlineExceeded):
            self.stop()
            raise

    def _run(self, coroutine: Any, doing: str, patience: float) -> Any:
        import asyncio

        from qemu.qmp import ExecuteError, QMPError

        try:
            return self._loop.run_until_complete(asyncio.wait_for(coroutine, patience * PACE))
        except TimeoutError:
            self.check_alive(doing)
            raise DeadlineExceeded(
                f"waited {patience * PACE:.0f} s for {self.vmm.name} {doing}; "
                f"its last words: {self.process.tail(3) or '(none)'}",
                Owner.VMM,
            ) from None
        except ExecuteError as error:
            raise VmmError(f"{self.vmm.name} refused {doing}: {error}") from error
        except (QMPError, OSError) as error:
            try:
                status = self.process.wait(1.0)
            except DeadlineExceeded:
                raise VmmError(f"{self.vmm.name} answered rubbish while {doing}: {error}") from error
            raise self.process.died(self.vmm.name, status, f"while {doing}") from error

    def call(self, command: str, **arguments: Any) -> Any:
        """One QMP command; its answer. Raises VmmError if QEMU refuses it, VmmDied if it died over it."""
        return self._run(self._client.execute(command, arguments or None), command, CALL_PATIENCE)

    def info(self) -> dict[str, Any]:
        return {"status": self.call("query-status"), "pci": self.call("query-pci")}

    def state(self) -> str:
        return str(self.call("query-status")["status"])

    def pause(self, *, at_once: bool = False) -> None:
        self.call("stop")

    def resume(self) -> None:
        self.call("cont")

    def rest(self) -> None:
        """Pause it, its virtual clock too: an idle guest of 4 emulated CPUs takes a fifth of one of the host's."""
        self.pause()

    def wake(self) -> None:
        """Let it go on."""
        self.resume()

    def reboot(self) -> None:
        self.call("system_reset")

    def add_nic(self, nic: NicConfig) -> None:
        backend = netdev_options(nic)
        match nic.attachment:
            case VhostUserSocket(path, server):
                address = {"type": "unix", "data": {"path": str(path)}}
                reconnect = self.vmm.number.reconnect
                how = {"server": True, "wait": False} if server else {"server": False, **reconnect}
                socket_options = {"type": "socket", "data": {"addr": address, **how}}
                self.call("chardev-add", id=f"{nic.id}-socket", backend=socket_options)
            case TapByFds(fds):
                backend["fds"] = ":".join(map(self._hand_over, fds))
        self.call("netdev_add", **backend)
        self.call("device_add", **{**self.vmm.device_options(nic), "bus": "port0"})

    def _hand_over(self, fd: int) -> str:
        """Give the process a descriptor; the name that it has there."""
        name = f"handed{fd}"
        self._client.send_fd_scm(fd)
        self.call("getfd", fdname=name)
        return name

    def remove_nic(self, nic_id: str) -> None:
        self.call("device_del", id=nic_id)

    def plug_memory(self, mib: int) -> None:
        size = mib << 20
        self.call(
            "object-add", **{"qom-type": "memory-backend-memfd", "id": "more", "size": size, "share": True}
        )
        self.call("device_add", driver="pc-dimm", id="dimm", memdev="more")

    def await_removal(self, nic_id: str) -> None:
        wait_until(
            f"{self.vmm.name} to let go of {nic_id}",
            lambda: f"'{nic_id}'" not in str(self.call("query-pci")),
            owed_by=Owner.VMM,
            within=CALL_PATIENCE,
        )
        self.call("netdev_del", id=f"{nic_id}-backend")
        if f"{nic_id}-socket" in {each["label"] for each in self.call("query-chardev")}:
            self.call("chardev-remove", id=f"{nic_id}-socket")

    def await_reset(self) -> None:
        self._run(self._resets.get(), "resetting the machine", CALL_PATIENCE)

    def snapshot(self, folder: Path) -> None:
        """QEMU's counterpart of a snapshot is a migration into a file."""
        self.call("migrate", uri=f"exec:cat > {shlex.quote(str(folder / STATE_FILE))}")
        self.await_migration()

    def send_migration(self, place: Path, *, local: bool) -> None:
        if local:
            self.vmm.lacks(Ability.LOCAL_MIGRATION)
        self.call("migrate", uri=f"unix:{place}")
        self.await_migration()
        self.process.expect_end()
        self.call("quit")
        self.process.wait(CALL_PATIENCE)

    def await_migration(self) -> None:
        """Wait until a migration, outgoing or incoming, has ended. Raises VmmError if it failed."""

        def ended() -> dict[str, Any] | None:
            answer: dict[str, Any] = self.call("query-migrate")
            return answer if answer.get("status") in ("completed", "failed", "cancelled") else None

        outcome = wait_until("QEMU to save or load its state", ended, owed_by=Owner.VMM, within=CALL_PATIENCE)
        if outcome["status"] != "completed":
            why = outcome.get("error-desc") or self.process.tail(2)
            raise VmmError(f"{self.vmm.name}: the migration {outcome['status']}: {why}")

    def stop(self) -> None:
        import asyncio

        from qemu.qmp import QMPError

        super().stop()
        if not self._loop.is_closed():
            # the process is gone: only our own end is being closed, and what it finds there is of no interest
            with suppress(QMPError, OSError, EOFError, TimeoutError):
                self._loop.run_until_complete(asyncio.wait_for(self._client.disconnect(), CALL_PATIENCE))
            self._loop.close()


class QemuIncoming(Incoming):
    """A QEMU with -incoming: the instance is there, its guest is not."""

    def __init__(self, place: Path, vm: QemuVm) -> None:
        super().__init__(place, vm.process)
        self._vm = vm

    def arrived(self) -> QemuVm:
        self._vm.await_migration()
        return self._vm

    def stop(self) -> None:
        self._vm.stop()


class Qemu(Vmm):
    """A build of qemu-system-x86_64."""

    kind = "qemu"
    machine: ClassVar[str] = MACHINE
    bus_words: ClassVar[Sequence[str]] = ("-device", "pcie-root-port,id=port0,chassis=1")
    """What NICs are plugged into, beside what the machine has."""
    banner = "QEMU emulator version"
    abilities = frozenset(Ability) - {
        Ability.BOOT_AGAIN,  # it ends with its VM
        Ability.OPEN_STATE,  # its stream holds numbers, all of them
        Ability.LOCAL_MIGRATION,  # not in 7.2
        Ability.JUDGES_BACK_ENDS,
        Ability.ENABLES_AFTER_KICKS,
        Ability.DEVICE_THREADS,
        Ability.THREAD_FILTERS,
        Ability.NAMES_TAP_QUEUES,
    }
    needs_kvm = False
    packaged_firmware = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    habits = Habits(restoring=("-incoming",))
    changes_by_itself = frozenset({"mc146818rtc#0"})  # its real-time clock follows the host's
    state_damages = STATE_DAMAGES

    def __init__(self, name: str, path: Path, version: str) -> None:
        super().__init__(name, path, version)
        self.number = QemuVersion.of(version)

    def withholds_vectors(self, nic: NicConfig) -> str:
        if self.number.msix_over_vhost_user or not isinstance(nic.attachment, VhostUserSocket):
            return ""
        return f"QEMU {self.version} is given none with vhost-user, for it would end by SIGSEGV: take 8.2 or newer"

    def device_options(self, nic: NicConfig) -> dict[str, Any]:
        """A NIC's device on this machine, in QMP's form."""
        return device_options(nic, self.number)

    def launch(self, config: VmConfig, launch: Launch) -> QemuVm:
        return self._launch(config, launch)

    def _launch(self, config: VmConfig, launch: Launch, *words: str) -> QemuVm:
        arguments = [
            *("-machine", self.machine, "-accel", f"tcg,tb-size={TRANSLATED_MIB}"),
            *("-cpu", "max", "-smp", str(self.cpus(config))),
            *("-m", f"{config.memory_mib}M{self._room(config)}"),
            *("-object", self._memory(config)),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *self.bus_words,
        ]
        if config.firmware is not None:
            arguments += ["-drive", f"if=pflash,format=raw,readonly=on,file={config.firmware}"]
        if config.kernel is not None:
            arguments += ["-kernel", str(config.kernel)]
        if config.initramfs is not None:
            arguments += ["-initrd", str(config.initramfs)]
        if config.cmdline:
            arguments += ["-append", config.cmdline]
        if any(nic.iommu for nic in config.nics):
            arguments += ["-device", "virtio-iommu-pci"]
        for nic in config.nics:
            arguments += nic_arguments(nic, self.number, self.device_options(nic))
        return self._start([*arguments, *config.extra_args, *words], config, launch)

    def restore(self, snapshot: Path, config: VmConfig, launch: Launch) -> QemuVm:
        source = f"exec:cat {shlex.quote(str(snapshot / STATE_FILE))}"
        vm = self._launch(config, launch, "-S", "-incoming", source)
        try:
            vm.await_migration()
        except BaseException:
            vm.stop()
            raise
        return vm

    def receive_migration(self, place: Path, config: VmConfig, launch: Launch) -> QemuIncoming:
        return QemuIncoming(place, self._launch(config, launch, "-incoming", f"unix:{place}"))

    def recorded(self, snapshot: Path, nic: NicConfig) -> dict[str, Any]:
        return NicState(snapshot, nic.mac).read()

    def rerecord(self, snapshot: Path, nic: NicConfig, changes: Mapping[str, Any]) -> None:
        NicState(snapshot, nic.mac).change(changes)

    def saved_devices(self, snapshot: Path) -> dict[str, bytes]:
        found = sections(read_stream(snapshot))
        return {f"{section.device}#{section.instance}": section.data for section in found}

    @staticmethod
    def _room(config: VmConfig) -> str:
        most = config.memory_mib + config.memory_room_mib
        return f",maxmem={most}M,slots=1" if config.memory_room_mib else ""

    @staticmethod
    def _memory(config: VmConfig) -> str:
        share = "on" if config.shared_memory else "off"
        return f"memory-backend-memfd,id=ram,size={config.memory_mib}M,share={share}"

    def _start(self, arguments: Sequence[str], config: VmConfig, launch: Launch) -> QemuVm:
        serial, their_serial = socket.socketpair()
        qmp, their_qmp = socket.socketpair()
        try:
            process = VmmProcess(
                [
                    os.fspath(self.path),
                    *arguments,
                    *(
                        "-chardev",
                        f"socket,id=serial,fd={their_serial.fileno()}",
                        "-serial",
                        "chardev:serial",
                    ),
                    *(
                        "-chardev",
                        f"socket,id=qmp,fd={their_qmp.fileno()}",
                        "-qmp",  # -mon says the same, and QEMU 11 warns of it
                        "chardev:qmp",
                    ),
                ],
                launch.workdir / "vmm.log",
                pass_fds=[their_serial.fileno(), their_qmp.fileno(), *config.descriptors],
                spawn=launch.spawn,
            )
        finally:
            their_serial.close()
            their_qmp.close()
        return QemuVm(self, config, process, serial, qmp)
