"""Finding devices on MMIO, and what such a device does not have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.errors import GuestError, Lacks
from harness.guest.probe import mmio
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.mmio import Mmio
from harness.guest.probe.msix import PendingVectors, a_vector_each, has_vectors
from harness.guest.probe.net import find_net
from harness.guest.probe.transport import Common, Structure
from tests.probe.machine import Machine, Registers
from tests.probe.simulated_net import OnMmio, SimulatedNet

FIRST, OTHER = "02:00:00:00:01:00", "02:00:00:00:01:07"
SLOTS = [0xFEB00000 + 0x200 * number for number in range(4)]


class Nothing:
    """A slot without a device: it has a magic number, and DeviceID 0 (virtio 1.2, 4.2.2)."""

    def load(self, offset: int, width: int) -> int:
        return {0: 0x74726976, 4: 2}.get(offset, 0)

    def store(self, offset: int, width: int, value: int) -> None:
        raise AssertionError("nothing is to be written where there is no device")


@pytest.fixture
def bus() -> Iterator[Machine]:
    """Two network devices among four slots."""
    nets = [SimulatedNet(4, FIRST), SimulatedNet(2, OTHER)]
    there: list[Registers] = [Nothing(), OnMmio(nets[0]), Nothing(), OnMmio(nets[1])]
    machine = Machine({}, dict(zip(SLOTS, there, strict=True)))
    yield machine
    machine.close()


def test_device_is_chosen_by_its_mac(bus: Machine) -> None:
    assert str(find_net(bus, OTHER, slots=SLOTS).transport) == "0xfeb00600"


def test_missing_mac_names_those_that_are_there(bus: Machine) -> None:
    with pytest.raises(GuestError, match=r"it sees \['0xfeb00200 02:00:00:00:01:00', '0xfeb00600 "):
        find_net(bus, "02:00:00:00:01:09", slots=SLOTS)


def test_slots_are_looked_at_in_one_batch(bus: Machine) -> None:
    assert len(list(mmio.scan(bus, SLOTS))) == 2
    assert len(bus.batches) == 1


def test_legacy_device_is_named(bus: Machine) -> None:
    bus.mmio[SLOTS[0]] = OnMmio(SimulatedNet(), version=1)
    with pytest.raises(GuestError, match="0xfeb00000 has version 1 of MMIO, and not 2"):
        find_net(bus, OTHER, slots=SLOTS)


def test_what_is_no_virtio_is_passed_over(bus: Machine) -> None:
    bus.mmio.pop(SLOTS[0])
    bus.mmio[SLOTS[0]] = SimulatedNet()
    assert len(list(mmio.scan(bus, SLOTS))) == 2


@pytest.mark.parametrize("register", [Common.NUM_QUEUES, Common.QUEUE_VECTOR, Common.QUEUE_NOTIFY_OFFSET])
def test_register_that_mmio_does_not_have_skips_who_needs_it(register: Common) -> None:
    with pytest.raises(Lacks, match=f"MMIO has no {register.name} register"):
        Mmio(SLOTS[0]).get(register, 2)


def test_register_that_is_only_written_is_not_read() -> None:
    with pytest.raises(Lacks, match="no DRIVER_FEATURE register that can be read"):
        VirtioDevice(Machine({}), Mmio(SLOTS[0])).accepted()


@pytest.mark.parametrize(
    ("structure", "offset", "address"),
    [
        (Structure.DEVICE, 8, 0xFEB00108),
        (Structure.COMMON, Common.STATUS, 0xFEB00070),
        (Structure.COMMON, Common.QUEUE_DEVICE, 0xFEB000A0),
    ],
)
def test_addresses(structure: Structure, offset: int, address: int) -> None:
    assert Mmio(SLOTS[0]).at(structure, offset) == address


def test_there_are_no_vectors(bus: Machine) -> None:
    device = VirtioDevice(bus, Mmio(SLOTS[1]))
    assert not has_vectors(device)
    assert a_vector_each(device, [0, 1]) == {}
    with pytest.raises(Lacks, match="no MSI-X"):
        PendingVectors(device)
