"""The small interface behind which every VMM stands: a build (`Vmm`) and its running instances (`Vm`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from harness.errors import HarnessError, Lacks, VmmError
from harness.process.log_clock import Stamped
from harness.vmm.abilities import Ability
from harness.vmm.kernel_format import KernelFormat
from harness.vmm.memory import GuestMemory, find_guest_memory
from harness.vmm.serial import SerialPort
from harness.vmm.state_damage import Spoil

if TYPE_CHECKING:
    from harness.process.child import Spawn, VmmProcess
    from harness.process.exit_status import ExitStatus


@dataclass(frozen=True)
class TapByName:
    """A tap that the VMM opens by its name; made by the VMM if there is none of that name.

    `vhost`: the host's kernel moves the frames (vhost-net).
    """

    name: str
    vhost: bool = False


@dataclass(frozen=True)
class TapByFds:
    """A tap handed over as open descriptors, one per pair, pair i being the i-th."""

    fds: tuple[int, ...]


@dataclass(frozen=True)
class VhostUserSocket:
    """A vhost-user back end behind a UNIX socket. `server`: the VMM listens, the back end connects."""

    path: Path
    server: bool = False


Attachment = TapByName | TapByFds | VhostUserSocket


@dataclass(frozen=True)
class NicConfig:
    """One virtio-net device: its id on the VMM, MAC address, number of pairs, and what it is plugged into."""

    id: str
    mac: str
    pairs: int
    attachment: Attachment
    queue_size: int = 256
    iommu: bool = False
    """Behind the machine's virtual IOMMU, which there is if any NIC asks for it."""
    packed: bool = False
    """It offers packed virtqueues."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the VMM is handed for it."""
        return self.attachment.fds if isinstance(self.attachment, TapByFds) else ()


@dataclass(frozen=True)
class VmConfig:
    """A VM to launch. `memory_mib` is guest RAM; it is shared memory unless `shared_memory` is false.

    `cpus` None: as few as the VMM allows for these NICs. `memory_room_mib` is how much can be plugged later.
    """

    kernel: Path | None
    nics: tuple[NicConfig, ...] = ()
    initramfs: Path | None = None
    cmdline: str = ""
    firmware: Path | None = None
    cpus: int | None = None
    memory_mib: int = 64
    memory_room_mib: int = 0
    shared_memory: bool = True
    extra_args: tuple[str, ...] = ()

    @property
    def descriptors(self) -> list[int]:
        """Those that the VMM is handed for its NICs."""
        return [fd for nic in self.nics for fd in nic.descriptors]


@dataclass(frozen=True)
class Launch:
    """How to run a VM, beside what it is: where its files go, and who starts and watches its process, if anybody."""

    workdir: Path
    spawn: Spawn | None = None


@dataclass(frozen=True)
class Habits:
    """How what a VMM's process does can be told apart from outside.

    `command_threads`: the names of the threads that obey a device's commands, as a shell pattern; None: they are
    obeyed on the main thread, and a vCPU's thread resets the device. `restoring`: words of a command line of which one
    says that the process goes on with a VM that was saved or is migrated to it.
    """

    command_threads: str | None = None
    restoring: tuple[str, ...] = ()


@dataclass(frozen=True)
class BadOptions:
    """Words of a VMM's own command line that it should refuse.

    Of `told` one must be in the answer.
    """

    words: tuple[str, ...]
    told: tuple[str, ...]
    shared_memory: bool = False


class Vm:
    """One running instance of a VMM. Use it as a context manager: leaving it stops the process and cleans up.

    Every call has a deadline of its own. A VMM that dies in a call raises VmmDied, one that refuses VmmError. What is
    not overridden is what the VMM cannot do, and raises Lacks.
    """

    def __init__(self, vmm: Vmm, config: VmConfig, process: VmmProcess, serial: SerialPort) -> None:
        self.vmm = vmm
        self.config = config
        self.process = process
        self.serial = serial
        """The guest's first serial port (COM1)."""

    @property
    def pid(self) -> int:
        """The VMM's process id."""
        return self.process.pid

    def info(self) -> dict[str, Any]:
        """What the VMM says of the VM, as its API gives it; nothing where it has none."""
        return {}

    def state(self) -> str:
        """`running`, `paused`, or another word of the VMM's own."""
        self.check_alive("it was asked for its state")
        return "running"

    def pause(self, *, at_once: bool = False) -> None:
        """Stop the vCPUs and the devices, once the VMM's threads are in place; or `at_once`, whatever they do."""
        self.vmm.lacks(Ability.PAUSE)

    def await_threads(self) -> None:
        """Wait until the threads that work for devices have been started, or have ended, and stand still."""

    def resume(self) -> None:
        """Let a paused VM go on."""
        self.vmm.lacks(Ability.PAUSE)

    def rest(self) -> None:
        """Nobody uses the guest until `wake`: a VMM whose pause leaves it as it was costs no CPU meanwhile."""

    def wake(self) -> None:
        """The guest is used again."""

    def reboot(self) -> None:
        """Reset the machine as its power-cycle button would; the guest starts anew."""
        self.vmm.lacks(Ability.REBOOT)

    def await_reset(self) -> None:
        """After a reset of the machine was asked for, by `reboot` or by the guest: wait until it has happened.

        The serial port is a new connection where the VMM makes one, and guest memory may be renewed: what was
        mapped before is stale.
        """
        self.vmm.lacks(Ability.REBOOT)

    def add_nic(self, nic: NicConfig) -> None:
        """Hot plug a NIC."""
        self.vmm.lacks(Ability.HOT_PLUG)

    def remove_nic(self, nic_id: str) -> None:
        """Ask the guest to give up a NIC. The device goes once the guest ejects it."""
        self.vmm.lacks(Ability.HOT_PLUG)

    def await_removal(self, nic_id: str) -> None:
        """After the guest ejected a NIC: wait until the VMM has let go of it and of what it was plugged into."""
        self.vmm.lacks(Ability.HOT_PLUG)

    def plug_memory(self, mib: int) -> None:
        """Add guest memory while it runs, a multiple of 128 MiB within `memory_room_mib`. The guest need not use it."""
        self.vmm.lacks(Ability.MEMORY_HOT_PLUG)

    def shut_down_and_boot(self) -> None:
        """End the VM within its VMM, and boot it again from its configuration (see `await_reset`)."""
        self.vmm.lacks(Ability.BOOT_AGAIN)

    def snapshot(self, folder: Path) -> None:
        """Write a paused VM's state into an empty, existing folder."""
        self.vmm.lacks(Ability.SNAPSHOT)

    def send_migration(self, place: Path, *, local: bool) -> None:
        """Hand the running VM over to the VMM that receives at this UNIX socket (see `Vmm.receive_migration`).

        `local`: guest memory is handed over as a descriptor, not copied. Returns once this process has ended.
        Raises VmmError if the migration failed; then the VM runs on here.
        """
        self.vmm.lacks(Ability.MIGRATION)

    def guest_memory(self) -> GuestMemory:
        """The guest's RAM, within reach of this process. Valid until the machine is reset (see `await_reset`)."""
        return find_guest_memory(self.pid, self.config.memory_mib << 20, self.check_alive)

    def stop(self) -> None:
        """End the VMM by whatever means it takes, and remove its sockets. Never raises for a dead VMM."""
        self.process.stop()
        self.serial.close()

    def log(self) -> str:
        """Everything the VMM logged or printed so far."""
        return self.process.output()

    def timed_log(self) -> list[Stamped]:
        """The lines of the log that tell when they were written, by the VMM's own clock."""
        return []

    def ways_in(self) -> dict[str, str]:
        """Shell lines that ask the VMM itself while it runs, by what they are for."""
        return {}

    def exit_status(self) -> ExitStatus | None:
        """How the process ended, or None while it lives."""
        return self.process.exit_status()

    def check_alive(self, doing: str) -> None:
        """Raise VmmDied if the process is gone; `doing` completes "the VMM died while ..."."""
        if (status := self.exit_status()) is not None:
            raise self.process.died(self.vmm.name, status, f"while {doing}")

    def __enter__(self) -> Vm:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Incoming(ABC):
    """A VMM that listens at the UNIX socket `place` for a VM to be migrated to it, and has none yet."""

    def __init__(self, place: Path, process: VmmProcess) -> None:
        self.place = place
        self.process = process

    @abstractmethod
    def arrived(self) -> Vm:
        """Wait until the VM is here, in the state that it had. Raises VmmError or VmmDied if it does not come."""

    @abstractmethod
    def stop(self) -> None:
        """End the process, whether the VM has arrived or not."""


class Vmm(ABC):
    """A program under test: one build, known by a name in the matrix.

    What a VMM can do is data. The defaults are those of a VMM that can boot a guest with one NIC on a tap.
    """

    kind: ClassVar[str]
    """The program, whatever its build."""

    banner: ClassVar[str]
    """How what it prints for its version begins; the number follows."""

    named_by_kind: ClassVar[bool] = False
    """Whether it is asked for as KIND:PATH, because its binary is that of another kind as well."""

    abilities: ClassVar[frozenset[Ability]] = frozenset()
    """What it can do beside that."""

    needs_kvm: ClassVar[bool] = True
    """Whether it runs guests on KVM; else it emulates their CPUs."""

    kernel_format: ClassVar[KernelFormat] = KernelFormat.PVH
    """The form in which it is given the probe guest."""

    blames_the_host: ClassVar[Mapping[str, str]] = {}
    """What it says as it ends where this host lacks something, in words of its own, with the way out."""

    most_pairs: ClassVar[int] = 0x8000
    """The most pairs that it gives a NIC."""

    smallest_memory_mib: ClassVar[int] = 1
    """The least guest memory that it takes."""

    mmio_slots: ClassVar[Sequence[int]] = ()
    """Addresses at which its virtio devices may have their registers, where they are on MMIO; else they are on PCI."""

    packaged_firmware: ClassVar[Path | None] = None
    """Where Debian puts a UEFI firmware for it, if it does; else the user gives one."""

    queue_for_each_pair: ClassVar[bool] = True
    """Whether it opens a queue for each pair on a tap; else one for all, and the tap must have no more."""

    takes_attachments_along: ClassVar[bool] = False
    """Whether a VM that is migrated tells the destination what its NICs are plugged into; else it is told anew."""

    habits: ClassVar[Habits] = Habits()

    changes_by_itself: ClassVar[frozenset[str]] = frozenset()
    """Devices, as `saved_devices` names them, whose saved state differs though the VM did not run in between."""

    state_damages: ClassVar[Mapping[str, Spoil]] = {}
    """Ways to spoil the snapshots that it writes, by name."""

    bad_options: ClassVar[Mapping[str, BadOptions]] = {}
    """Words of its command line that it should refuse, by name."""

    misplaced_requests: ClassVar[Mapping[str, Callable[[Any], object]]] = {}
    """Requests of its own API that have no place while a VM runs, made of one of its VMs, by name."""

    def __init__(self, name: str, path: Path, version: str) -> None:
        self.name = name
        self.path = path
        self.version = version

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}: {self.version}>"

    @property
    def place(self) -> str:
        """How `--vmm` asks for it."""
        return f"{self.kind}:{self.path}" if self.named_by_kind else str(self.path)

    @property
    def option(self) -> str:
        """How `--vmm` asks for it by its name."""
        return f"{self.name}={self.place}"

    def lacks(self, ability: Ability) -> NoReturn:
        """Raise Lacks: the VMM does not have this ability, so that nothing can be said of how it uses it."""
        raise Lacks(f"{self.name} has no {ability.value}")

    def cpus(self, config: VmConfig) -> int:
        """How many vCPUs this VM gets."""
        return config.cpus or self.fewest_cpus(config)

    def fewest_cpus(self, config: VmConfig) -> int:
        """The fewest vCPUs that this VMM takes for a VM with these NICs."""
        return 1

    def change_serial(self) -> str | None:
        """Reach the guests' serial port in another way from now on; which, in words, or None if there is no other."""
        return None

    def withholds_vectors(self, nic: NicConfig) -> str:
        """Why this suite gives a NIC no MSI-X on this build, with the way out; empty where it does."""
        return ""

    def memory_mib(self, wanted: int) -> int:
        """As much guest memory as is wanted, or the least that this VMM takes."""
        return max(wanted, self.smallest_memory_mib)

    @abstractmethod
    def launch(self, config: VmConfig, launch: Launch) -> Vm:
        """Start a VM. Returns once its API answers; the guest may still be booting.

        Raises VmmDied with the VMM's own words if it ends at start.
        """

    def restore(self, snapshot: Path, config: VmConfig, launch: Launch) -> Vm:
        """Start a VM from a snapshot that `Vm.snapshot` wrote. It is left paused."""
        self.lacks(Ability.SNAPSHOT)

    def receive_migration(self, place: Path, config: VmConfig, launch: Launch) -> Incoming:
        """Start a process that waits at a UNIX socket, made at `place`, for a VM of this configuration."""
        self.lacks(Ability.MIGRATION)

    def recorded(self, snapshot: Path, nic: NicConfig) -> Mapping[str, Any]:
        """What a snapshot holds of this NIC's own state: values by the names of its fields, whatever they mean.

        Raises VmmError if the snapshot is not in a form that is known.
        """
        self.lacks(Ability.SNAPSHOT)

    def rerecord(self, snapshot: Path, nic: NicConfig, changes: Mapping[str, Any]) -> None:
        """Write other values into the fields that `recorded` names; None removes a field."""
        self.lacks(Ability.SNAPSHOT)

    def reconfigure(self, snapshot: Path, nic: NicConfig) -> None:  # noqa: B027 -- most snapshots say nothing of it
        """Have a snapshot say that its NIC of this id is configured so, where it says anything of that."""

    def saved_devices(self, snapshot: Path) -> Mapping[str, Any]:
        """The saved state of every device, by a name that is the same in each snapshot of one VM: for comparison."""
        self.lacks(Ability.SNAPSHOT)

    def require(self, condition: bool, sentence: str) -> None:
        """Raise VmmError unless `condition`: for requests that this VMM cannot express."""
        if not condition:
            raise VmmError(f"{self.name}: {sentence}")


def nic_of(config: VmConfig, nic_id: str) -> NicConfig:
    """The NIC of that id; HarnessError names those that there are."""
    found: Sequence[NicConfig] = [nic for nic in config.nics if nic.id == nic_id]
    if not found:
        raise HarnessError(f"there is no NIC {nic_id!r}; there are {[nic.id for nic in config.nics]}")
    return found[0]
