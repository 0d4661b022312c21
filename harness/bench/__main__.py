"""The command line of ci/bench."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.bench import Figures, lab, linux, probe, snapshot, vhost_user
from harness.errors import HarnessError
from harness.host import namespace
from harness.program import Parser, called
from harness.scratch import Scratch
from harness.vmm.find import find_vmms


def table(figures: Figures) -> Table:
    """The figures for people."""
    shown = Table("figure", "vmm", "runs", "min", "median", "max", box=None)
    for (title, name), values in figures.items():
        numbers = (min(values), statistics.median(values), max(values))
        shown.add_row(title, name, str(len(values)), *(f"{number:,.2f}" for number in numbers))
    return shown


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
    options = parser.parse_args(arguments)
    try:
        namespace.prepare()
        vmms = find_vmms(options.vmm)
        scratch = Scratch()
        try:
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
