"""Making fake VMMs, and looking for what they leave behind."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

FAKE = Path(__file__).with_name("fake_vmm.py")


def make_fake(folder: Path, behaviour: str) -> Path:
    """An executable in `folder` that behaves so; tests/vmm/fake_vmm.py says what there is."""
    path = folder / behaviour
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -SE {FAKE} {behaviour} {path} "$@"\n')
    path.chmod(0o755)
    return path


def processes_naming(text: str) -> list[str]:
    """Command lines of the living processes, our own left out, that hold `text`."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone meanwhile
        if text in line:
            found.append(line)
    return found


def said(log: str, what: str) -> Any:
    """What a fake VMM reported of itself: its `arguments` or its `environment`."""
    (line,) = [line for line in log.splitlines() if line.startswith(f"{what}: ")]
    return json.loads(line.removeprefix(f"{what}: "))
