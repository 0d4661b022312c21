"""What the CPUs of the lab's machine are at, asked of QEMU before a machine that no longer answers is ended."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

PATIENCE = 5.0
"""Seconds that QEMU, which may hang itself, has for its answer."""
_CPU = re.compile(r"^CPU#(\d+)\s.*?\b[RE]IP=([0-9a-f]+).*?\bHLT=(\d)", re.DOTALL | re.MULTILINE)


async def registers(monitor: Path) -> str:
    """All registers of all CPUs as QEMU's `info registers -a` shows them; empty if it does not answer."""
    client = QMPClient("lab")
    with suppress(QMPError, OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await client.connect(str(monitor))
            said = await client.execute("human-monitor-command", {"command-line": "info registers -a"})
            await client.disconnect()
            return str(said)
    return ""


def in_short(said: str) -> str:
    """Where each CPU is, in a line: `CPU 0 at ffffffff81000000, CPU 1 halted at ...`."""
    cpus = _CPU.findall(said)
    return ", ".join(f"CPU {number} {'halted ' * (halted == '1')}at {at}" for number, at, halted in cpus)
