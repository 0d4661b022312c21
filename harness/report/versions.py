"""Versions that say less than they seem to: an incremental build may keep the version of the commit before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from harness.record.results import Run
from harness.report.history import History, day


def doubts(run: Run, history: History) -> Iterator[str]:
    """A sentence for each version that different files of this run, or of earlier ones, call their own."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for vmm in run.vmms:
        if vmm.sha256:
            found[vmm.kind, vmm.version].append(vmm.name)
    hashes = {vmm.name: vmm.sha256 for vmm in run.vmms}
    for (kind, version), names in found.items():
        if len({hashes[name] for name in names}) > 1:
            yield f"{' and '.join(names)} are different files and say the same version, {kind} {version}: is one stale?"
    for vmm in run.vmms:
        if (started := history.other_bytes(vmm)) is not None:
            when = day((started, ""))
            yield f"{vmm.name} says {vmm.version}, as another file did in the run of {when}: is the version stale?"
