"""ci/merge: puts the shards of a run together again, and checks that they are the whole of it."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import BadInput, HarnessError, Unavailable
from harness.program import Parser, called
from harness.record.results import Run, bundle_folder, load
from harness.record.store import RunStore
from harness.report.matrix import matrix_text


def merge(shards: Mapping[str, Run]) -> Run:
    """One run from its shards; the keys say where each came from, for errors.

    Where a shard is missing the run is not complete, and never taken for the whole suite. Raises BadInput if the
    shards are not of one run: of other tests, other builds, or the same share twice.
    """
    numbers: dict[int, str] = {}
    first_place, first = next(iter(shards.items()))
    for place, run in shards.items():
        if run.shard is None:
            raise BadInput(f"{place} is no shard: it was run without --shard")
        if first.shard is None or (run.shard.of, run.shard.tests, run.shard.digest) != (
            first.shard.of,
            first.shard.tests,
            first.shard.digest,
        ):
            raise BadInput(f"{place} and {first_place} are shards of different suites")
        if _builds(run) != _builds(first):
            raise BadInput(f"{place} and {first_place} judged different builds")
        if run.shard.number in numbers:
            raise BadInput(
                f"{place} and {numbers[run.shard.number]} are the same shard, number {run.shard.number}"
            )
        numbers[run.shard.number] = place
    assert first.shard is not None
    runs = [shards[numbers[number]] for number in sorted(numbers)]
    return Run(
        host={f"shard {number}": shards[numbers[number]].host for number in sorted(numbers)},
        vmms=first.vmms,
        results=tuple(result for run in runs for result in run.results),
        started=min(run.started for run in runs),
        finished=max(run.finished for run in runs),
        command=(called("merge"), *shards),
        complete=len(runs) == first.shard.of and all(run.complete for run in runs),
        selected=first.shard.tests,
        narrowed=any(run.narrowed for run in runs),
        deselected=max(run.deselected for run in runs),
        not_run=tuple(entry for run in runs for entry in run.not_run),
    )


def missing(shards: Sequence[Run]) -> list[int]:
    """The numbers of the shards that are not there."""
    present = {run.shard.number for run in shards if run.shard}
    of = max(run.shard.of for run in shards if run.shard)
    return [number for number in range(1, of + 1) if number not in present]


def _builds(run: Run) -> list[tuple[str, str, str, str]]:
    return [(vmm.name, vmm.kind, vmm.version, vmm.sha256) for vmm in run.vmms]


def copy_bundles(shards: Mapping[str, Run], target: Path) -> None:
    """Take the failure bundles over into the folder of the merged run. Raises Unavailable if they do not fit."""
    for place, run in shards.items():
        for result in run.results:
            source = bundle_folder(Path(place), run, result)
            if source is None:
                continue
            archive = source.with_name(f"{source.name}.tar.gz")
            try:
                shutil.copytree(source, target / result.bundle, ignore=_no_files)
                if archive.is_file() and not archive.is_symlink():
                    shutil.copy2(archive, (target / result.bundle).parent)
            except (OSError, shutil.Error) as error:
                raise Unavailable(f"cannot copy {source}: {error}; the shards are untouched") from None


def _no_files(folder: str, names: list[str]) -> set[str]:
    """What is neither a file nor a folder: a link may lead anywhere, and a FIFO may never end."""
    modes = {name: (Path(folder) / name).lstat().st_mode for name in names}
    return {name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))}


def gather(places: Sequence[Path], report: Path) -> tuple[Run, list[int]]:
    """Merge what lies there, bundles too, into a report folder. The whole, and the numbers of missing shards.

    Raises BadInput or Unavailable.
    """
    shards = {str(path): load(path) for path in places}
    whole = merge(shards)
    store = RunStore(report)
    copy_bundles(shards, store.folder)
    store.save(whole)
    return whole, missing(list(shards.values()))


def main(arguments: Sequence[str]) -> int:
    """Merge, write, and show the matrix. Returns the exit status: 0, or 2 if shards are missing or do not fit."""
    parser = Parser(
        "merge",
        description="Put the shards of a run together.",
        epilog="exit status: 0 all shards are there; 2 some are missing (the others are merged), or do not fit",
    )
    parser.add_argument(
        "shards", nargs="+", type=Path, help="results.json of each shard, or a folder with one"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("report"),
        metavar="DIR",
        help="where the whole goes (default: report)",
    )
    options = parser.parse_args(arguments)
    try:
        whole, gone = gather(options.shards, options.report)
    except HarnessError as error:
        print(f"{called('merge')}: {error}", file=sys.stderr)
        return 2
    print(matrix_text(whole), end="")
    print(f"results: {options.report / 'results.json'}")
    if gone:
        print(
            f"{called('merge')}: not everything is there: shard {', '.join(map(str, gone))} is missing",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
