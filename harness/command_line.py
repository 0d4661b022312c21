"""The installed command: virtio-net-mq COMMAND ..., the commands of ci/ without a checkout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from harness.program import PROGRAM
from harness.version import VERSION

COMMANDS = {
    "conformance": ("harness.run.command", "judge VMMs: the suite itself"),
    "patch": ("harness.patch.command", "from two commits to a verdict: build both, judge, compare"),
    "gate": ("harness.gate.command", "compare a run with what is expected, or two builds"),
    "bisect": ("harness.bisect.command", "find the commit that broke, or mended, a test"),
    "history": (
        "harness.history.command",
        "measure the suite against public bugs, before and after their fixes",
    ),
    "repro": ("harness.repro.command", "show cloud-hypervisor issue 8306 or 8307 on a VMM"),
    "shell": ("harness.shell.__main__", "a Python prompt with a live NIC"),
    "report": ("harness.report.html", "make the HTML report of a run"),
    "merge": ("harness.gate.merge", "put the shards of a run together"),
    "mutants": ("harness.mutants.__main__", "prove that the tests can fail"),
    "lab": ("harness.lab.cli", "the emulated machine in which KVM works"),
    "bench": ("harness.bench.__main__", "measure what the suite costs"),
    "soak": ("harness.soak.__main__", "run the suite many times, struck by signals or undisturbed"),
    "setup": ("harness.setup", "install the packages of the distribution that the suite needs"),
}
"""By name: the module whose main() it is, and what it does. Each is a file of ci/ too."""


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Judges from the host side whether a VMM's virtio-net multiqueue is right.",
        epilog="commands:\n"
        + "".join(f"  {name:<{width}}  {text}\n" for name, (_, text) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own: COMMAND --help says which")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand the arguments to the command. Returns its exit status."""
    options = _parser().parse_args(arguments)
    module, _ = COMMANDS[options.command]
    status: int = import_module(module).main(options.arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
