"""What tests of all parts share: the reference VMM, where it is installed, and the probe guest's image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.guest.probe.image import build_image
from harness.vmm.base import Vmm
from harness.vmm.find import QEMU_PROGRAM, identify

pytest_plugins = ("pytester",)


@pytest.fixture(scope="session")
def qemu() -> Vmm:
    path = shutil.which(QEMU_PROGRAM)
    if path is None:
        pytest.skip(f"{QEMU_PROGRAM} is missing: apt-get install qemu-system-x86")
    return identify(None, Path(path))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own, empty at first."""
    return tmp_path_factory.mktemp("cache") / "virtio-net-mq"


@pytest.fixture(scope="session")
def image(cache: Path) -> Path:
    """The probe guest."""
    try:
        return build_image(cache)
    except Unavailable as error:
        pytest.skip(str(error))
