"""Builds what one test needs (taps, VM, guest, driver) and takes it all down again, whatever happened."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from harness.errors import DeadlineExceeded, Lacks, VmmDied, VmmError
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.features import MULTIQUEUE, Feature
from harness.guest.probe.image import build_image
from harness.guest.probe.iommu import IOVA_OFFSET, VirtioIommu
from harness.guest.probe.monitor import connect
from harness.guest.probe.net import VirtioNet, arena_of
from harness.host.backend import NetworkBackend, Place
from harness.host.tap import Tap
from harness.host.vhost_user.offer import Offer
from harness.host.vhost_user_backend import VhostUser
from harness.record.journal import Journal
from harness.testbed.backends import BACKENDS
from harness.testbed.nic import LinuxNic, Nic, ProbeNic
from harness.testbed.surroundings import Surroundings
from harness.vmm.base import Launch, NicConfig, Vm, VmConfig, Vmm

PROBE_MEMORY_MIB = 64
REFUSAL_PATIENCE = 5.0
"""Seconds in which a VMM ends that was given options which cannot work."""
_place_numbers = itertools.count()
_Backend = TypeVar("_Backend", bound=NetworkBackend)
_image = cache(build_image)  # the cache on disk is looked at once, not before every test


@dataclass(frozen=True)
class NicPlan:
    """A NIC to build: configured pairs, what its driver negotiates, and the virtqueues it sets up (None: all)."""

    pairs: int = 4
    features: Feature = MULTIQUEUE
    queues: frozenset[int] | None = None
    queue_size: int = 256
    iommu: bool = False
    """Behind the machine's virtual IOMMU: the device reaches the driver's memory at other addresses alone."""

    @property
    def packed(self) -> bool:
        """Whether the device has to offer packed virtqueues."""
        return Feature.RING_PACKED in self.features


class LinuxGuests(Protocol):
    """Who lends the NICs of Linux guests: see harness.testbed.linux_machines."""

    def lend(
        self, bed: Testbed, plans: Sequence[NicPlan], backend: str, *, kernel_options: str = ""
    ) -> list[LinuxNic]:
        """NICs of such a guest, until the testbed is closed."""


class Testbed:
    """One VM with its NICs, on a build under test. A context manager: leaving it removes everything.

    `folder` is an existing folder for sockets and logs; `linux` has the Linux guests, where there are any.
    Needs `harness.host.namespace.enter` before.
    """

    __test__ = False  # the name is the field's; it is no class of tests

    def __init__(
        self,
        vmm: Vmm,
        folder: Path,
        surroundings: Surroundings = Surroundings(),  # noqa: B008 -- it is frozen
        linux: LinuxGuests | None = None,
    ) -> None:
        self.vmm = vmm
        self.folder = folder
        self.surroundings = surroundings
        self._linux = linux
        self._failed = False
        self.journal = Journal()
        self.vms: list[Vm] = []
        self.backends: list[NetworkBackend] = []
        """Those that were made here, whether a NIC came to be plugged into them or not."""
        self.probe_driven: list[ProbeNic] = []
        self.linux_driven: list[LinuxNic] = []
        self._undo = ExitStack()
        self._folder_numbers = itertools.count()

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def nics(self) -> list[Nic]:
        """All NICs of the testbed's VMs."""
        return [*self.probe_driven, *self.linux_driven]

    @property
    def failed(self) -> bool:
        """Whether the test failed: then no guest of its is used for another."""
        return self._failed

    def mark_failed(self) -> None:
        """Note that the test failed."""
        self._failed = True

    def close(self) -> None:
        """Stop the VMs, remove the taps. Safe to call twice."""
        self._undo.close()

    @cached_property
    def image(self) -> Path:
        """The probe guest's image, as its VMM takes it."""
        return _image(self.vmm.kernel_format)

    def backend(self, name: str, pairs: int) -> NetworkBackend:
        """A fresh network backend of that name for a NIC of `pairs` pairs."""
        return self._kept(BACKENDS[name](self.surroundings, self._place(), pairs))

    def sibling(self, backend: _Backend, pairs: int) -> _Backend:
        """A fresh network backend of the same kind."""
        return self._kept(backend.sibling(self._place(), pairs))

    def tap(self, pairs: int) -> Tap:
        """A fresh tap for a NIC of `pairs` pairs."""
        return self._kept(Tap(self._place().name, pairs, multi_queue=self.vmm.queue_for_each_pair))

    def vhost_user(self, pairs: int, offer: Offer | None = None) -> VhostUser:
        """A fresh vhost-user back end with this offer, or the usual one, for a NIC of `pairs` pairs."""
        return self._kept(VhostUser(self._place().folder, pairs, offer, rules=self.surroundings.rules))

    def _place(self) -> Place:
        return Place(f"mq{next(_place_numbers)}", self.fresh_folder("backend"), self.vmm.queue_for_each_pair)

    def _kept(self, backend: _Backend) -> _Backend:
        self._undo.callback(backend.close)
        self.backends.append(backend)
        return backend

    @staticmethod
    def nic_config(plan: NicPlan, number: int, backend: NetworkBackend) -> NicConfig:
        """What the VMM is told of the NIC of this number."""
        mac = f"02:00:00:00:01:{number:02x}"
        if isinstance(backend, VhostUser):
            backend.set_mac(mac)
        return NicConfig(
            f"net{number}", mac, plan.pairs, backend.attachment, plan.queue_size, plan.iommu, plan.packed
        )

    def on_close(self, undo: Callable[[], object]) -> None:
        """Have something undone when the testbed closes, before what was there earlier."""
        self._undo.callback(undo)

    def fresh_folder(self, purpose: str) -> Path:
        """A new folder that lives as long as the testbed."""
        folder = self.folder / f"{purpose}{next(self._folder_numbers)}"
        folder.mkdir()
        return folder

    def adopt_vm(self, vm: Vm) -> None:
        """Look after a running VM: it is stopped when the testbed closes, and shown if the test fails."""
        self._undo.callback(vm.stop)
        self.watch(vm)

    def watch(self, vm: Vm) -> None:
        """Have a VM shown if the test fails, its log placed among what the test does."""
        self.vms.append(vm)
        self.journal.noting.append(vm.process.clock.note)

    def fresh_launch(self) -> Launch:
        """How a VM is run here, its files in a folder of its own."""
        return Launch(self.fresh_folder("vm"), self.surroundings.spawn())

    def launch(self, config: VmConfig) -> Vm:
        """Start a VM; it is stopped when the testbed closes."""
        most = self.vmm.most_pairs
        if any(nic.pairs > most for nic in config.nics):
            raise Lacks(f"{self.vmm.name} has no NIC of more than {most} pairs")
        vm = self.vmm.launch(config, self.fresh_launch())
        self.adopt_vm(vm)
        self.journal.add("vmm", f"{self.vmm.name} started as process {vm.pid}")
        return vm

    def refusal(self, *words: str, nics: Sequence[NicConfig] = (), shared_memory: bool = False) -> VmmDied:
        """How the VMM ends when started with these NICs and further words, which it should refuse.

        Raises VmmError if it lives.
        """
        config = VmConfig(
            self.image,
            tuple(nics),
            memory_mib=self.vmm.memory_mib(PROBE_MEMORY_MIB),
            shared_memory=shared_memory,
            extra_args=words,
        )
        try:
            vm = self.launch(config)
        except VmmDied as death:
            return death
        vm.process.expect_end()
        try:
            status = vm.process.wait(REFUSAL_PATIENCE)
        except DeadlineExceeded as error:
            raise VmmError(f"{self.vmm.name} took {' '.join(words)} and runs") from error
        return vm.process.died(self.vmm.name, status, "at start")

    def probe_nics(
        self, plans: Sequence[NicPlan], backend: Callable[[int], _Backend]
    ) -> list[ProbeNic[_Backend]]:
        """A VM with the probe guest and these NICs; their drivers are bound and not started.

        `backend` makes the network backend of a NIC with the given number of pairs.
        """
        backends = [backend(plan.pairs) for plan in plans]
        configs = tuple(self.nic_config(plan, i, backends[i]) for i, plan in enumerate(plans))
        vm = self.launch(
            VmConfig(
                self.image,
                configs,
                memory_mib=self.vmm.memory_mib(PROBE_MEMORY_MIB),
                memory_room_mib=self.surroundings.memory_room_mib,
            )
        )
        for plugged in backends:
            self._adopt(plugged, vm)
        monitor, memory = connect(vm)
        self._undo.callback(memory.close)
        self.journal.add("guest", "the probe guest answered")
        nics = []
        # one share of the guest's memory is kept for a NIC that is plugged in later, or for the IOMMU's driver
        shares = len(plans) + 1
        iommu = None
        if any(plan.iommu for plan in plans):
            iommu = VirtioIommu(monitor, arena_of(monitor, len(plans), shares))
        for i, plan in enumerate(plans):
            net = VirtioNet(
                monitor,
                configs[i].mac,
                share=i,
                shares=shares,
                iova_offset=IOVA_OFFSET if plan.iommu else 0,
                device=self.surroundings.device,
                slots=self.vmm.mmio_slots,
            )
            if iommu and plan.iommu:
                iommu.attach(net.device)
            net.narrate = self._narrate
            driver = ProbeDriver(net, plan.features, queues=plan.queues)
            nics.append(Nic(vm, configs[i], driver, backends[i], self.journal))
        if iommu:
            iommu.map(0, memory.size)
        self.probe_driven += nics
        return nics

    def _narrate(self, what: str, pairs: int | None) -> None:
        self.journal.add("guest", what, pairs=pairs)

    @staticmethod
    def _adopt(backend: NetworkBackend, vm: Vm) -> None:
        """Let a backend find the VMM. Raises VmmDied where the VMM ended over it."""
        try:
            backend.adopt()
        except DeadlineExceeded:
            vm.check_alive("it was awaited on its network backend")
            raise

    def plug(
        self, beside: ProbeNic[_Backend], plan: NicPlan, backend: _Backend | None = None
    ) -> ProbeNic[_Backend]:
        """Hot plug a NIC into the VM of a probe NIC, on this network backend or a fresh one of the same kind.

        Its driver is bound and not started.
        """
        number = len(self.nics)
        backend = backend or self.sibling(beside.backend, plan.pairs)
        config = self.nic_config(plan, number, backend)
        beside.vm.add_nic(config)
        self._adopt(backend, beside.vm)
        net = VirtioNet(
            beside.driver.net.bus,
            config.mac,
            share=number,
            shares=number + 1,
            device=self.surroundings.device,
        )
        net.narrate = self._narrate
        driver = ProbeDriver(net, plan.features, queues=plan.queues)
        nic = Nic(beside.vm, config, driver, backend, self.journal)
        self.probe_driven.append(nic)
        return nic

    def cold_nic(self, plan: NicPlan, driver: str, backend: str) -> Nic:
        """A VM with one NIC, its driver bound and not started."""
        (nic,) = self.cold_nics([plan], driver, backend)
        return nic

    def cold_nics(self, plans: Sequence[NicPlan], driver: str, backend: str) -> Sequence[Nic]:
        """A VM with several NICs, their drivers bound and not started, which Linux does by itself, though."""
        if driver == "linux":
            return self.linux_nics(plans, backend)
        return self.probe_nics(plans, lambda pairs: self.backend(backend, pairs))

    def linux_nics(
        self, plans: Sequence[NicPlan], backend: str, *, kernel_options: str = ""
    ) -> list[LinuxNic]:
        """The NICs of a Linux guest that was booted with these kernel options, freshly bound to their driver."""
        assert self._linux is not None, "the session has no Linux image"
        nics = self._linux.lend(self, plans, backend, kernel_options=kernel_options)
        self.linux_driven += nics
        return nics

    def nic(self, plan: NicPlan, driver: str, backend: str) -> Nic:
        """A VM with one NIC, its driver started: nothing but DRIVER_OK was done yet."""
        nic = self.cold_nic(plan, driver, backend)
        nic.start()
        return nic
