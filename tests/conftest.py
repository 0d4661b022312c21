"""What tests of all parts share: the reference VMM, where it is installed, the probe guest's image, a network."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import Unavailable
from harness.guest.probe.image import build_image
from harness.host import namespace, tun
from harness.vmm.base import Vmm
from harness.vmm.find import QEMU_PROGRAM, identify

pytest_plugins = ("pytester", "tests.synthetic_runs")

ENTER = """
from harness.host import namespace
namespace.prepare()
namespace.enter()
"""
_libc = ctypes.CDLL(None, use_errno=True)

ENTER = """
from harness.host import namespace
namespace.prepare()
namespace.enter()
"""


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
        return build_image(root=cache)
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def own_network() -> Iterator[None]:
    """This process sees no network but its own while a module lasts. Other modules may need the one outside."""
    if not os.access(tun.DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"no permission for {tun.DEVICE}: run with sudo")
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        namespace.enter()
    except Unavailable as error:
        os.close(outside)
        pytest.skip(str(error))
    yield
    # the mount namespace cannot be left where another thread shares it: /sys stays as it is until the next entry
    assert _libc.setns(outside, 0) == 0, os.strerror(ctypes.get_errno())
    os.close(outside)
    namespace._entered = False


@pytest.fixture(scope="session")
def runnable() -> None:
    """Skips where the suite cannot run at all."""
    if not os.access(tun.DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"no permission for {tun.DEVICE}: run with sudo")
    tried = subprocess.run(
        [sys.executable, "-c", ENTER], capture_output=True, text=True, timeout=60 * PACE, check=False
    )
    if tried.returncode:
        pytest.skip(tried.stderr.splitlines()[-1])
