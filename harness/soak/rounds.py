"""Undisturbed runs in changing order, with changing workers and load, for a time or a number."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from harness.errors import BadInput
from harness.scratch import Scratch
from harness.soak import order
from harness.soak.flips import Flips
from harness.soak.load import load
from harness.soak.run import ObservedRun

RUN_SECONDS = 3600.0
"""Longer than any run of the suite takes here: one that takes more hangs."""
TREND = "soak.jsonl"
"""The file that gets a line for each run, of earlier soaks too."""


@dataclass(frozen=True)
class Round:
    """One run of a soak."""

    number: int
    workers: str
    load: int
    order: int
    """What its order comes from."""
    begun: float
    """time.time()."""
    seconds: float
    verdicts: dict[str, int]
    left: tuple[str, ...]

    def __str__(self) -> str:
        said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        way = f"{self.workers} workers, load {self.load}, order {self.order}"
        line = f"run {self.number}: {way}, {self.seconds:.1f} s: {said}"
        return "\n".join([line, *(f"    LEFT: {what}" for what in self.left)])


@dataclass(frozen=True)
class Ways:
    """What is drawn from for each run."""

    workers: Sequence[str]
    loads: Sequence[int]
    arguments: Sequence[str]


def soak(
    ways: Ways,
    goes_on: Callable[[int], bool],
    flips: Flips,
    report: Path,
    seed: int,
    tell: Callable[[str], object],
    rounds: list[Round],
) -> None:
    """Run while `goes_on` says so of the number of runs that were made; each is entered in `rounds`.

    Raises BadInput if one comes to no verdict.
    """
    rng = random.Random(seed)
    report.mkdir(parents=True, exist_ok=True)
    scratch = Scratch()
    try:
        while goes_on(len(rounds)):
            folder = scratch.folder()
            made = _round(len(rounds) + 1, ways, flips, report, folder, rng)
            shutil.rmtree(folder, ignore_errors=True)
            rounds.append(made)
            with (report / TREND).open("a") as file:
                file.write(json.dumps(asdict(made)) + "\n")
            new = sum(flip.is_new for flip in flips.flips())
            tell(f"{made}; flips by now: {len(flips.flips())}, {new} NEW")
    finally:
        scratch.close()


def _round(number: int, ways: Ways, flips: Flips, report: Path, folder: Path, rng: random.Random) -> Round:
    workers, busy, chosen = rng.choice(ways.workers), rng.choice(ways.loads), rng.randrange(1 << 32)
    arguments = [*ways.arguments, "-n", workers, "-p", order.__name__]
    begun = time.time()
    with load(busy), ObservedRun(arguments, report, folder, {order.SEED: str(chosen)}) as run:
        ended = run.wait(RUN_SECONDS)
        seconds = time.monotonic() - run.begun
        found = run.found()
        if not ended or run.status not in (0, 1) or found is None:
            raise BadInput(f"run {number} came to no verdict; it said:\n{run.said()[-2000:]}")
        left = tuple(run.await_nothing_left())
    flips.add(found)
    verdicts = dict(Counter(str(result.verdict) for result in found.results))
    return Round(number, workers, busy, chosen, begun, seconds, verdicts, left)


def trend(rounds: Sequence[Round]) -> Table:
    """Seconds by load and workers, and whether they grow in the course of the soak."""
    grouped = defaultdict[tuple[int, str], list[Round]](list)
    for each in rounds:
        grouped[each.load, each.workers].append(each)
    shown = Table(
        "load", "workers", "runs", "min s", "median s", "max s", "first half", "second half", box=None
    )
    for (busy, workers), group in sorted(grouped.items()):
        seconds = [each.seconds for each in group]
        halves = seconds[: len(seconds) // 2], seconds[len(seconds) // 2 :]
        medians = [f"{statistics.median(half):.1f}" if half else "-" for half in halves]
        figures = [min(seconds), statistics.median(seconds), max(seconds)]
        shown.add_row(str(busy), workers, str(len(group)), *(f"{figure:.1f}" for figure in figures), *medians)
    return shown
