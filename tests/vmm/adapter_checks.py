"""What is asked of an adapter, so that a wrong one is not taken for a wrong VMM: each check drives a real build.

A check returns nothing; what it finds wrong is the adapter's fault, and an AssertionError that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.deadline import wait_until
from harness.errors import Owner, VmmDied, VmmError
from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.image import build_image
from harness.guest.probe.monitor import Monitor, connect
from harness.guest.probe.net import VirtioNet
from harness.host.tap import Tap
from harness.vmm.abilities import Ability
from harness.vmm.base import Launch, NicConfig, Vm, VmConfig, Vmm

MEMORY_MIB = 128
PAIRS = (2, 4)
"""Of two NICs: numbers that nobody takes by default."""
MARK = b"written past the VMM"
NO_OPTION = "--there-is-no-such-option"


class Bench:
    """One build, a folder, and taps: what a check starts is gone when it is closed."""

    def __init__(self, vmm: Vmm, folder: Path) -> None:
        self.vmm = vmm
        self._folder = folder
        self._close: list[Callable[[], object]] = []
        self.workdir = folder
        self.taps: list[Tap] = []

    def config(self, *pairs: int) -> VmConfig:
        """The probe guest with a NIC on a tap for each of these numbers of pairs."""
        self.taps = [self._tap(f"ad{number}", each) for number, each in enumerate(pairs)]
        nics = tuple(
            NicConfig(f"net{number}", f"02:00:00:00:0a:{number + 1:02x}", tap.pairs, tap.attachment)
            for number, tap in enumerate(self.taps)
        )
        return VmConfig(build_image(self.vmm.kernel_format), nics, memory_mib=self.vmm.memory_mib(MEMORY_MIB))

    def launch(self, config: VmConfig) -> Vm:
        """Start it in a folder of its own."""
        self.workdir = self._folder / f"vm{len(self._close)}"
        self.workdir.mkdir()
        vm = self.vmm.launch(config, Launch(self.workdir))
        self._close.append(vm.stop)
        return vm

    def close(self) -> None:
        """Stop what runs, remove the taps."""
        while self._close:
            self._close.pop()()

    def _tap(self, name: str, pairs: int) -> Tap:
        tap = Tap(name, pairs, multi_queue=self.vmm.queue_for_each_pair)
        self._close.append(tap.close)
        return tap


def guest_answers_and_its_memory_is_the_guests(bench: Bench) -> None:
    """What is written past the VMM the guest reads, in its first free page and in its last; and the other way round."""
    config = bench.config()
    vm = bench.launch(config)
    monitor, memory = connect(vm)
    try:
        assert memory.size == config.memory_mib << 20, "the adapter gives the guest another amount of memory"
        for place in (monitor.free_memory, memory.size - 4096):
            memory.write(place, MARK)
            assert monitor.read_memory(place, len(MARK)) == MARK, (
                f"the memory at {place:#x} is not the guest's"
            )
            monitor.write_memory(place, MARK[::-1])
            assert memory.read(place, len(MARK)) == MARK[::-1], f"the guest's {place:#x} is not in the memory"
    finally:
        memory.close()


def nics_are_those_that_were_asked_for(bench: Bench) -> None:
    """Each is found by its MAC address, has its number of pairs, and holds its own tap."""
    several = Ability.SEVERAL_NICS in bench.vmm.abilities
    config = bench.config(*(PAIRS if several else PAIRS[:1]))
    vm = bench.launch(config)
    monitor, memory = connect(vm)
    try:
        for share, nic in enumerate(config.nics):
            net = VirtioNet(
                monitor, nic.mac, share=share, shares=len(config.nics), slots=bench.vmm.mmio_slots
            )
            ProbeDriver(net).start()  # some VMMs fill the configuration space only then
            assert net.max_pairs == nic.pairs, (
                f"{nic.id} has {net.max_pairs} pairs, and {nic.pairs} were asked for"
            )
            tap = bench.taps[share]
            held = len(tap.queues(vm.pid).each)
            most = nic.pairs if bench.vmm.queue_for_each_pair else 1
            assert 1 <= held <= most, f"the process holds {held} queues of the tap of {nic.id}"
    finally:
        memory.close()


def wrong_option_ends_it_with_its_words(bench: Bench) -> None:
    """`extra_args` reach the command line, and what it says of them reaches the user."""
    config = VmConfig(
        build_image(bench.vmm.kernel_format),
        memory_mib=bench.vmm.memory_mib(MEMORY_MIB),
        extra_args=(NO_OPTION,),
    )
    try:
        vm = bench.launch(config)
    except VmmDied as death:
        said = death.output
    else:
        status = vm.process.wait(5.0)
        said = str(vm.process.died(bench.vmm.name, status, "at start").output)
    assert NO_OPTION.lstrip("-") in said, (
        f"it was not given {NO_OPTION}, or its words are lost: {said[-300:]!r}"
    )


def nothing_is_left_behind(bench: Bench) -> None:
    """Neither the process nor a socket."""
    vm = bench.launch(bench.config())
    _, memory = connect(vm)
    memory.close()
    vm.stop()
    wait_until(
        "the VMM's process to be gone",
        lambda: not Path(f"/proc/{vm.pid}").exists(),
        owed_by=Owner.HOST,
        within=5,
    )
    left = [path.name for path in bench.workdir.rglob("*") if path.is_socket()]
    assert left == [], "sockets are left behind"


def death_is_noticed(bench: Bench) -> None:
    """Whoever waits on the serial port of a VMM that is gone is told that it died."""
    vm = bench.launch(bench.config())
    _, memory = connect(vm)
    memory.close()
    vm.process._popen.kill()
    try:
        Monitor(vm.serial, None, MEMORY_MIB << 20)
    except VmmDied:
        return
    raise AssertionError("a VMM that was killed goes on answering")


def pause_stops_the_guest(bench: Bench) -> None:
    """A paused guest answers nothing, and then goes on."""
    vm = bench.launch(bench.config())
    monitor, memory = connect(vm)
    try:
        vm.pause()
        assert vm.state() == "paused", f"it is {vm.state()!r} when paused"
        vm.resume()
        assert vm.state() == "running", f"it is {vm.state()!r} when resumed"
        assert monitor.read_memory(0x100000, 4), "the guest is gone after a pause"
    finally:
        memory.close()


def reset_starts_the_guest_anew(bench: Bench) -> None:
    """The guest greets again, and its memory is found again."""
    vm = bench.launch(bench.config())
    _, memory = connect(vm)
    memory.close()
    vm.reboot()
    vm.await_reset()
    _, memory = connect(vm)
    memory.close()


CHECKS: tuple[Callable[[Bench], None], ...] = (
    guest_answers_and_its_memory_is_the_guests,
    nics_are_those_that_were_asked_for,
    wrong_option_ends_it_with_its_words,
    nothing_is_left_behind,
    death_is_noticed,
    pause_stops_the_guest,
    reset_starts_the_guest_anew,
)
NEEDS: dict[Callable[[Bench], None], Ability] = {
    pause_stops_the_guest: Ability.PAUSE,
    reset_starts_the_guest_anew: Ability.REBOOT,
}
"""Those of an ability."""
FAULTS = (AssertionError, VmmError)
