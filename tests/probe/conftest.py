"""A simulated machine with one network device, and the driver under test bound to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.net import VirtioNet
from tests.probe.machine import Machine
from tests.probe.simulated_net import OnMmio, SimulatedNet, net_function

MAC = "02:00:00:00:01:00"
SLOT = 0xFEB00200


@pytest.fixture
def device() -> SimulatedNet:
    """Four pairs, and nothing wrong with it."""
    return SimulatedNet(4, MAC)


@pytest.fixture
def machine(device: SimulatedNet) -> Iterator[Machine]:
    """The device is on PCI."""
    machine = Machine({(0, 3): net_function(device)})
    device.memory = machine.memory
    yield machine
    machine.close()


@pytest.fixture(params=["pci", "mmio"])
def net(request: pytest.FixtureRequest, machine: Machine, device: SimulatedNet) -> VirtioNet:
    """The driver, bound and not started: whatever it does, it does on both transports."""
    if request.param == "mmio":
        machine.functions.clear()
        machine.mmio[SLOT] = OnMmio(device)
    return VirtioNet(machine, MAC, slots=[SLOT] if request.param == "mmio" else [])


@pytest.fixture
def driver(net: VirtioNet) -> ProbeDriver:
    """The tests' common verbs over it, started: multiqueue negotiated, all receive rings filled."""
    driver = ProbeDriver(net)
    driver.start()
    return driver
