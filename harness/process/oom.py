"""The kernel's OOM killer: who ends a process that did nothing wrong."""

from __future__ import annotations

from pathlib import Path


def oom_kills() -> int:
    """How many processes the kernel's OOM killer has killed since the machine started (/proc/vmstat)."""
    lines = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(lines.get("oom_kill", 0))
