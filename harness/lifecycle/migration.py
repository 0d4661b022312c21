"""Live migration between two processes of this host, and what may become of it on the way."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from harness.deadline import Deadline
from harness.host.backend import NetworkBackend
from harness.host.tap import Tap
from harness.lifecycle.guest import neighbours
from harness.lifecycle.saving import carry_over, driver_states
from harness.testbed.nic import ProbeNic
from harness.testbed.testbed import Testbed
from harness.vmm.base import Incoming, Vmm, nic_of

PATIENCE = 30.0
CHUNK = 1 << 16


@dataclass(frozen=True)
class Destination:
    """A VMM that awaits a VM, and what its NICs will be plugged into, by their ids."""

    incoming: Incoming
    backends: Mapping[str, NetworkBackend]

    @property
    def place(self) -> Path:
        """The UNIX socket to migrate to."""
        return self.incoming.place


def destination(bed: Testbed, nic: ProbeNic, vmm: Vmm | None = None) -> Destination:
    """A VMM, of the same build or another, that awaits the NIC's VM.

    Its taps are fresh ones where it is told of them: a second VMM that opens a tap sets it up anew for both
    (TUNSETVNETHDRSZ is the interface's, not a queue's), and the source could not run on.
    """
    launch, build, nics = bed.fresh_launch(), vmm or nic.vm.vmm, neighbours(bed, nic)
    backends = {each.config.id: each.backend for each in nics}
    if not build.takes_attachments_along:
        backends = {each.config.id: bed.sibling(each.backend, each.max_pairs) for each in nics}
    places = {name: backend.attachment for name, backend in backends.items()}
    configs = [replace(config, attachment=places[config.id]) for config in nic.vm.config.nics]
    config = replace(nic.vm.config, nics=tuple(configs))
    incoming = build.receive_migration(launch.workdir / "migration", config, launch)
    bed.on_close(incoming.stop)
    return Destination(incoming, backends)


def migration_hindrance(nic: ProbeNic) -> str | None:
    """Why the NIC's VM cannot be migrated here, if so."""
    if nic.vm.vmm.takes_attachments_along and nic.backend.kind == "vhost-user":
        return (
            "the destination connects to the back end of the source, which waits for the destination: "
            "the suite's own serves one VMM at a time"
        )
    return None


def migrate(bed: Testbed, nic: ProbeNic, *, vmm: Vmm | None = None, local: bool = False) -> None:
    """Migrate the NIC's VM to a new process, in which it goes on; the old one has ended then.

    `local`: memory is handed over as a descriptor, where the VMM can do that.
    """
    there = destination(bed, nic, vmm)
    nics, drivers = neighbours(bed, nic), driver_states(bed, nic)
    nic.vm.send_migration(there.place, local=local)
    nic.vm.stop()
    new = there.incoming.arrived()
    bed.adopt_vm(new)
    bed.journal.add("vmm", f"migrated to {new.vmm.name}, process {new.pid}")
    for each in nics:
        each.vm, each.config = new, nic_of(new.config, each.config.id)
        before, each.backend = each.backend, there.backends[each.config.id]
        if each.backend is before and isinstance(before, Tap):
            before.inherit(new.pid)
    carry_over(bed, nic, drivers)


class CutLine:
    """A line between two ends of a migration that breaks once `limit` bytes have passed from the source.

    Connect the source to `place`. With `limit` 0 it hangs up at once. A context manager; `passed` counts bytes.
    """

    def __init__(self, place: Path, destination: Path, limit: int) -> None:
        self.place = place
        self.passed = 0
        self._limit = limit
        self._destination = destination
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen()
        self._listener.settimeout(0.1)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cut-line", daemon=True)

    def __enter__(self) -> CutLine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(PATIENCE)
        self._listener.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                source, _ = self._listener.accept()
            except TimeoutError:
                continue
            with ExitStack() as undo, source:
                destination = undo.enter_context(socket.socket(socket.AF_UNIX))
                destination.connect(str(self._destination))
                self._carry(source, destination)

    def _carry(self, source: socket.socket, destination: socket.socket) -> None:
        deadline = Deadline(PATIENCE)
        other = {source: destination, destination: source}
        while self.passed < self._limit and not self._closing.is_set() and not deadline.expired():
            for ready in select.select(list(other), [], [], 0.1)[0]:
                room = self._limit - self.passed
                data = ready.recv(min(CHUNK, room) if ready is source else CHUNK)
                if not data:
                    return
                other[ready].sendall(data)
                if ready is source:
                    self.passed += len(data)
