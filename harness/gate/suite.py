"""The whole suite on several builds, for those who compare them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.deadline import PACE
from harness.errors import BadInput, HarnessError
from harness.invocation import words
from harness.process.tether import run_tethered
from harness.record.results import Run, load
from harness.record.runs import folders
from harness.vmm.find import from_anywhere

SUITE_SECONDS = 2 * 3600 * PACE
"""Longer than any run of the suite: a run that takes more hangs."""


def run_suite(
    vmms: Sequence[str], report: Path, arguments: Sequence[str] = (), *, output: int | None = None
) -> Run:
    """Run the suite on these VMMs, NAME=PATH, and write its report. What it says is shown, or goes to `output`.

    `arguments` are pytest's. Raises BadInput if it came to no end.
    """
    before = folders(report)[:1]
    # the report has the failures, in order; here they would bury the verdict
    command = words(["--brief", "--report", str(report), *arguments])
    for vmm in vmms:
        name, _, place = vmm.partition("=")
        command += ["--vmm", f"{name}={from_anywhere(place)}"]
    try:
        ended = run_tethered(command, within=SUITE_SECONDS, stdout=output)
    except subprocess.TimeoutExpired:
        raise BadInput(f"the suite did not end within {SUITE_SECONDS:.0f} s") from None
    if ended.returncode not in (0, 1):
        raise BadInput(f"the suite came to no verdict: pytest ended with exit status {ended.returncode}")
    if folders(report)[:1] == before:
        raise BadInput(f"the suite left no new results in {report}")
    return load(folders(report)[0])


def write_report(results: Path, report: Path, history: Sequence[Path] = ()) -> None:
    """The HTML report of a run, on top of the folder, for whoever comes in the morning; no verdict depends on it."""
    from harness.report.html import PAGE, write_html  # slow to import, and comparing needs none

    try:
        write_html(results, report / PAGE, history)
    except HarnessError as error:
        print(f"gate: no HTML report: {error}", file=sys.stderr)
    else:
        print(f"gate: report in {report / PAGE}", file=sys.stderr)
