"""The one architecture that this suite runs on."""

from __future__ import annotations

import platform

from harness.errors import Unavailable
from harness.program import called

ARCHITECTURE = "x86_64"
"""As uname(2) calls it. ci/setup says the same, for what runs before Python."""


def check_architecture() -> None:
    """Raise Unavailable on every other machine, in one sentence."""
    if (here := platform.machine()) != ARCHITECTURE:
        raise Unavailable(
            f"this machine is {here}, and the suite runs on x86-64 Linux only, for its guests, its system calls and "
            f"its VMs' command lines are of that architecture; results from elsewhere can be compared here: "
            f"{called('gate')} FOLDER"
        )
