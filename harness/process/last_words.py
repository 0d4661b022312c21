"""What a program that ended says of its end: the line that tells why, among the many that do not."""

from __future__ import annotations

import re

PANICKED = "panicked at"
"""What Rust prints when a thread panics, behind the thread's name. The process may live on, and answer nothing."""
SECCOMP = "seccomp violation"
"""What VMMs that handle SIGSYS print before they end, be it with status 0."""

FORBIDDEN = "its own seccomp filter forbade one of its system calls"
"""How that is told."""

_CHAIN_ENDS = re.compile(r"^(Debug Info|Backtrace|stack backtrace)", re.IGNORECASE)
_LINK = re.compile(r"^\s+(\d+: )?(?P<words>\S.*)$")
_STAMP = re.compile(r"^\S+:\s+[\d.]+m?s: ")
"""cloud-hypervisor's name and the time in front of each line of its log."""
LONGEST = 400


def own_words(output: str) -> str:
    """What the program says of its end, in one line: a panic with its thread and message, a chain of errors, an
    assertion, or the last line that it calls an error. Empty if it says nothing of the kind.
    """
    lines = output.replace("\0", "").splitlines()
    for find in (_panic, _seccomp, _chain, _assertion, _error):
        if words := find(lines):
            return words[:LONGEST]
    return ""


def panic(output: str) -> str:
    """What a thread said that panicked: where, and in the next line why. Empty if none did."""
    return _panic(output.splitlines())


def _panic(lines: list[str]) -> str:
    for i, line in enumerate(lines):
        if PANICKED in line:
            return " ".join(part.strip() for part in lines[i : i + 2])
    return ""


def _seccomp(lines: list[str]) -> str:
    if any(SECCOMP in line for line in lines):
        return FORBIDDEN
    return ""


def _chain(lines: list[str]) -> str:
    """`Error: ...` and the causes below it, as Rust programs print them, from the outermost to the innermost."""
    at = next((i for i in reversed(range(len(lines))) if re.match(r"Error: |Error booting", lines[i])), None)
    if at is None:
        return ""
    head = re.sub(r"^Error: |Cloud Hypervisor exited with the following chain of errors:?", "", lines[at])
    found = [head.strip().rstrip(":")]
    for line in lines[at + 1 :]:
        link = _LINK.match(line)
        if link is None or _CHAIN_ENDS.match(line.strip()):
            break
        found.append(link["words"].strip())
    return ": ".join(dict.fromkeys(word for word in found if word))


def _assertion(lines: list[str]) -> str:
    return next((line.strip() for line in reversed(lines) if re.search(r"\bAssertion\b", line)), "")


def _error(lines: list[str]) -> str:
    """The last line of the log that is an error or fatal; of QEMU, the last that bears its name."""
    marks = re.compile(r"\bERROR[:\s]|\bFatal\b|\bfatal[: ]|^qemu\S*: ")
    return next((_STAMP.sub("", line).strip() for line in reversed(lines) if marks.search(line)), "")
