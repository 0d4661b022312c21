"""The command line of ci/bench."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.bench import Figures, growth, lab, linux, probe, snapshot, suite, vhost_user
from harness.checkout import ROOT
from harness.errors import HarnessError
from harness.host import namespace
from harness.program import Parser, at_dashes, called
from harness.scratch import Scratch
from harness.vmm.base import Vmm
from harness.vmm.find import find_vmms

FEWER = 4
"""How many times fewer the suite is run than other figures are taken."""


def table(figures: Figures) -> Table:
    """The figures for people."""
    shown = Table("figure", "vmm", "runs", "min", "median", "max", box=None)
    for (title, name), values in figures.items():
        numbers = (min(values), statistics.median(values), max(values))
        shown.add_row(title, name, str(len(values)), *(f"{number:,.2f}" for number in numbers))
    return shown


def _suite(
    against: Path | None, vmms: Sequence[Vmm], rounds: int, arguments: Sequence[str], scratch: Scratch
) -> int:
    trees = [ROOT, *([suite.checkout(against)] if against else [])]
    costs = suite.measure(trees, vmms, rounds, arguments, scratch)
    screen = Console(width=100)
    print(f"{len(set.union(*(set(cost.verdicts) for runs in costs.values() for cost in runs)))} tests")
    screen.print(suite.whole_table(costs))
    for tree, runs in costs.items():
        screen.print(f"\n{tree.name}, all processes together, medians:", suite.phase_table(runs))
    if against:
        these, others = costs.values()
        screen.print("", suite.ratio_table(these, others))
        for line in suite.differing(these, others):
            print(f"another verdict: {line}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = Parser("bench", description="Measures what the suite costs.")
    parser.add_argument(
        "--vmm", action="append", default=[], metavar="[NAME=]PATH", help="as the suite's --vmm"
    )
    parser.add_argument("--rounds", type=int, default=20, help="runs of each figure (default: 20)")
    instead = parser.add_mutually_exclusive_group()
    for option, figures_of, text in (
        ("--linux", linux, "measure Linux guests instead: minutes, and it needs the network"),
        ("--lab", lab, "measure the lab instead: it is ended first, and stays up afterwards"),
        ("--snapshot", snapshot, "measure cycles of snapshot and restore instead"),
        ("--growth", growth, "measure 1 to 64 VMs at once instead: time, memory and failures"),
        ("--vhost-user", vhost_user, "measure vhost-user instead, DPDK's testpmd too where it is installed"),
    ):
        instead.add_argument(
            option,
            dest="measure",
            action="store_const",
            const=figures_of.measure,
            default=probe.measure,
            help=text,
        )
    instead.add_argument(
        "--suite",
        action="store_true",
        help="measure runs of the suite instead, a quarter as many, and where their time goes; "
        "what follows -- is the suite's",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="with --suite: another checkout of this project, whose runs of the tests that both have take turns "
        "with those of this one",
    )
    ours, given = at_dashes(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(ours)
    if (options.against or given) and not options.suite:
        parser.error("--against and -- are for --suite")
    try:
        namespace.prepare()
        vmms = find_vmms(options.vmm)
        scratch = Scratch()
        try:
            if options.suite:
                return _suite(options.against, vmms, max(1, options.rounds // FEWER), given, scratch)
            figures = options.measure(vmms, options.rounds, scratch)
        finally:
            scratch.close()
    except HarnessError as error:
        print(f"{called('bench')}: {error}", file=sys.stderr)
        return 2
    Console(width=100).print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
