"""What a run in the lab would else import itself: Python is many times slower there, and imports take most of it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import sys
from collections.abc import Callable

MODULES = (
    *("pytest", "paramiko", "pyroute2", "scapy.layers.inet", "httpx", "qemu.qmp", "rich.live"),
    *("harness.run.plugin", "harness.lab.plugin", "harness.lab.worker"),
)
"""The suite, and first what it imports, some of it at first use."""
OWN = "harness"


def preload(tell: Callable[[str], None]) -> None:
    """Import it all, in this process; `tell` is told what comes next. What a fork of it then writes is its own."""
    for name in MODULES:
        tell(name)
        importlib.import_module(name)
    tell("pytest's own parts")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        importlib.import_module("pytest").main(["--version"])
    gc.collect()
    gc.freeze()


def forget() -> None:
    """Drop the harness's modules, so that the next import reads them anew."""
    for name in [name for name in sys.modules if name == OWN or name.startswith(f"{OWN}.")]:
        del sys.modules[name]
