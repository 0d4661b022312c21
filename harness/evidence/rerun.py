"""The shell line that repeats one test on one build, as it ran."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest

from harness.run.session import Session
from harness.vmm.base import Vmm

_OF_THE_TEST: dict[str, object] = {
    "--guest-kernel": None,
    "--guest-image": None,
    "--firmware": None,
    "--backend-binary": [],
    "--mutant": None,
    "--trace-syscalls": False,
    "--steps": 400,
    "--boots": 1,
}
"""The suite's options that change what a test does, with their defaults."""


def options_of(config: pytest.Config) -> tuple[str, ...]:
    """Those that this run was given, as words of a command line."""
    words: list[str] = []
    for option, default in _OF_THE_TEST.items():
        value = getattr(config.option, option.removeprefix("--").replace("-", "_"))
        if value == default:
            continue
        if value is True:
            words.append(option)
        else:
            for each in value if isinstance(value, list) else [value]:
                words += [option, str(each)]
    return tuple(words)


def rerun_line(
    nodeid: str, vmm: Vmm, session: Session, writer: str | None = None, options: Sequence[str] = ()
) -> str:
    """The line, with the same random choices and the `options` of the run.

    `writer` names the other build that the test is crossed with.
    """
    words = ["pytest", nodeid, "--vmm", f"{vmm.name}={vmm.path}"]
    if writer is not None and writer != vmm.name:
        other = session.vmm(writer)
        words += ["--legacy-vmm" if other in session.legacy else "--vmm", f"{other.name}={other.path}"]
    return shlex.join([*words, "--seed", str(session.seed), *options])
