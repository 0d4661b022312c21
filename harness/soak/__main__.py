"""The command line of ci/soak."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console

from harness.errors import BadInput, HarnessError
from harness.expected.baseline import FOLDER, load_baselines
from harness.expected.quarantine import FILE, load_quarantine
from harness.interrupts import as_interrupts
from harness.program import Parser, at_dashes, called
from harness.soak.flips import Flips
from harness.soak.kill import Blow
from harness.soak.kill_table import kill, kill_table
from harness.soak.rounds import Round, Ways, soak, trend
from harness.vmm.base import Vmm
from harness.vmm.find import find_vmms

EPILOG = f"""\
examples:
  %(prog)s --kill 200 --vmm ./cloud-hypervisor --vmm qemu-system-x86_64
  %(prog)s --runs 200 --load 0,20 --vmm ./cloud-hypervisor
  %(prog)s --hours 8 --workers 2,auto -- -k tap              what follows -- is the suite's

--kill sends TERM, KILL, HUP or INT to the main process, a worker, a VMM, a back end, or all of them at once, at a
random moment of a small run. Then nothing may be left within 5 s (processes, network namespaces with their taps,
sockets, temporary folders), every verdict that was told must be in the results, and the next run must be unharmed.

Without it the runs are undisturbed, in another order each time. Every test whose verdict is not always the same is
named, with the share of each outcome. Those that a baseline calls a race are known, and those in
{FILE.name} until the day that it gives; nothing is tried again.

exit status: 0 nothing was found; 1 something was; 2 it could not be found out.
"""
SMALL = (
    "conformance/mq/test_pairs_set.py",
    "conformance/mq/test_default.py",
    "conformance/vhost_user/test_counts.py",
    "conformance/vhost_user/test_real_back_ends.py::test_testpmd_serves_the_first_pair_before_any_command",
    "conformance/vhost_user/test_real_back_ends.py::test_vhost_user_net_sends_on_active_pairs",
)
"""What a run of --kill is about: some seconds, each kind of process. Back ends make their tests slow ones."""
CHOSEN = ("-k", "probe", "--lab", "never")
UNDISTURBED = (*CHOSEN, "-m", "not slow")


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers, such as 0,20") from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser("soak", description="Run the suite many times, struck or undisturbed.", epilog=EPILOG)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--kill", type=int, metavar="N", help="strike N runs by signals")
    how.add_argument("--runs", type=int, metavar="N", help="make N undisturbed runs")
    how.add_argument("--hours", type=float, metavar="H", help="make undisturbed runs for H hours")
    parser.add_argument(
        "--vmm", action="append", default=[], metavar="[NAME=]PATH", help="as the suite's --vmm"
    )
    parser.add_argument(
        "--workers", default="1,2,auto", metavar="LIST", help="counts of workers to draw from (1,2,auto)"
    )
    parser.add_argument(
        "--load",
        type=_numbers,
        default=[0],
        metavar="LIST",
        help="counts of busy processes beside a run, to draw from (0)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="repeats what an earlier soak has drawn")
    parser.add_argument(
        "--quarantine",
        type=Path,
        default=FILE,
        metavar="FILE",
        help="known flakes (conformance/quarantine.toml)",
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report/soak"), metavar="DIR", help="evidence (report/soak)"
    )
    return parser


def _tell(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for. Returns the exit status."""
    ours, suite = at_dashes(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(ours)
    as_interrupts()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore it, and hand that on
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    _tell(f"seed: {seed}")
    try:
        vmms = find_vmms(options.vmm)
        builds = [word for vmm in vmms for word in ("--vmm", vmm.option)]
        if options.kill is not None:
            return _kill(options, vmms, [*builds, *CHOSEN, "-n", "2", *suite], seed)
        return _soak(options, [*builds, *UNDISTURBED, *suite], seed)
    except HarnessError as error:
        print(f"{called('soak')}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 2


def _kill(options: argparse.Namespace, vmms: Sequence[Vmm], suite: Sequence[str], seed: int) -> int:
    if options.kill < 1:
        raise BadInput("--kill: give a number from 1 on")
    blows: list[Blow] = []
    ended = _told_when_stopped(
        lambda: kill(options.kill, vmms, [*SMALL, *suite], options.report, seed, _tell, blows)
    )
    Console(width=100).print(kill_table(blows))
    faulty = sum(bool(blow.faults) for blow in blows)
    _tell(f"{len(blows)} signals, {faulty} with faults" + (f": {options.report}" if faulty else ""))
    return 1 if faulty else ended


def _told_when_stopped(work: Callable[[], object]) -> int:
    """Do it; if it is stopped, what was found until then is shown all the same. The status, if nothing was found."""
    try:
        work()
    except KeyboardInterrupt:
        print(f"{called('soak')}: stopped", file=sys.stderr)
        return 2
    return 0


def _soak(options: argparse.Namespace, suite: Sequence[str], seed: int) -> int:
    flips = Flips(load_baselines(FOLDER), load_quarantine(options.quarantine), date.today())
    end = None if options.hours is None else time.monotonic() + 3600 * options.hours

    def goes_on(made: int) -> bool:
        return made < int(options.runs) if end is None else time.monotonic() < end

    ways = Ways(options.workers.split(","), options.load, suite)
    rounds: list[Round] = []
    ended = _told_when_stopped(lambda: soak(ways, goes_on, flips, options.report, seed, _tell, rounds))
    Console(width=100).print(trend(rounds))
    found = flips.flips()
    for flip in found:
        _tell(str(flip))
    new, left = sum(flip.is_new for flip in found), sum(bool(each.left) for each in rounds)
    _tell(f"{len(rounds)} runs, {len(found)} flips, {new} NEW; {left} runs left something")
    return 1 if new or left else ended


if __name__ == "__main__":
    sys.exit(main())
