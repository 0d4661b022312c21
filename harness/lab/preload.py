"""What a run in the lab would else import itself: Python is many times slower there, and imports take most of it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import sys

import pytest

MODULES = (
    "harness.plugin",
    "harness.lab.worker",
    "paramiko",
    "pyroute2",
    "scapy.layers.inet",
)
"""The suite, and what it imports at first use."""
OWN = "harness"


def preload() -> None:
    """Import it all, in this process. What a fork of it then writes to memory is its own."""
    for name in MODULES:
        importlib.import_module(name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(["--version"])  # it imports its own parts when it is first run
    gc.collect()
    gc.freeze()


def forget() -> None:
    """Drop the harness's modules, so that the next import reads them anew."""
    for name in [name for name in sys.modules if name == OWN or name.startswith(f"{OWN}.")]:
        del sys.modules[name]
