"""Runs that are struck by a signal: nothing may be left, no verdict lost, and the next run unharmed."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from harness.deadline import PACE
from harness.errors import BadInput
from harness.soak.processes import Process, by_role
from harness.soak.run import LOOK_EVERY, ObservedRun
from harness.soak.told import node_id, told

MAIN, WORKER, VMM, ALL = "main", "worker", "VMM", "all at once"
TARGETS = (MAIN, WORKER, VMM, "back end", ALL)
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT)
ENDS_RUN = (MAIN, ALL)
ATTEMPTS = 5
"""Times that a moment is drawn anew, if there was nothing to strike from then on until the run's end."""
RUN_SECONDS = 120.0
"""Longer than any of these runs takes: one that takes more hangs."""


@dataclass(frozen=True)
class Unharmed:
    """What the run is like that nobody strikes: its verdicts by node id, seconds, and what there is to strike."""

    verdicts: Mapping[str, str]
    seconds: float
    targets: Collection[str]


@dataclass(frozen=True)
class Blow:
    """What came of one signal."""

    target: str
    number: Signals
    at: float
    """Seconds after the run's beginning."""
    gone_after: float | None
    """Seconds until nothing was left: after the signal if it ends the run, else after the run's end. None: never."""
    kept: int
    """Verdicts that the user was told, and that the results have."""
    faults: tuple[str, ...]

    def __str__(self) -> str:
        gone = (
            "something is left" if self.gone_after is None else f"nothing left after {self.gone_after:.2f} s"
        )
        line = f"{self.target}, {self.number.name} at {self.at:.2f} s: {gone}, {self.kept} verdicts kept"
        return "\n".join([line, *(f"    FAULT: {fault}" for fault in self.faults)])


def unharmed(arguments: Sequence[str], report: Path, folder: Path, vmms: Collection[Path]) -> Unharmed:
    """Run once without a signal. Raises BadInput if that alone shows a fault, or judges nothing."""
    targets = {MAIN, ALL}
    with ObservedRun(arguments, report, folder, {}) as run:
        while run.status is None and time.monotonic() - run.begun < RUN_SECONDS * PACE:
            roles = by_role(run.look(), run.main, vmms)
            targets |= {role for role, found in roles.items() if found}
            run.wait(LOOK_EVERY)
        seconds = time.monotonic() - run.begun
        if run.status not in (0, 1):
            raise BadInput(f"the run comes to no verdict even undisturbed; it said:\n{run.said()[-2000:]}")
        if left := run.await_nothing_left():
            raise BadInput(f"the run leaves something even undisturbed: {'; '.join(left)}")
        return Unharmed(told(run.said()), seconds, targets)


def plan(number: int, targets: Collection[str], rng: random.Random) -> Iterator[tuple[str, Signals]]:
    """So many blows: each target by each signal as often as the others, in an order that `rng` chooses."""
    chosen = [target for target in TARGETS if target in targets]
    blows: list[tuple[str, Signals]] = []
    while len(blows) < number:
        block = list(itertools.product(chosen, SIGNALS))
        rng.shuffle(block)
        blows += block
    yield from blows[:number]


def strike(
    target: str,
    number: Signals,
    like: Unharmed,
    *,
    arguments: Sequence[str],
    report: Path,
    folder: Path,
    vmms: Collection[Path],
    rng: random.Random,
) -> Blow | None:
    """Run, strike at a moment that `rng` chooses, and look. None if there was nothing to strike."""
    for attempt in range(ATTEMPTS):
        with ObservedRun(arguments, report, folder / str(attempt), {}) as run:
            struck = _struck(run, target, number, rng.uniform(0, like.seconds), vmms, rng)
            if struck is not None:
                return _looked_at(run, target, number, *struck, like)
    return None


def _struck(
    run: ObservedRun, target: str, number: Signals, at: float, vmms: Collection[Path], rng: random.Random
) -> tuple[float, dict[str, str]] | None:
    """Strike as soon as there is something to strike from that moment on; when that was, and what was told by then."""
    while run.status is None:
        seen = run.look()
        if time.monotonic() - run.begun >= at and (pids := _chosen(seen, run.main, target, vmms, rng)):
            before = told(run.said())
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            return time.monotonic(), before
        run.wait(LOOK_EVERY)
    return None


def _chosen(
    seen: Collection[Process], main: int, target: str, vmms: Collection[Path], rng: random.Random
) -> list[int]:
    roles = by_role(seen, main, vmms)
    if target == ALL:
        return [pid for found in roles.values() for pid in found]
    return [rng.choice(roles[target])] if roles[target] else []


def _looked_at(
    run: ObservedRun, target: str, number: Signals, struck: float, before: Mapping[str, str], like: Unharmed
) -> Blow:
    faults = []
    ended = target in ENDS_RUN or run.wait(RUN_SECONDS)
    since = struck if target in ENDS_RUN else time.monotonic()
    left = run.await_nothing_left()
    gone_after = None if left else time.monotonic() - since
    faults += [f"left: {what}" for what in left]
    if not (ended and run.wait(RUN_SECONDS)):
        faults.append(f"the run had not ended after {RUN_SECONDS * PACE:.0f} s")
    faults += _ending(run.status, target, number)
    said = run.said()
    if "INTERNALERROR" in said:
        faults.append(
            f"an internal error: {next(line for line in said.splitlines() if 'INTERNALERROR' in line)}"
        )
    faults += [
        f"harmed by what came before: {test} is {verdict}, and was {like.verdicts.get(test, 'not there')}"
        for test, verdict in before.items()
        if verdict != like.verdicts.get(test)
    ]
    found = run.found()
    kept = {node_id(result) for result in found.results} if found else set[str]()
    faults += [f"lost: {test} was {verdict}" for test, verdict in told(said).items() if test not in kept]
    return Blow(target, number, struck - run.begun, gone_after, len(kept), tuple(faults))


def _ending(status: int | None, target: str, number: Signals) -> list[str]:
    """Whether it ended as it should: 0 and 1 by itself; struck at its main process, interrupted or by the signal.

    In words end a run that loses a worker which is just being started, with 3, and one that loses a VMM which is just
    asked for its version, with 4.
    """
    allowed = {0, 1} | ({2, -number} if target in ENDS_RUN else {WORKER: {3}, VMM: {4}}.get(target, set()))
    return [] if status in allowed or status is None else [f"it ended with exit status {status}"]
