"""A Python prompt with a live NIC, its driver inside and its witnesses outside. Run as ci/shell."""

from __future__ import annotations

import argparse
import code
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from harness.errors import HarnessError
from harness.guest.linux.driver import LinuxDriver
from harness.guest.linux.image import linux_image
from harness.guest.probe.driver import ProbeDriver
from harness.host import namespace
from harness.host.flows import flows
from harness.host.real_backends.find import given_programs, lacking
from harness.program import Parser
from harness.record.table import pairs_table
from harness.scratch import Scratch
from harness.testbed.backends import BACKENDS
from harness.testbed.linux_machines import LinuxMachines
from harness.testbed.nic import Nic
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import NicPlan, Testbed
from harness.testbed.ways_in import ways_in
from harness.vmm.find import REFERENCE, find_vmms

EPILOG = """\
at the prompt:
  nic.set_pairs(2)                  VQ_PAIRS_SET, as a test does it
  nic.receive(flows(64))            64 flows to the guest: where each frame landed
  nic.witnesses()                   what guest, host and frames say
  pairs()                           the table of pairs; ways() how to get at the VM
  net.device.status                 the raw driver (probe guest); guest.run("ip link") (--linux)
Leaving it (Ctrl-D) removes everything.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "shell",
        description="Launch a VM with a multiqueue NIC, start its driver, and give a Python prompt with it.",
        epilog=EPILOG,
    )
    parser.add_argument("--vmm", default=REFERENCE, metavar="PATH", help="as for the suite (default: QEMU)")
    parser.add_argument("--pairs", type=int, default=4, metavar="N", help="configured pairs (default: 4)")
    parser.add_argument(
        "--backend", choices=tuple(BACKENDS), default="tap", help="network backend (default: tap)"
    )
    parser.add_argument(
        "--backend-binary", action="append", default=[], metavar="NAME=PATH", help="as for the suite"
    )
    parser.add_argument("--linux", action="store_true", help="a Linux guest instead of the probe guest")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Give the prompt. Returns the exit status: 0, or 2 if there can be none."""
    options = _parser().parse_args(arguments)
    with ExitStack() as undo:
        try:
            names = _names(options, undo)
        except HarnessError as error:
            print(f"shell: {error}", file=sys.stderr)
            return 2
        with suppress(ImportError):  # a Python without readline has a prompt without completion
            import readline
            import rlcompleter

            readline.set_completer(rlcompleter.Completer(names).complete)
            readline.parse_and_bind("tab: complete")
        code.interact(_banner(names["nic"], names["bed"]), local=names, exitmsg="")
    return 0


def _names(options: argparse.Namespace, undo: ExitStack) -> dict[str, Any]:
    """What the prompt knows, ready for use."""
    namespace.prepare()
    programs = given_programs(options.backend_binary)
    if (reason := lacking(options.backend, programs)) is not None:
        print(f"shell: {reason}", file=sys.stderr)
        raise SystemExit(2)
    (vmm,) = find_vmms([options.vmm])
    image = linux_image(None, None) if options.linux else None
    scratch = Scratch()
    undo.callback(scratch.close)
    namespace.enter()
    machines = None
    if image is not None:
        machines = LinuxMachines(image, scratch.folder)
        undo.callback(machines.close)
    bed = undo.enter_context(Testbed(vmm, scratch.folder(), Surroundings(programs=programs), machines))
    nic = bed.nic(NicPlan(options.pairs), "linux" if options.linux else "probe", options.backend)
    names: dict[str, Any] = {"nic": nic, "bed": bed, "vm": nic.vm, "flows": flows}
    names["pairs"] = lambda: print(pairs_table(nic.rows()))
    names["ways"] = lambda: print("\n".join(ways_in(bed.vms, bed.nics)))
    if isinstance(nic.driver, ProbeDriver):
        names["net"] = nic.driver.net
    elif isinstance(nic.driver, LinuxDriver):
        names["guest"] = nic.driver.guest
    return names


def _banner(nic: Nic, bed: Testbed) -> str:
    lines = [*ways_in(bed.vms, bed.nics), "", pairs_table(nic.rows()), "", EPILOG]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
