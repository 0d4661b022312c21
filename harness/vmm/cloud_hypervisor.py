"""cloud-hypervisor as a VMM under test: its command line, REST API, event monitor and log.

Its own seccomp filter is always on: a forbidden system call is one of the defects that the suite is after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.bounded import Unreadable, parse_json, read_tail
from harness.deadline import PACE, Deadline, wait_until
from harness.errors import DeadlineExceeded, Owner, VmmDied, VmmError
from harness.printable import printable
from harness.process.child import OUTPUT, VmmProcess
from harness.process.last_words import panic
from harness.process.log_clock import Stamped
from harness.unix_socket import connect
from harness.vmm.abilities import Ability
from harness.vmm.base import (
    Habits,
    Launch,
    NicConfig,
    TapByFds,
    TapByName,
    VhostUserSocket,
    Vm,
    VmConfig,
    Vmm,
)
from harness.vmm.cloud_hypervisor_files import SERIAL, Event, Files, timed_lines
from harness.vmm.cloud_hypervisor_migration import CloudHypervisorIncoming
from harness.vmm.cloud_hypervisor_options import BAD_OPTIONS
from harness.vmm.cloud_hypervisor_state import STATE_DAMAGES, ComponentState, components, set_virtqueues
from harness.vmm.cloud_hypervisor_threads import being_started
from harness.vmm.http_socket import NoAnswer, Question, Reply
from harness.vmm.pty_line import PtyLine
from harness.vmm.serial import Line, SerialPort

START_PATIENCE = 10.0
CALL_PATIENCE = 20.0
PAUSE_PATIENCE = 5.0
"""A pause takes milliseconds, or for ever."""
THREAD_PATIENCE = 10.0
TRIPLE_FAULT = "triple-fault"
"""In the line of the log that says why a VM was reset although nobody asked for it."""
GLANCE = 2.0
"""Seconds after which a VMM that does not answer a question is looked at."""
WORDS = 300
"""Characters of a refusal that are shown."""


def net_option(nic: NicConfig) -> str:
    """The value of --net for a NIC. cloud-hypervisor counts virtqueues: two per pair."""
    match nic.attachment:
        case TapByName(name):
            place = f"tap={name}"
        case TapByFds(fds):
            place = f"fd=[{','.join(map(str, fds))}]"
        case VhostUserSocket(path, server):
            place = f"vhost_user=true,socket={path},vhost_mode={'server' if server else 'client'}"
    iommu = ",iommu=on" if nic.iommu else ""
    return f"id={nic.id},mac={nic.mac},num_queues={2 * nic.pairs},queue_size={nic.queue_size},{place}{iommu}"


class CloudHypervisorVm(Vm):
    """A running cloud-hypervisor."""

    vmm: CloudHypervisor

    def __init__(self, vmm: CloudHypervisor, config: VmConfig, process: VmmProcess, files: Files) -> None:
        self._files = files
        self._silent = False
        """It has left a question unanswered once: it is not waited for as long again."""
        self._over_pty = vmm.over_pty
        self.process = process
        connection = self._await_start(vmm, process)
        super().__init__(vmm, config, process, SerialPort(connection, self.check_alive, self._why_closed))

    def _await_start(self, vmm: CloudHypervisor, process: VmmProcess) -> Line:
        """The connected serial port: it exists once the VM was built, or never if the VMM refused its arguments."""

        def connected() -> Line | None:
            if (connection := self._connect_serial()) is None and (
                status := process.exit_status()
            ) is not None:
                raise process.died(vmm.name, status, "at start")
            return connection

        try:
            connection = wait_until(
                f"{vmm.name} to open its serial port",
                connected,
                owed_by=Owner.VMM,
                within=START_PATIENCE,
                last=lambda: process.tail(3) or "the process runs and says nothing",
            )
        except BaseException:  # an impatient user's interrupt too
            process.stop()
            self._files.remove_sockets()
            raise
        assert connection is not None
        return connection

    def _connect_serial(self) -> Line | None:
        """The serial port, connected: a socket, or the terminal that the VM names. None while it is not there."""
        if not self._over_pty:
            return connect(self._files.serial)
        try:
            answer = self._request("GET", "vm.info", None, (), Deadline(GLANCE))
            return PtyLine.at(Path(parse_json(answer.content)["config"]["serial"]["file"]))
        except (NoAnswer, OSError, Unreadable, KeyError, TypeError):
            return None

    def call(
        self,
        method: str,
        endpoint: str,
        body: dict[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        within: float = CALL_PATIENCE,
    ) -> Any:
        """One request of the REST API, with descriptors beside it; the decoded answer, or None for an empty one.

        Raises VmmError with the VMM's own words if it refuses, VmmDied if it died over it.
        """
        deadline = Deadline(min(within, GLANCE) if self._silent else within)
        try:
            answer = self._request(method, endpoint, body, fds, deadline)
        except TimeoutError as error:
            self._silent = True
            self.check_alive(f"answering {endpoint}")
            raise DeadlineExceeded(
                f"waited {deadline.seconds - deadline.remaining():.0f} s for {self.vmm.name} to answer {endpoint}; "
                f"its last words: {self._panic() or self.process.tail(3)}",
                Owner.VMM,
            ) from error
        except NoAnswer as error:
            self._settle()
            self.check_alive(f"answering {endpoint}")
            raise VmmError(f"{self.vmm.name} answered rubbish to {endpoint}: {error}") from error
        if answer.is_error:
            self._refused(endpoint, answer)
        if not answer.content:
            return None
        try:
            return parse_json(answer.content)
        except Unreadable as error:
            shown = answer.content[:80].decode(errors="replace")
            raise VmmError(f"{self.vmm.name} answered {endpoint} with what {error}: {shown!r}") from None

    def _request(
        self, method: str, endpoint: str, body: dict[str, Any] | None, fds: Sequence[int], deadline: Deadline
    ) -> Reply:
        """Asked once: an answer that does not come is a finding. A VMM that has panicked will never give one."""
        with closing(
            Question(self._files.api, method, f"/api/v1/{endpoint}", body, deadline, fds)
        ) as question:
            while not question.begins(min(GLANCE * PACE, deadline.remaining())):
                if deadline.expired() or self._panic():
                    raise TimeoutError
            return question.reply()

    def _panic(self) -> str:
        """What a thread said that panicked, if one did: the process may live on, and answer nothing."""
        return panic(self.process.output())

    def _settle(self) -> None:
        """A connection that broke off is how a dying VMM shows first: give its exit a moment to be seen."""
        try:
            self.process.wait(0.5)
        except DeadlineExceeded:
            return

    def _refused(self, endpoint: str, answer: Reply) -> None:
        try:
            causes = parse_json(answer.content)
            text = ": ".join(causes) if isinstance(causes, list) else str(causes)
        except (Unreadable, TypeError):
            text = answer.content[:WORDS].decode(errors="replace")
        raise VmmError(
            f"{self.vmm.name} refused {endpoint} (HTTP {answer.status}): {printable(text[:WORDS])}"
        )

    def info(self) -> dict[str, Any]:
        answer = self.call("GET", "vm.info")
        if not isinstance(answer, dict):
            raise VmmError(f"{self.vmm.name} answered vm.info with {answer!r}")
        return answer

    def state(self) -> str:
        return str(self.info().get("state", "in no state")).lower()

    def pause(self, *, at_once: bool = False) -> None:
        if not at_once:
            self.await_threads()
        self.call("PUT", "vm.pause", within=PAUSE_PATIENCE)

    def await_threads(self) -> None:
        busy: list[str] = []

        def settled() -> bool:
            busy[:] = being_started(self.pid)
            return not busy

        wait_until(
            f"the threads of {self.vmm.name} to come to where they wait",
            settled,
            owed_by=Owner.VMM,
            within=THREAD_PATIENCE,
            last=lambda: ", ".join(busy),
        )

    def resume(self) -> None:
        self.call("PUT", "vm.resume")

    def reboot(self) -> None:
        self.call("PUT", "vm.reboot")

    def await_reset(self) -> None:
        # it drops the whole VM, the serial connection with it, and builds another
        self.serial.await_close(within=CALL_PATIENCE, awaiting="the VM to be dropped for its reset")
        self.serial.close()
        connection = wait_until(
            f"{self.vmm.name} to open its serial port again after a reset",
            self._connect_serial,
            owed_by=Owner.VMM,
            within=START_PATIENCE,
            last=lambda: self.process.tail(2),
        )
        transcript = self.serial.transcript
        self.serial = SerialPort(connection, self.check_alive, self._why_closed)
        self.serial.transcript += transcript

    def _why_closed(self) -> str:
        """A guest that resets itself takes the serial connection with it; why it did is long past in the log."""
        said = self.process.output().splitlines()
        return next((line.partition(" -- ")[2] for line in reversed(said) if TRIPLE_FAULT in line), "")

    def add_nic(self, nic: NicConfig) -> None:
        body: dict[str, Any] = {
            "id": nic.id,
            "mac": nic.mac,
            "num_queues": 2 * nic.pairs,
            "queue_size": nic.queue_size,
        }
        match nic.attachment:
            case TapByName(name):
                body |= {"tap": name}
            case VhostUserSocket(path, server):
                mode = "Server" if server else "Client"
                body |= {"vhost_user": True, "vhost_socket": str(path), "vhost_mode": mode}
            case TapByFds(fds):
                self.call("PUT", "vm.add-net", body, fds=fds)  # what the body says of descriptors is ignored
                return
        self.call("PUT", "vm.add-net", body)

    def remove_nic(self, nic_id: str) -> None:
        self.call("PUT", "vm.remove-device", {"id": nic_id})

    def plug_memory(self, mib: int) -> None:
        self.call("PUT", "vm.resize", {"desired_ram": self.config.memory_mib + mib << 20})

    def await_removal(self, nic_id: str) -> None:
        wait_until(
            f"{self.vmm.name} to let go of {nic_id}",
            lambda: nic_id not in self._nic_ids(),
            owed_by=Owner.VMM,
            within=CALL_PATIENCE,
        )

    def _nic_ids(self) -> list[str]:
        info = self.info()
        try:
            return [net["id"] for net in info["config"].get("net") or ()]
        except (KeyError, TypeError, AttributeError) as error:
            raise VmmError(f"{self.vmm.name} answered vm.info without a list of NICs: {error!r}") from None

    def shut_down_and_boot(self) -> None:
        self.call("PUT", "vm.shutdown")
        self.call("PUT", "vm.boot")

    def snapshot(self, folder: Path) -> None:
        self.call("PUT", "vm.snapshot", {"destination_url": f"file://{folder}"})

    def await_restored(self) -> None:
        """Wait until the state is loaded: requests are answered after it. Raises what became of a VMM that failed."""
        try:
            state = self.state()
        except VmmDied:
            raise
        except VmmError as error:
            self._settle()
            self.check_alive("restoring a snapshot")
            raise VmmError(f"{self.vmm.name} restored nothing and lives: {error}") from error
        self.vmm.require(state == "paused", f"a restored VM is {state}, not paused")

    def send_migration(self, place: Path, *, local: bool) -> None:
        self.await_threads()
        failures = self._files.count_events("migration-failed")
        self.call("PUT", "vm.send-migration", {"destination_url": f"unix:{place}", "local": local})
        self.process.expect_end()

        def ended() -> bool:
            failed = self._files.count_events("migration-failed") > failures
            self.vmm.require(not failed, f"the migration failed: {self.process.tail(3)}")
            return self.exit_status() is not None

        wait_until(
            f"{self.vmm.name} to end after its VM was handed over",
            ended,
            owed_by=Owner.VMM,
            within=CALL_PATIENCE,
            last=lambda: self.process.tail(2),
        )
        status = self.process.wait(0)
        if status.code:
            raise self.process.died(self.vmm.name, status, "after its VM was handed over")

    def events(self) -> list[Event]:
        """What the event monitor wrote so far, oldest first."""
        return self._files.read_events()

    def timed_log(self) -> list[Stamped]:
        start, log = read_tail(self.process.log, OUTPUT)
        return timed_lines(log, start)

    def ways_in(self) -> dict[str, str]:
        api = f"curl -s --unix-socket {self._files.api} http://localhost/api/v1/vm.info"
        return {"its API": api, "the same": f"ch-remote --api-socket {self._files.api} info"}

    def stop(self) -> None:
        super().stop()
        self._files.remove_sockets()


def _put(endpoint: str, body: dict[str, Any] | None = None) -> Callable[[CloudHypervisorVm], object]:
    return lambda vm: vm.call("PUT", endpoint, body)


class CloudHypervisor(Vmm):
    """A build of cloud-hypervisor."""

    kind = "cloud-hypervisor"
    banner = "cloud-hypervisor"
    abilities = frozenset(Ability) - {Ability.PACKED_RINGS, Ability.VHOST_NET}
    takes_attachments_along = True
    habits = Habits(command_threads="*_ctrl", restoring=("--restore",))
    state_damages = STATE_DAMAGES
    bad_options = BAD_OPTIONS
    misplaced_requests = {
        "boot-what-runs": _put("vm.boot"),
        "create-what-is-there": _put("vm.create", {"payload": {"kernel": "/nonexistent"}}),
        "snapshot-what-runs": _put("vm.snapshot", {"destination_url": "file:///nonexistent"}),
        "resize-to-more-than-it-may-have": _put("vm.resize", {"desired_vcpus": 255}),
        "add-a-device-that-is-not-there": _put("vm.add-device", {"path": "/nonexistent"}),
    }

    over_pty = False
    """Whether the serial port is a pseudo-terminal: v40 and v45 die by their own seccomp filter once their serial
    socket is used (cloud-hypervisor issue 7567)."""

    def change_serial(self) -> str | None:
        if self.over_pty:
            return None
        self.over_pty = True
        return "a pseudo-terminal"

    def fewest_cpus(self, config: VmConfig) -> int:
        """It refuses a NIC with more pairs than boot vCPUs."""
        return max((nic.pairs for nic in config.nics), default=1)

    def launch(self, config: VmConfig, launch: Launch) -> CloudHypervisorVm:
        files = Files.within(launch.workdir)
        shared = "on" if config.shared_memory else "off"
        room = f",hotplug_size={config.memory_room_mib}M" if config.memory_room_mib else ""
        arguments = [
            *files.arguments(),
            *("--cpus", f"boot={self.cpus(config)}"),
            *("--memory", f"size={config.memory_mib}M,shared={shared}{room}"),
            *("--serial", "pty" if self.over_pty else f"socket={SERIAL}", "--console", "off"),
        ]
        if config.firmware is not None:
            arguments += ["--firmware", str(config.firmware.absolute())]
        if config.kernel is not None:
            arguments += ["--kernel", str(config.kernel.absolute())]
        if config.initramfs is not None:
            arguments += ["--initramfs", str(config.initramfs.absolute())]
        if config.cmdline:
            arguments += ["--cmdline", config.cmdline]
        if config.nics:
            arguments += ["--net", *map(net_option, config.nics)]
        return self._start([*arguments, *config.extra_args], config, launch, files)

    def restore(self, snapshot: Path, config: VmConfig, launch: Launch) -> CloudHypervisorVm:
        files = Files.within(launch.workdir)
        source = f"source_url=file://{snapshot}"
        handed = [nic for nic in config.nics if isinstance(nic.attachment, TapByFds)]
        if handed:
            lists = ",".join(f"{nic.id}@[{','.join(map(str, nic.descriptors))}]" for nic in handed)
            source += f",net_fds=[{lists}]"
        words = [*files.arguments(), "--restore", source, *config.extra_args]
        vm = self._start(words, config, launch, files)
        try:
            vm.await_restored()
        except BaseException:
            vm.stop()
            raise
        return vm

    def receive_migration(self, place: Path, config: VmConfig, launch: Launch) -> CloudHypervisorIncoming:
        files = Files.within(launch.workdir)
        process = self._execute([*files.arguments(), *config.extra_args], config, launch, files)

        def adopt() -> CloudHypervisorVm:
            return CloudHypervisorVm(self, config, process, files)

        return CloudHypervisorIncoming(self.name, process, files, place, adopt)

    def recorded(self, snapshot: Path, nic: NicConfig) -> dict[str, Any]:
        return ComponentState(snapshot, nic.id).read()

    def rerecord(self, snapshot: Path, nic: NicConfig, changes: Mapping[str, Any]) -> None:
        ComponentState(snapshot, nic.id).change(changes)

    def reconfigure(self, snapshot: Path, nic: NicConfig) -> None:
        set_virtqueues(snapshot, nic.id, 2 * nic.pairs)

    def saved_devices(self, snapshot: Path) -> dict[str, Any]:
        return components(snapshot)

    def _start(
        self, arguments: Sequence[str], config: VmConfig, launch: Launch, files: Files
    ) -> CloudHypervisorVm:
        return CloudHypervisorVm(self, config, self._execute(arguments, config, launch, files), files)

    def _execute(
        self, arguments: Sequence[str], config: VmConfig, launch: Launch, files: Files
    ) -> VmmProcess:
        files.remove_sockets()
        return VmmProcess(
            [os.fspath(self.path), *arguments],
            files.log,
            folder=files.folder,
            pass_fds=config.descriptors,
            spawn=launch.spawn,
        )
