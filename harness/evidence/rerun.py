"""The shell line that repeats one test on one build, as it ran."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.program import called
from harness.run.session import Session
from harness.vmm.base import Vmm


def rerun_line(
    nodeid: str, vmm: Vmm, session: Session, writer: str | None = None, options: Sequence[str] = ()
) -> str:
    """The line, with the same random choices and the `options` of the run.

    `writer` names the other build that the test is crossed with. The command works from the checkout's root, or with
    a wheel from anywhere, and needs no environment to be active.
    """
    words = [*called("conformance").split(), nodeid, "--vmm", f"{vmm.name}={vmm.path}"]
    if writer is not None and writer != vmm.name:
        other = session.vmm(writer)
        words += ["--legacy-vmm" if other in session.legacy else "--vmm", f"{other.name}={other.path}"]
    return shlex.join([*words, "--seed", str(session.seed), *options])
