"""Finding the device: configuration space by ports, bridges, BARs and capabilities."""

from __future__ import annotations

from itertools import islice

import pytest

from harness.errors import GuestError
from harness.guest.probe import pci
from harness.guest.probe.device import QueueFacts, VirtioDevice
from harness.guest.probe.features import MULTIQUEUE
from harness.guest.probe.net import find_net
from harness.guest.probe.pci import Function, Pci
from harness.guest.probe.transport import Structure
from tests.probe.machine import Machine, PciBridge, PciFunction
from tests.probe.simulated_net import NOTIFY, SimulatedNet, net_function

NET = Function(0, 3)
HIGH = 0x3FFFFF800000
OTHER = "02:00:00:00:01:07"


def test_scan_goes_behind_bridges() -> None:
    inner = PciFunction(0x1AF4, 0x1041)
    machine = Machine(
        {(0, 0): PciFunction(0x8086, 1), (0, 2): PciBridge(1), (1, 4): PciBridge(2), (2, 9): inner}
    )
    found = [str(function) for function, _ in pci.scan(machine)]
    assert found == ["00:00.0", "00:02.0", "01:04.0", "02:09.0"]


@pytest.mark.parametrize("secondary", [0, 1])
def test_scan_ends_on_bridges_that_lead_nowhere_or_back(secondary: int) -> None:
    machine = Machine({(0, 1): PciBridge(1), (1, 1): PciBridge(secondary)})
    assert len(list(pci.scan(machine))) == 2


@pytest.mark.parametrize("width", [1, 2, 4])
def test_configuration_writes_touch_their_bytes_only(machine: Machine, width: int) -> None:
    before = pci.read_config(machine, NET)
    pci.write_config(machine, NET, 0x4C - width, width, (1 << 8 * width) - 1)
    after = pci.read_config(machine, NET)
    assert after[0x4C - width : 0x4C] == b"\xff" * width
    assert after[: 0x4C - width] + after[0x4C:] == before[: 0x4C - width] + before[0x4C:]


def test_device_is_enabled_for_memory_and_dma_without_interrupts(machine: Machine) -> None:
    Pci(machine, NET)
    assert pci.read_config(machine, NET, 4, 4)[:2] == bytes([0b110, 0b100])


def test_structures_are_found_behind_the_bar(machine: Machine) -> None:
    regions = Pci(machine, NET).regions
    assert regions[Structure.COMMON] == pci.Region(0xE0000000, 56)
    assert regions[Structure.NOTIFY] == pci.Region(0xE0000000 + NOTIFY, 0x1000, 4)


def test_queues_are_counted_and_have_a_doorbell_each(machine: Machine) -> None:
    device = VirtioDevice(machine, Pci(machine, NET))
    assert device.num_queues == 9
    device.negotiate(MULTIQUEUE)
    assert device.accepted() == MULTIQUEUE
    assert device.queue_facts([7, 99]) == [QueueFacts(256, 7, False), QueueFacts(0, 99, False)]


def test_size_of_the_vector_table_is_read(machine: Machine) -> None:
    assert Pci(machine, NET).msix_vectors == 10
    assert pci.msix_vectors(bytes(256)) == 0


def test_registers_above_4_gib_are_mapped_first(device: SimulatedNet) -> None:
    machine = Machine({(0, 3): net_function(device, HIGH)})
    virtio = VirtioDevice(machine, Pci(machine, NET))
    assert virtio.status == 0
    machine.mapped.clear()
    with pytest.raises(GuestError, match="page fault at 0x3fffff8"):
        _ = virtio.status


def test_registers_below_4_gib_need_no_mapping(machine: Machine) -> None:
    assert VirtioDevice(machine, Pci(machine, NET)).status == 0
    assert not machine.mapped


def test_function_on_the_root_bus_without_an_address_gets_one(device: SimulatedNet) -> None:
    """Each device a part of its own: some VMMs leave them all at 0, where one hides the other."""
    machine = Machine({(0, 3): net_function(device, 0), (0, 4): net_function(device, 0)})
    found = [Pci(machine, Function(0, slot)).regions[Structure.COMMON].address for slot in (3, 4)]
    assert found == [pci.ROOT_WINDOW + 3 * pci.ROOT_PART, pci.ROOT_WINDOW + 4 * pci.ROOT_PART]


def test_function_on_the_root_bus_that_was_placed_is_left_as_it_is(machine: Machine) -> None:
    before = pci.read_config(machine, NET)
    assert pci.place_bars(machine, NET) == before


def test_bar_of_32_bits_leaves_the_next_one_alone() -> None:
    config = bytearray(256)
    config[0x10:0x18] = (0xE0000000).to_bytes(4, "little") + (0xD0000000).to_bytes(4, "little")
    assert pci.bar_address(bytes(config), 0) == 0xE0000000
    assert pci.bar_address(bytes(config), 1) == 0xD0000000


def test_first_structure_of_a_kind_counts(machine: Machine) -> None:
    second = bytes([16, 1, 0, 0, 0, 0, 0]) + bytes(8)
    machine.functions[0, 3].add_capability(9, second)
    assert Pci(machine, NET).regions[Structure.COMMON].length == 56


def test_missing_structures_are_named() -> None:
    with pytest.raises(
        GuestError, match="lacks virtio configuration structures: COMMON, NOTIFY, ISR, DEVICE"
    ):
        pci.virtio_regions(bytes(256))


def test_capability_list_that_runs_in_a_circle_ends(machine: Machine) -> None:
    config = machine.functions[0, 3].config
    whole = list(pci.capabilities(bytes(config)))
    config[whole[-1][0] + 1] = whole[0][0]
    assert list(islice(pci.capabilities(bytes(config)), 100)) == whole


def test_device_is_chosen_by_its_mac(device: SimulatedNet) -> None:
    other = net_function(SimulatedNet(1, OTHER), 0xF0000000)
    machine = Machine({(0, 1): PciFunction(0x1AF4, 0x1042), (0, 3): net_function(device), (0, 5): other})
    assert str(find_net(machine, OTHER).transport) == "00:05.0"


def test_missing_mac_names_those_that_are_there(machine: Machine) -> None:
    with pytest.raises(GuestError, match=rf"MAC {OTHER}; it sees \['00:03.0 02:00:00:00:01:00'\]"):
        find_net(machine, OTHER)


def test_machine_without_a_network_device_says_so() -> None:
    with pytest.raises(GuestError, match="it sees none"):
        find_net(Machine({(0, 0): PciFunction(0x8086, 1)}), OTHER)
