"""The kill table: many blows, one after the other, and what came of them for people."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rich.table import Table

from harness.errors import BadInput
from harness.scratch import Scratch
from harness.soak.kill import TARGETS, Blow, plan, strike, unharmed
from harness.vmm.base import Vmm


def kill(
    number: int,
    vmms: Sequence[Vmm],
    arguments: Sequence[str],
    report: Path,
    seed: int,
    tell: Callable[[str], object],
    blows: list[Blow],
) -> None:
    """Strike so many runs; each is entered in `blows`. What a run said that shows a fault is kept in `report`.

    Each run is the later one of those before: what it is told until its own signal must be as it was at first. The
    last one is struck by nobody. Raises BadInput if the runs are of no use undisturbed.
    """
    rng = random.Random(seed)
    programs: Collection[Path] = {vmm.path.resolve() for vmm in vmms}
    scratch = Scratch()
    try:
        runs = scratch.folder()
        like = unharmed(arguments, runs, scratch.folder(), programs)
        tell(f"undisturbed: {len(like.verdicts)} verdicts in {like.seconds:.1f} s")
        for missing in (target for target in TARGETS if target not in like.targets):
            tell(f"note: no {missing} is ever there in these runs: it is not struck")
        for target, signal in plan(number, like.targets, rng):
            folder = scratch.folder()
            blow = strike(
                target,
                signal,
                like,
                arguments=arguments,
                report=runs,
                folder=folder,
                vmms=programs,
                rng=rng,
            )
            if blow is None:
                tell(f"note: {target}, {signal.name}: there was none to strike")
                continue
            blows.append(blow)
            tell(f"{len(blows)}/{number} {blow}")
            if blow.faults:
                _keep(folder, report / f"blow-{len(blows)}", str(blow))
            shutil.rmtree(folder, ignore_errors=True)
        again = unharmed(arguments, runs, scratch.folder(), programs)
        if again.verdicts != like.verdicts:
            differing = sorted({*again.verdicts.items()} ^ {*like.verdicts.items()})
            raise BadInput(f"the last run, which nobody struck, is not as the first: {differing}")
        tell("the last run, undisturbed, is as the first")
    finally:
        scratch.close()


def _keep(folder: Path, where: Path, words: str) -> None:
    where.mkdir(parents=True, exist_ok=True)
    (where / "what.txt").write_text(words + "\n")
    for output in sorted(folder.glob("*/output.txt")):
        shutil.copy(output, where / f"output-{output.parent.name}.txt")


def kill_table(blows: Sequence[Blow]) -> Table:
    """A row for each target and signal."""
    grouped = defaultdict[tuple[str, str], list[Blow]](list)
    for blow in sorted(blows, key=lambda blow: (TARGETS.index(blow.target), blow.number.name)):
        grouped[blow.target, blow.number.name].append(blow)
    shown = Table("struck", "signal", "times", "nothing left after, s", "verdicts kept", "faults", box=None)
    for (target, name), group in grouped.items():
        times = [blow.gone_after for blow in group if blow.gone_after is not None]
        worst = f"at most {max(times):.2f}" if len(times) == len(group) else "NEVER"
        kept, faults = sum(blow.kept for blow in group), sum(bool(blow.faults) for blow in group)
        shown.add_row(target, name, str(len(group)), worst, str(kept), str(faults))
    return shown
