"""harness.bisect.step with a reproducer that reads the binary instead of running it: its text is the answer."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.bisect import examine, step
from harness.bisect.plan import Outcome, Plan

ANSWERS: dict[str, Outcome] = {"good": "good", "bad": "bad"}


def read_answer(plan: Plan, binary: Path, folder: Path) -> tuple[Outcome, str]:
    text = binary.read_text().strip()
    (folder / examine.TEXT).write_text(f"this build is {text}\n")
    return ANSWERS.get(text, "unknown"), f"this build is {text}"


if __name__ == "__main__":
    examine._repro = read_answer
    sys.exit(step.main(Path(sys.argv[1])))
