"""The whole suite on several builds, for those who compare them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.deadline import PACE
from harness.errors import BadInput, HarnessError
from harness.invocation import words
from harness.record.results import Run, load

SUITE_SECONDS = 2 * 3600 * PACE
"""Longer than any run of the suite: a run that takes more hangs."""
RELEASE = "release:"
"""How `--vmm` names a published build instead of a file."""


def run_suite(
    vmms: Sequence[str], report: Path, arguments: Sequence[str] = (), *, output: int | None = None
) -> Run:
    """Run the suite on these VMMs, NAME=PATH, and write its report. What it says is shown, or goes to `output`.

    `arguments` are pytest's. Raises BadInput if it came to no end.
    """
    before = _newest(report)
    # the report has the failures, in order; here they would bury the verdict
    command = words(["--brief", "--report", str(report), *arguments])
    for vmm in vmms:
        name, _, path = vmm.partition("=")
        command += ["--vmm", vmm if path.startswith(RELEASE) else f"{name}={Path(path).absolute()}"]
    try:
        ended = subprocess.run(command, stdout=output, timeout=SUITE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadInput(f"the suite did not end within {SUITE_SECONDS:.0f} s") from None
    if ended.returncode not in (0, 1):
        raise BadInput(f"the suite came to no verdict: pytest ended with exit status {ended.returncode}")
    if _newest(report) == before:
        raise BadInput(f"the suite left no new results in {report}")
    write_report(report)
    return load(report)


def write_report(report: Path, history: Sequence[Path] = ()) -> None:
    """The HTML report beside the results, for whoever comes in the morning. A verdict does not depend on it."""
    from harness.report.html import PAGE, write_html  # slow to import, and comparing needs none

    try:
        write_html(report, report / PAGE, history)
    except HarnessError as error:
        print(f"gate: no HTML report: {error}", file=sys.stderr)
    else:
        print(f"gate: report in {report / PAGE}", file=sys.stderr)


def _newest(report: Path) -> tuple[int, int] | None:
    try:
        status = (report / "results.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
