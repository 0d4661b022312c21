"""Tells a GitHub repository of a change of the nightly verdict, in one issue, and is silent while nothing changes.

The last verdict is kept in the issue itself: no issue means that all was as expected.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from harness.bounded import MIB, TooSlow, Unreadable, run
from harness.deadline import PACE, Deadline
from harness.errors import BadInput, HarnessError, Unavailable
from harness.expected.baseline import masked
from harness.expected.compare import Kind

TITLE = "virtio-net multiqueue: the nightly verdict"
LABEL = "virtio-net-multiqueue"
GH_SECONDS = 60.0
GH_WORDS = 16 * MIB
BODY_LIMIT = 60_000
"""Characters; GitHub takes 65,536."""

WORDS = {0: "as expected", 1: "a regression", 2: "could not judge"}
GREEN = "0"
_MARK = re.compile(r"<!-- verdict: ([0-9a-f-]+) -->")
_RED = tuple(f"{kind.value.upper()} " for kind in (Kind.NEW_FAILURE, Kind.CHANGED))


def state(verdict: int, findings: str) -> str:
    """The verdict as what can be compared: the gate's exit status, and for a regression what is in it.

    Numbers do not count: they differ from night to night.
    """
    if verdict != 1:
        return str(verdict)
    red = sorted(masked(line) for line in findings.splitlines() if line.startswith(_RED))
    return f"1-{hashlib.sha256(chr(10).join(red).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Issue:
    """The newest issue of ours, open or not, and the verdict that it holds."""

    number: int
    open: bool
    state: str


class Action(Enum):
    """What a verdict asks for."""

    NOTHING = auto()
    OPEN = auto()
    UPDATE = auto()
    CLOSE = auto()


def decide(issue: Issue | None, now: str) -> Action:
    """What to do. An issue that a person closed stays closed until the verdict is another one."""
    if now == (issue.state if issue else GREEN):
        return Action.NOTHING
    if now == GREEN:
        return Action.CLOSE
    return Action.UPDATE if issue and issue.open else Action.OPEN


def body(verdict: int, findings: str, summary: str, url: str) -> str:
    """The issue's text, with the verdict in a comment that is not shown."""
    head = f"<!-- verdict: {state(verdict, findings)} -->\n**{WORDS[verdict]}**, see {url}\n"
    fence = "`" * 4
    text = f"{head}\n{fence}\n{findings.strip().replace(fence, '')}\n{fence}\n\n{summary}"
    return (
        text
        if len(text) <= BODY_LIMIT
        else text[:BODY_LIMIT] + "\n\n(cut; the whole of it is in the artefacts)\n"
    )


class GitHub:
    """The repository's issues through the gh program; it takes GH_TOKEN and GH_REPO from the environment."""

    def find(self) -> Issue | None:
        """The newest issue of ours."""
        listed = self._gh(
            "issue", "list", "--label", LABEL, "--state", "all", "--limit", "1", "--json", "number,state,body"
        )
        for plain in json.loads(listed):
            mark = _MARK.search(plain["body"])
            return Issue(plain["number"], plain["state"] == "OPEN", mark[1] if mark else "")
        return None

    def carry_out(self, action: Action, issue: Issue | None, verdict: int, text: str, url: str) -> None:
        """Open, update or close."""
        if action is Action.NOTHING:
            return
        if action is Action.OPEN:
            self._gh(
                "label", "create", LABEL, "--force", "--description", "virtio-net multiqueue, every night"
            )
            self._gh("issue", "create", "--title", TITLE, "--label", LABEL, "--body-file", "-", given=text)
        elif issue is not None:
            number = str(issue.number)
            self._gh("issue", "edit", number, "--body-file", "-", given=text)
            self._gh("issue", "comment", number, "--body", f"Now: {WORDS[verdict]}, see {url}")
            if action is Action.CLOSE and issue.open:
                self._gh("issue", "close", number)

    def _gh(self, *words: str, given: str = "") -> str:
        try:
            status, said, errors = run(["gh", *words], GH_WORDS, Deadline(GH_SECONDS), given=given)
        except FileNotFoundError:
            raise Unavailable("the program gh is missing: https://cli.github.com") from None
        except Unreadable as error:
            raise Unavailable(f"gh {' '.join(words[:2])} {error}") from None
        except TooSlow:
            raise Unavailable(
                f"gh {' '.join(words[:2])} did not end within {GH_SECONDS * PACE:.0f} s"
            ) from None
        if status:
            raise Unavailable(f"gh {' '.join(words[:2])} failed: {' '.join(errors.split())[:300]}")
        return said


def main(arguments: Sequence[str]) -> int:
    """Announce a verdict if it is another one. Returns the exit status: 0, or 2 if that failed."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.gate.announce", description="Tell of a change of the nightly verdict."
    )
    parser.add_argument("--verdict", type=int, required=True, choices=WORDS, help="the gate's exit status")
    parser.add_argument("--gate", type=Path, required=True, metavar="FILE", help="what the gate printed")
    parser.add_argument(
        "--summary", type=Path, required=True, metavar="FILE", help="the run's Markdown summary"
    )
    parser.add_argument("--url", required=True, help="where the report is")
    options = parser.parse_args(arguments)
    try:
        findings, summary = _text(options.gate), _text(options.summary)
        github = GitHub()
        issue = github.find()
        action = decide(issue, state(options.verdict, findings))
        text = body(options.verdict, findings, summary, options.url)
        github.carry_out(action, issue, options.verdict, text, options.url)
    except HarnessError as error:
        print(f"announce: {error}", file=sys.stderr)
        return 2
    print(f"announce: {action.name.lower()}")
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
