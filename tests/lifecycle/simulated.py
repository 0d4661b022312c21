"""VMs that do everything right, without any VMM: what each transition of the lifecycle makes of them is to be seen.

A device is the number of its active pairs. A driver whose guest is no more, or does not run, cannot reach it.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.guest.answer import Ack, Answer
from harness.guest.probe.bus import port_out
from harness.host.backend import HostView, Place
from harness.host.syscalls import Supervisor
from harness.host.tap import HandedTap, Tap
from harness.record.pairs import Pairs
from harness.testbed.nic import Nic
from harness.testbed.testbed import Testbed
from harness.vmm.base import Launch, NicConfig, TapByFds, TapByName, VmConfig
from harness.vmm.memory import MappedMemory

STATE = "state.json"
PAIRS = 4


class Marks(Supervisor):
    """As much of a supervisor as is told of what happened."""

    def __init__(self) -> None:
        self.marks: list[str] = []

    def mark(self, name: str) -> None:
        self.marks.append(name)


class Machine:
    """A VM, its state one of `running`, `paused`, `awaited` and `ended`; `active` are the pairs of its NICs."""

    _pids = itertools.count(1000)

    def __init__(self, vmm: Build, config: VmConfig, state: str) -> None:
        self.vmm, self.config, self.status = vmm, config, state
        self.pid = next(Machine._pids)
        self.active = {nic.id: 0 for nic in config.nics}
        self.guests = 1
        """How many guests were booted in it."""
        self.reset_by = ""
        self.leaving: list[str] = []
        self.plugged: list[str] = []
        self.told: list[str] = []
        self.process = SimpleNamespace(watcher=Marks(), clock=SimpleNamespace(note=lambda now: None))
        vmm.machines.append(self)

    def exit_status(self) -> Any:
        return None if self.status != "ended" else "exit status 0"

    def pause(self) -> None:
        assert self.status == "running"
        self.status = "paused"
        self.told.append("pause")

    def resume(self) -> None:
        assert self.status == "paused"
        self.status = "running"

    def stop(self) -> None:
        self.status = "ended"

    def reboot(self) -> None:
        self.reset_by = "vmm"

    def shut_down_and_boot(self) -> None:
        self.reset_by = "boot"

    def await_reset(self) -> None:
        assert self.reset_by
        self.told.append(f"reset by {self.reset_by}")
        self.reset_by = ""
        self.guests += 1
        self.active = dict.fromkeys(self.active, 0)

    def snapshot(self, folder: Path) -> None:
        assert self.status == "paused"
        assert not [*folder.iterdir()]
        state = {name: {"queues": 2 * count + 1, "count": count} for name, count in self.active.items()}
        (folder / STATE).write_text(json.dumps(state))

    def send_migration(self, place: Path, *, local: bool) -> None:
        (there,) = (each for each in self.vmm.machines if each.status == "awaited")
        there.told.append(f"migrated to {place.name}, local: {local}")
        there.status, there.active, self.status = "running", self.active, "ended"

    def remove_nic(self, name: str) -> None:
        assert not self.active[name], "its driver goes before"
        self.leaving.append(name)

    def await_removal(self, name: str) -> None:
        assert name not in self.leaving, "the guest ejects it before"
        del self.active[name]

    def add_nic(self, nic: NicConfig) -> None:
        self.active[nic.id] = 0
        self.plugged.append(nic.id)
        self.told.append(f"plugged {nic.attachment}")


class Arriving:
    """A VMM that awaits a VM."""

    def __init__(self, place: Path, machine: Machine) -> None:
        self.place, self.machine = place, machine

    def arrived(self) -> Machine:
        assert self.machine.status == "running"
        return self.machine

    def stop(self) -> None:
        self.machine.stop()


class Build:
    """A build of the VMM; builds that are given the same `machines` have their VMs on one host."""

    kind, queue_for_each_pair = "simulated", True

    def __init__(self, path: Path, machines: list[Machine] | None = None, *, along: bool = False) -> None:
        self.name, self.path = path.name, path
        self.machines = machines if machines is not None else []
        self.takes_attachments_along = along
        self.told: list[Any] = []

    @property
    def alive(self) -> list[Machine]:
        return [each for each in self.machines if each.status != "ended"]

    def restore(self, folder: Path, config: VmConfig, launch: Launch) -> Machine:
        assert not self.alive, "the VM was ended before"
        assert launch.workdir.is_dir()
        new = Machine(self, config, "paused")
        saved = json.loads((folder / STATE).read_text())
        new.active = {nic.id: saved[nic.id].get("count", nic.pairs) for nic in config.nics}
        return new

    def receive_migration(self, place: Path, config: VmConfig, launch: Launch) -> Arriving:
        assert place.parent == launch.workdir
        return Arriving(place, Machine(self, config, "awaited"))

    def recorded(self, folder: Path, nic: NicConfig) -> Any:
        return json.loads((folder / STATE).read_text())[nic.id]

    def rerecord(self, folder: Path, nic: NicConfig, changes: Mapping[str, Any]) -> None:
        state = json.loads((folder / STATE).read_text())
        fields = {**state[nic.id], **changes}
        state[nic.id] = {name: value for name, value in fields.items() if value is not None}
        (folder / STATE).write_text(json.dumps(state))

    def reconfigure(self, folder: Path, nic: NicConfig) -> None:
        self.told.append((folder, nic))


class Bus:
    """A guest's connection to its machine, as long as that guest is there."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self._guest = machine, machine.guests
        fd = os.memfd_create("guest")
        os.ftruncate(fd, 4096)
        self.memory = MappedMemory(fd, 4096)
        os.close(fd)

    @property
    def live(self) -> bool:
        return self.machine.status == "running" and self._guest == self.machine.guests

    @property
    def mapped(self) -> bool:
        try:
            return self.memory.read(0, 1) == b"\0"
        except ValueError:
            return False

    def run_last(self, operations: Any) -> None:
        assert self.live
        if list(operations) == [port_out(1, 0x64, 0xFE)]:
            self.machine.reset_by = "guest"


def eject(bus: Any) -> None:
    """In place of harness.guest.probe.ejection.eject."""
    assert bus.live
    bus.machine.leaving.clear()


class Net:
    """The probe guest's access to the device of the NIC of that id."""

    def __init__(self, nic: str, bus: Bus) -> None:
        self.nic, self.bus, self.believes, self.released = nic, bus, 0, False
        self.device = self

    def driver_state(self) -> Any:
        return self.believes

    def set(self, count: int) -> None:
        assert self.bus.live
        assert not self.released
        self.bus.machine.active[self.nic] = self.believes = count

    def reset(self) -> None:
        self.set(0)

    def release(self) -> None:
        assert not self.believes, "the device is reset before"
        self.released = True


class Driver:
    """The probe guest's driver of a NIC."""

    name = "probe"

    def __init__(self, nic: str, bus: Bus) -> None:
        self.net = Net(nic, bus)

    @property
    def believed_pairs(self) -> frozenset[int]:
        return Pairs(range(self.net.believes), "the guest was told")

    def start(self) -> None:
        self.net.set(1)

    def reset(self) -> None:
        self.start()

    def set_pairs(self, count: int) -> Answer:
        if 1 <= count <= PAIRS:
            self.net.set(count)
        return Answer(f"VQ_PAIRS_SET {count}", Ack.OK if 1 <= count <= PAIRS else Ack.ERR)

    def rebind(self, bus: Bus) -> None:
        assert bus.live
        assert self.net.released or bus is not self.net.bus or self.net.nic in bus.machine.plugged
        self.net = Net(self.net.nic, bus)

    def carry_over(self, bus: Bus, then: int) -> None:
        assert bus.live
        self.net = Net(self.net.nic, bus)
        self.net.believes = then


class _Plug:
    """What a NIC is plugged into, whichever tap it passes for."""

    kind = "tap"

    def __init__(self, name: str, pairs: int, nic: str, machines: list[Machine]) -> None:
        self.name, self.pairs, self.nic, self.machines = name, pairs, nic, machines
        self.attachment: Any = TapByName(name)
        self.heirs: list[int] = []
        self.adopted = self.closed = 0

    def sibling(self, place: Place, pairs: int) -> Any:
        return type(self)(place.name, pairs, self.nic, self.machines)

    def view(self, pid: int) -> HostView:
        (machine,) = (each for each in self.machines if each.pid == pid)
        count = machine.active[self.nic]
        return HostView(count, frozenset(range(count)), self.pairs)

    def changes(self) -> list[Any]:
        return []

    def inherit(self, pid: int) -> None:
        self.heirs.append(pid)

    def adopt(self) -> None:
        self.adopted += 1

    def close(self) -> None:
        self.closed += 1


class Plug(_Plug, Tap):
    """A tap."""


class HandedPlug(_Plug, HandedTap):
    """A tap whose descriptors are handed over."""

    def __init__(self, name: str, pairs: int, nic: str, machines: list[Machine]) -> None:
        super().__init__(name, pairs, nic, machines)
        self._numbers = itertools.count(100)
        self.renew()

    def renew(self) -> TapByFds:
        fds = TapByFds(tuple(itertools.islice(self._numbers, self.pairs)))
        self.attachment = fds
        return fds


def a_testbed(folder: Path, *, along: bool = False, plug: type[_Plug] = Plug) -> tuple[Any, Any, Any]:
    """A testbed with a VM and its two NICs, of four pairs each: the first at three, the second at two."""
    build: Any = Build(folder / "base", along=along)
    bed = Testbed(build, folder)
    plugs = [plug(f"tap{number}", PAIRS, f"net{number}", build.machines) for number in range(2)]
    configs = tuple(
        NicConfig(f"net{number}", f"02:00:00:00:01:0{number}", PAIRS, each.attachment)
        for number, each in enumerate(plugs)
    )
    machine: Any = Machine(build, VmConfig(None, configs), "running")
    bed.adopt_vm(machine)
    bus = Bus(machine)
    bed.on_close(bus.memory.close)
    for config, each in zip(configs, plugs, strict=True):
        driver: Any = Driver(config.id, bus)
        nic: Any = Nic(machine, config, driver, each, bed.journal)
        bed.probe_driven.append(nic)
    first, second = bed.probe_driven
    for started, pairs in ((first, 3), (second, 2)):
        started.start()
        assert started.set_pairs(pairs)
    bed.journal.events.clear()
    return bed, first, second
