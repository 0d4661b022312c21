"""Issue 8306 as it was reported: UEFI firmware and iPXE use one pair of a NIC that is configured with several."""

from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.guest.firmware.files import FirmwareFiles, firmware_files
from harness.register.mark import requirement
from harness.testbed.network_boot import network_boot
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm

pytestmark = pytest.mark.drivers("firmware")


@pytest.fixture
def files(request: pytest.FixtureRequest, vmm: Vmm, driver: str) -> FirmwareFiles:
    """What the guest is made of. Skips where something is missing, with the way out."""
    own: Path | None = request.config.option.firmware
    try:
        return firmware_files(vmm, own)
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def boots(request: pytest.FixtureRequest) -> int:
    """How many times to boot."""
    return int(request.config.option.boots)


@pytest.mark.slow
@pytest.mark.issue_8306
@pytest.mark.issue_8307
@requirement("NET-FEAT-02", "NET-MQ-01", "NET-MQ-02")
def test_firmware_boots_over_the_network(testbed: Testbed, files: FirmwareFiles, boots: int) -> None:
    """It gets an address and a file, every time, and no frame goes to a pair other than the one that it uses."""
    outcomes = [network_boot(testbed, files, NicPlan(4)) for _ in range(boots)]
    for number, outcome in enumerate(outcomes, 1):
        boot = f"boot {number} of {boots}"
        assert outcome.fetched, f"{boot} should fetch its file: {outcome}"
        assert outcome.pairs == {0}, f"{boot} should have pair 0 alone: {outcome}"
        assert outcome.frames[0], f"{boot} should get frames on pair 0: {outcome}"
        assert not any(outcome.frames[1:]), f"{boot} should get frames on no other pair: {outcome}"
