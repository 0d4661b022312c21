"""What a failure is, in a few words that are the same whenever it happens again: for comparing runs.

Which witness said otherwise than was owed, or how the VMM ended, refused or fell silent; never how many, or where.
"""

from __future__ import annotations

import re
import traceback

from harness.errors import DeadlineExceeded, GuestError, VmmDied, VmmError
from harness.process.last_words import FORBIDDEN, PANICKED
from harness.record.pairs import named

SIGNAL = re.compile(r"died \((?:killed by )?(?P<how>[^)]*)\)")
_WITNESSES = {"guest": "the guest was told", "host": "the host holds", "frames": "frames landed on"}
_OWED = re.compile(r"^(?P<pairs>no pair|pairs? [\d, -]+?) should be active")
_ASTRAY = ("lost", "seen twice", "late")


def key_of(error: BaseException | None, reason: str) -> str:
    """The key of a failure with this reason; empty where there is none."""
    if died := SIGNAL.search(reason):
        words = " panicked" if PANICKED in reason else " seccomp" if FORBIDDEN in reason else ""
        return f"died: {died['how']}{words}"
    for words, key in (
        ("had no answer within", "silence"),
        ("had no answer: the device asks for a reset", "needs reset"),
        ("came back without an ack", "no ack"),
        ("was acknowledged, and should", "acknowledged"),
        ("was refused", "refused"),
    ):
        if words in reason:
            return key
    if isinstance(error, VmmDied):
        return "died"
    if isinstance(error, DeadlineExceeded):
        return f"late: {re.sub(r'[0-9]+', '#', reason.partition(' s for ')[2].partition(';')[0])}"
    if isinstance(error, GuestError | VmmError):
        return "guest" if isinstance(error, GuestError) else "refused"
    return _of_assertion(error, reason)


def _of_assertion(error: BaseException | None, reason: str) -> str:
    wrong = _wrong_witnesses(reason) + [word for word in _ASTRAY if re.search(rf"\d+ {word}\b", reason)]
    if wrong:
        return " ".join(wrong)
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    return frames[-1].line or "" if frames else ""


def _wrong_witnesses(reason: str) -> list[str]:
    """The witnesses whose word is not what the sentence says is owed."""
    if owed := _OWED.match(reason):
        rest = reason[owed.end() :]
        return [name for name, words in _WITNESSES.items() if _says_otherwise(rest, words, owed["pairs"])]
    if ": expected " in reason or reason.startswith("frames should land on "):
        return [name for name, words in _WITNESSES.items() if words in reason.partition(": expected")[0]] or (
            ["host"] if reason.startswith("the host counts") else []
        )
    return []


def _says_otherwise(rest: str, words: str, owed: str) -> bool:
    said = re.search(rf"{words} ({named([])}|pairs? [\d-]+(?:, [\d-]+)*)", rest)
    return said is not None and said[1] != owed
