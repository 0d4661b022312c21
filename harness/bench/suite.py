"""What a run of the suite costs, whole and by phase, and how two revisions of this project compare.

The revisions are two checkouts, whose runs take turns: the ratio of two runs that follow one another is
looked at.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from harness.bench import phases
from harness.deadline import PACE
from harness.errors import BadInput
from harness.record.results import load
from harness.record.runs import folders
from harness.scratch import Scratch
from harness.vmm.base import Vmm

RUN_SECONDS = 3600.0
CHOSEN = ("-n", "auto", "-k", "probe", "-m", "not slow", "--lab", "never")
SPENT = ("wall", "harness", "VMM", "guest")


@dataclass
class Cost:
    """One run: seconds of wall clock and processor, seconds by phase and by who spent them, and its verdicts."""

    wall: float
    cpu: float
    verdicts: Mapping[tuple[str, str], str]
    phases: dict[str, dict[str, float]] = field(default_factory=dict)


def checkout(folder: Path) -> Path:
    """A checkout of this project that is set up. Raises BadInput."""
    if not (folder / "conformance" / "conftest.py").is_file():
        raise BadInput(f"--against {folder}: this is no checkout of this project")
    if not (folder / ".venv/bin/python").exists():
        raise BadInput(f"--against {folder}: it is not set up; run ci/setup there")
    return folder.absolute()


def _pytest(
    tree: Path, vmms: Sequence[Vmm], arguments: Sequence[str], folder: Path, **told: Path
) -> str | None:
    """Have a checkout's pytest do something; what it said if it did not do it, else None.

    Raises BadInput if it does not end.
    """
    shutil.copy(phases.__file__, folder / "mq_bench_phases.py")
    command = [str(tree / ".venv/bin/python"), "-m", "pytest", str(tree / "conformance")]
    command += ["-p", "mq_bench_phases", "-p", "no:cacheprovider", "-q"]
    command += [word for vmm in vmms for word in ("--vmm", vmm.option)]
    environment = {
        **os.environ,
        **{name: str(path) for name, path in told.items()},
        "PYTHONPATH": str(folder),
    }
    with (folder / "output.txt").open("w+b") as output:
        try:
            done = subprocess.run(
                [*command, *CHOSEN, *arguments],
                cwd=tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=RUN_SECONDS * PACE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BadInput(f"the suite of {tree} did not end") from None
        output.seek(0)
        return None if done.returncode in (0, 1) else output.read()[-2000:].decode(errors="replace")


def tests_of(tree: Path, vmms: Sequence[Vmm], arguments: Sequence[str], folder: Path) -> set[str]:
    """What a run would consist of. Raises BadInput if it cannot be told."""
    told = folder / "tests.txt"
    words = [*arguments, "--collect-only", "-n", "0", "--dist", "no"]
    said = _pytest(tree, vmms, words, folder, **{phases.TELL: told})
    if said is not None or not told.exists():
        raise BadInput(f"the suite of {tree} does not say what its tests are; it said:\n{said}")
    return set(told.read_text().splitlines())


def run(
    tree: Path, vmms: Sequence[Vmm], arguments: Sequence[str], folder: Path, report: Path, only: set[str]
) -> Cost:
    """Run these tests of a checkout once. Raises BadInput if it comes to no verdict.

    `report` keeps its results, by which its next run orders the tests.
    """
    told, chosen = folder / "phases", folder / "only.txt"
    told.mkdir()
    chosen.write_text("\n".join(only))
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = [*arguments, "--report", str(report)]
    said = _pytest(tree, vmms, words, folder, **{phases.FOLDER: told, phases.ONLY: chosen})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = folders(report)
    if said is not None or not found:
        raise BadInput(f"the suite of {tree} came to no verdict; it said:\n{said}")
    cost = Cost(
        time.monotonic() - begun,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        {(each.test, each.vmm): str(each.verdict) for each in load(found[0]).results},
    )
    for file in sorted(told.iterdir()):
        for line in map(json.loads, file.read_text().splitlines()):
            spent = cost.phases.setdefault(line["phase"], dict.fromkeys(SPENT, 0.0))
            for who in SPENT:
                spent[who] += line[who]
    return cost


def measure(
    trees: Sequence[Path], vmms: Sequence[Vmm], rounds: int, arguments: Sequence[str], scratch: Scratch
) -> dict[Path, list[Cost]]:
    """So many runs of each, in turns, of the tests that all of them have; the first of them in turns too."""
    only = set.intersection(*(tests_of(tree, vmms, arguments, scratch.folder()) for tree in trees))
    if not only:
        raise BadInput("there is no test that all of these checkouts have")
    reports = {tree: scratch.folder() for tree in trees}
    found = defaultdict[Path, list[Cost]](list)
    for number in range(rounds):
        for tree in trees if number % 2 == 0 else trees[::-1]:
            found[tree].append(run(tree, vmms, arguments, scratch.folder(), reports[tree], only))
    return {tree: found[tree] for tree in trees}


def phase_table(costs: Sequence[Cost]) -> Table:
    """Seconds of all processes together, by phase; waiting is the wall clock without the harness's own computing."""
    shown = Table("phase", "wall s", "harness s", "waiting s", "VMM s", "guest s", box=None)
    for phase in dict.fromkeys(name for cost in costs for name in cost.phases):
        middle = {
            who: statistics.median(cost.phases.get(phase, {}).get(who, 0.0) for cost in costs)
            for who in SPENT
        }
        waiting = max(0.0, middle["wall"] - middle["harness"])
        figures = (middle["wall"], middle["harness"], waiting, middle["VMM"], middle["guest"])
        shown.add_row(phase, *(f"{figure:.2f}" for figure in figures))
    return shown


def whole_table(costs: Mapping[Path, Sequence[Cost]]) -> Table:
    """Seconds of a whole run."""
    shown = Table("checkout", "figure", "runs", "min", "median", "max", box=None)
    for tree, runs in costs.items():
        for title, values in (
            ("wall s", [cost.wall for cost in runs]),
            ("processor s", [cost.cpu for cost in runs]),
        ):
            figures = (min(values), statistics.median(values), max(values))
            shown.add_row(tree.name, title, str(len(values)), *(f"{figure:.2f}" for figure in figures))
    return shown


def ratio_table(these: Sequence[Cost], others: Sequence[Cost]) -> Table:
    """These by the others, run by run."""
    shown = Table("these by those", "min", "median", "max", box=None)
    for title, ratios in (
        ("wall clock", [one.wall / other.wall for one, other in zip(these, others, strict=True)]),
        ("processor", [one.cpu / other.cpu for one, other in zip(these, others, strict=True)]),
    ):
        figures = (min(ratios), statistics.median(ratios), max(ratios))
        shown.add_row(title, *(f"{figure:.3f}" for figure in figures))
    return shown


def differing(these: Sequence[Cost], others: Sequence[Cost]) -> list[str]:
    """Tests that both have, and whose verdicts were never alike: what a comparison of speed must not hide."""
    lines = []
    ours, theirs = _seen(these), _seen(others)
    for key in sorted(ours.keys() & theirs.keys()):
        if not ours[key].keys() & theirs[key].keys():
            lines.append(f"{key[0]} on {key[1]}: {'/'.join(ours[key])} here, {'/'.join(theirs[key])} there")
    return lines


def _seen(costs: Sequence[Cost]) -> dict[tuple[str, str], Counter[str]]:
    found = defaultdict[tuple[str, str], Counter[str]](Counter)
    for cost in costs:
        for key, verdict in cost.verdicts.items():
            found[key][verdict] += 1
    return found
