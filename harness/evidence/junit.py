"""What JUnit XML (`--junitxml`) says of a test beyond pass and fail: properties, and the bundle as an attachment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.record.results import Result

OF_THEIR_OWN = ("driver", "backend")
"""Parameters that have a property each."""
SECTION = "stdout: failure bundle"
"""pytest puts sections whose name begins so into a test case's <system-out>."""


def properties(result: Result) -> list[tuple[str, object]]:
    """The <properties> of a test case, by name; what is empty is left out."""
    others = (f"{name}={word}" for name, word in result.parameters.items() if name not in OF_THEIR_OWN)
    found = {
        "vmm": result.vmm,
        "version": result.version,
        "driver": result.driver,
        "backend": result.backend,
        "parameters": " ".join(others),
        "requirements": " ".join(result.requirements),
        "verdict": result.verdict.value,
        "witnesses": "disagree" if result.disagreement else "",
        "seed": result.seed,
        "lab": result.lab,
        "rerun": result.rerun,
    }
    return [(name, value) for name, value in found.items() if value not in (None, "")]


def annotate(
    item: pytest.Item,
    report: pytest.TestReport,
    result: Result,
    evidence: Path | None,
    more: Mapping[str, str],
) -> None:
    """Put them, and `more`, into the test's reports; `evidence` is the run's folder, under which its bundle lies.

    Jenkins (its plugin for attachments) and GitLab find `[[ATTACHMENT|PATH]]` in the output, relative to the
    workspace where the file is inside it.
    """
    told = [*properties(result), *more.items()]
    if not item.user_properties or result.verdict.is_bad:
        item.user_properties[:] = told  # pytest writes those of the last phase
    report.user_properties[:] = told
    if result.bundle and evidence is not None:
        archive = (evidence / f"{result.bundle}.tar.gz").absolute()
        here = Path.cwd()
        place = archive.relative_to(here) if archive.is_relative_to(here) else archive
        item.add_report_section("call", SECTION, f"[[ATTACHMENT|{place}]]")
