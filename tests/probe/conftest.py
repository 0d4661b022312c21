"""A simulated machine with one network device, and the driver under test bound to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.guest.probe.driver import ProbeDriver
from harness.guest.probe.net import VirtioNet
from tests.probe.machine import Machine
from tests.probe.simulated_net import SimulatedNet, net_function

MAC = "02:00:00:00:01:00"


@pytest.fixture
def device() -> SimulatedNet:
    """Four pairs, and nothing wrong with it."""
    return SimulatedNet(4, MAC)


@pytest.fixture
def machine(device: SimulatedNet) -> Iterator[Machine]:
    machine = Machine({(0, 3): net_function(device)})
    device.memory = machine.memory
    yield machine
    machine.close()


@pytest.fixture
def net(machine: Machine) -> VirtioNet:
    """The driver, bound and not started."""
    return VirtioNet(machine, MAC)


@pytest.fixture
def driver(net: VirtioNet) -> ProbeDriver:
    """The tests' common verbs over it, started: multiqueue negotiated, all receive rings filled."""
    driver = ProbeDriver(net)
    driver.start()
    return driver
