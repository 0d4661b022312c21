"""The verdicts that a run has told its user, read from what pytest prints with -v."""

from __future__ import annotations

import re

from harness.record.results import Result

_LINE = re.compile(
    r"^(?:\[gw\d+\] \[ *\d+%\] (?P<word>[A-Z]+) (?P<id>\S+::\S+)|(?P<id_alone>\S+::\S+) (?P<word_alone>[A-Z]+)\b)"
)
WORDS = {
    "PASSED": "pass",
    "FAILED": "fail",
    "SKIPPED": "skip",
    "XFAIL": "xfail",
    "XPASS": "xpass",
    "ERROR": "error",
}


def told(output: str) -> dict[str, str]:
    """Verdict by pytest's node id, of the tests that have ended."""
    found = {}
    for line in output.splitlines():
        if match := _LINE.match(line):
            word = match["word"] or match["word_alone"]
            if word in WORDS:
                found[match["id"] or match["id_alone"]] = WORDS[word]
    return found


def node_id(result: Result) -> str:
    """pytest's node id of a result: the VMM is the first of its parameters."""
    rest = result.variant.removeprefix("[").removesuffix("]")
    joined = "-".join(word for word in (result.vmm, rest) if word)
    return f"{result.origin}[{joined}]"
