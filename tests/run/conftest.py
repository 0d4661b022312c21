"""Suites of a test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import tun
from tests.run.suite import Suite

ENTER = """
from harness.host import namespace
namespace.prepare()
namespace.enter()
"""


@pytest.fixture(scope="session")
def runnable() -> None:
    """Skips where the suite cannot run at all."""
    if not os.access(tun.DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"no permission for {tun.DEVICE}: run with sudo")
    tried = subprocess.run(
        [sys.executable, "-c", ENTER], capture_output=True, text=True, timeout=60, check=False
    )
    if tried.returncode:
        pytest.skip(tried.stderr.splitlines()[-1])


@pytest.fixture
def suite(tmp_path: Path, image: Path, runnable: None) -> Suite:
    return Suite(tmp_path, image)
