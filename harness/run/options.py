"""The suite's options: one table, from which the command line, rerun lines and what the lab is told are derived.

pytest loads this as a plugin wherever it is started, by the package's entry point: it must know the options before it
can tell their values from the names of tests. Even so it looks for its settings before that, see `unmistakable`.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadInput
from harness.program import called

GROUP = "virtio-net multiqueue"


def _file(text: str) -> Path:
    return Path(text).absolute()


@dataclass(frozen=True)
class Option:
    """One option. A default of [] says that it may be given several times, one of False that it takes no value."""

    name: str
    help: str
    default: object = None
    metavar: str | None = None
    read: Callable[[str], object] = str
    """Makes a value of a word."""
    choices: tuple[str, ...] | None = None
    least: int | None = None
    """The smallest number that makes sense."""
    of_the_test: bool = False
    """It changes what a test does: the line that repeats the test has it, and the lab is told."""
    of_the_lab: bool = False
    """It changes what is made of a test: the lab is told."""

    @property
    def key(self) -> str:
        """Its name among the values that pytest has read."""
        return self.name.removeprefix("--").replace("-", "_")

    def declare(self, group: pytest.OptionGroup) -> None:
        """Make it known to pytest."""
        how: dict[str, Any] = {"default": self.default, "help": self.help}
        if self.default is False:
            group.addoption(self.name, action="store_true", **how)
            return
        how |= {"action": "append"} if self.default == [] else {}
        how |= {"choices": self.choices} if self.choices else {"type": self.read, "metavar": self.metavar}
        group.addoption(self.name, **how)

    def words(self, values: Namespace) -> list[str]:
        """What a command line must say for it to have the value that it has; nothing for its default."""
        value = getattr(values, self.key)
        if value == self.default:
            return []
        if value is True:
            return [self.name]
        return [
            word for one in (value if isinstance(value, list) else [value]) for word in (self.name, str(one))
        ]

    def check(self, values: Namespace) -> None:
        """Raises BadInput for a value that makes no sense."""
        value = getattr(values, self.key)
        if self.least is not None and value is not None and value < self.least:
            raise BadInput(f"{self.name} {value}: give a number from {self.least} on")
        if isinstance(value, Path) and not value.is_file():
            raise BadInput(f"{self.name} {value}: there is no such file")


OPTIONS = (
    Option(
        "--vmm",
        "a VMM to judge: the binary of one that the suite knows (README), [NAME=]qemu-microvm:PATH for that machine "
        "of QEMU, or [NAME=]release:vX.Y[@sha256:...] to download a cloud-hypervisor release; may be given several "
        "times, each is a column of the matrix (default: the cloud-hypervisor on PATH, if there is one, and QEMU as "
        "the reference)",
        default=[],
        metavar="[NAME=]PATH",
    ),
    Option(
        "--legacy-vmm",
        "an older build, given as for --vmm: the builds under test must go on from its snapshots, which hold "
        "no count, with all pairs active; may be given several times",
        default=[],
        metavar="NAME=PATH",
    ),
    Option(
        "--guest-kernel",
        "a kernel of one's own for the Linux guest (see fixtures/images/linux/README.md)",
        metavar="PATH",
        read=_file,
        of_the_test=True,
    ),
    Option(
        "--guest-image",
        "an initramfs of one's own for the Linux guest (see fixtures/images/linux/README.md)",
        metavar="PATH",
        read=_file,
        of_the_test=True,
    ),
    Option(
        "--firmware",
        "a UEFI firmware for cloud-hypervisor (its EDK2 build), for the tests that boot one",
        metavar="PATH",
        read=_file,
        of_the_test=True,
    ),
    Option(
        "--backend-binary",
        "a vhost-user back end that no package has: vhost_user_net=PATH, cloud-hypervisor's own",
        default=[],
        metavar="NAME=PATH",
        of_the_test=True,
    ),
    Option(
        "--mutant",
        f"make every VMM wrong from outside: one of those that {called('mutants')} lists",
        metavar="NAME",
        of_the_test=True,
    ),
    Option(
        "--trace-syscalls",
        "enter every TUNSETQUEUE of the VMMs, with its thread and result, in the timelines of failures; "
        "costs each call a fraction of a millisecond, and each test with a Linux guest a boot of its own",
        default=False,
        of_the_test=True,
    ),
    Option(
        "--steps",
        "length of the random walks (default: 400; thousands for a night)",
        default=400,
        metavar="N",
        read=int,
        least=1,
        of_the_test=True,
    ),
    Option(
        "--boots",
        "times that firmware boots over the network (default: 1; ten for a success rate)",
        default=1,
        metavar="N",
        read=int,
        least=1,
        of_the_test=True,
    ),
    Option(
        "--lab",
        "whether tests that cloud-hypervisor cannot run on this host's KVM are run in an emulated machine, which "
        f"{called('lab')} keeps: auto, as needed (default); never, they are skipped; always, all of cloud-hypervisor",
        default="auto",
        choices=("auto", "always", "never"),
    ),
    Option(
        "--report",
        "where results.json goes; earlier runs are kept in DIR/runs (default: report)",
        default="report",
        metavar="DIR",
    ),
    Option(
        "--keep",
        "how many runs are kept in DIR/runs, and how many MiB they may take together: the oldest go first, but not "
        "the one that is DIR/results.json (default: 60,4096)",
        default="60,4096",
        metavar="RUNS,MIB",
    ),
    Option(
        "--bundle",
        "what is kept of a failed test in DIR/runs: logs, traces and captures, or the guest's memory as well",
        default="small",
        choices=("small", "full"),
        of_the_lab=True,
    ),
    Option(
        "--shard",
        f"run the K-th of N shares of the suite, the others elsewhere; {called('merge')} puts the results together",
        metavar="K/N",
    ),
    Option(
        "--brief",
        "show progress instead of a letter for each test, and no tracebacks at the end, which the report and the "
        "bundles have (ci/conformance gives it; -v and --tb are obeyed)",
        default=False,
    ),
    Option(
        "--park",
        "keep the VMs of failed tests alive, go on, and say at the end how to get at them, until they are ended",
        default=False,
    ),
    Option(
        "--seed",
        "repeats the random choices of the run that printed this number",
        metavar="N",
        read=int,
        least=0,
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make them all known to pytest."""
    group = parser.getgroup(GROUP)
    for option in OPTIONS:
        option.declare(group)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Start pytest anew if it may have taken a value for tests. Nothing is loaded, captured or said by now."""
    given = list(early_config.invocation_params.args)
    clear = unmistakable(given)
    before = sys.orig_argv[: len(sys.orig_argv) - len(given)]
    if clear != given and [*before, *given] == sys.orig_argv and given == sys.argv[1:]:
        os.execv(sys.executable, [sys.executable, *before[1:], *clear])
    return (yield)


def unmistakable(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--option=value` for each `--option value` of ours whose value is a path that exists.

    pytest decides which folder and settings it is about before it loads any plugin. It takes the value of an option
    that it does not know by then for tests, if it is a path, and looks for its settings there.
    """
    names = {option.name for option in OPTIONS if option.default is not False}
    words: list[str] = []
    for word in arguments:
        if words and words[-1] in names and os.access(word, os.F_OK):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def check(values: Namespace) -> None:
    """Raises BadInput for the first whose value makes no sense."""
    for option in OPTIONS:
        option.check(values)


def words_of_the_test(values: Namespace) -> tuple[str, ...]:
    """Those of a run that a line which repeats a test must have, as words of a command line."""
    return _words(values, (option for option in OPTIONS if option.of_the_test))


def words_for_the_lab(values: Namespace) -> tuple[str, ...]:
    """Those of a run that its other half in the lab must have, as words of a command line."""
    return _words(values, (option for option in OPTIONS if option.of_the_test or option.of_the_lab))


def _words(values: Namespace, options: Iterable[Option]) -> tuple[str, ...]:
    return tuple(word for option in options for word in option.words(values))


def kept(text: str) -> tuple[int, int]:
    """How many runs and bytes, of --keep. Raises BadInput."""
    words = text.split(",")
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[0]) < 1:
        raise BadInput(f"--keep {text}: give how many runs, at least one, and how many MiB, such as 60,4096")
    return int(words[0]), int(words[1]) << 20


def files(values: Namespace) -> list[Path]:
    """The files that the values name."""
    named = [getattr(values, option.key) for option in OPTIONS if option.read is _file]
    return [path for path in named if path is not None]
