"""The host's C compiler, for what guests run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from harness.deadline import PACE
from harness.errors import Unavailable

PATIENCE = 60.0


def compile_c(what: str, words: Sequence[str]) -> None:
    """Run the compiler with these words; `what` is the subject of a sentence about it.

    Raises Unavailable without a compiler, or with the compiler's own words if it fails.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable(f"{what} needs a C compiler: apt-get install gcc libc6-dev")
    try:
        done = subprocess.run(
            [compiler, *words], capture_output=True, text=True, timeout=PATIENCE * PACE, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{compiler} did not build {what} within {PATIENCE * PACE:.0f} s") from None
    if done.returncode:
        raise Unavailable(f"{compiler} could not build {what}: {done.stderr.strip()[-400:]}")
