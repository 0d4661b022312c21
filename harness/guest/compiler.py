"""The host's C compiler, for what guests run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from harness.bounded import MIB, TooSlow, Unreadable, run
from harness.deadline import PACE, Deadline
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
        status, _, errors = run([compiler, *words], MIB, Deadline(PATIENCE))
    except Unreadable as error:
        raise Unavailable(f"{compiler}, which is to build {what}, {error}") from None
    except TooSlow:
        raise Unavailable(f"{compiler} did not build {what} within {PATIENCE * PACE:.0f} s") from None
    if status:
        raise Unavailable(f"{compiler} could not build {what}: {errors.strip()[-400:]}")
