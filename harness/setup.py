"""virtio-net-mq setup: the distribution's packages, by the script of the checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from harness.checkout import ROOT


def main(arguments: Sequence[str]) -> int:
    """Install them, or print the line that does. Returns the exit status."""
    return subprocess.run(
        ["bash", str(ROOT / "ci" / "setup"), "packages", *arguments], check=False
    ).returncode
