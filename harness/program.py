"""What the commands have in common: how they are called, and --version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from harness.checkout import INSTALLED
from harness.deadline import check_pace
from harness.errors import BadInput
from harness.printable import speak_plainly
from harness.version import VERSION

PROGRAM = "virtio-net-mq"
"""What an installed wheel puts on PATH. Its subcommands are the files of ci/."""


def called(name: str) -> str:
    """A command as it is called here: `ci/gate` in a checkout, `virtio-net-mq gate` where a wheel is installed."""
    return f"{PROGRAM} {name}" if INSTALLED else f"ci/{name}"


def at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line's own words, and those that follow `--`, which are the suite's."""
    at = list(words).index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


class Parser(argparse.ArgumentParser):
    """The command line of one of the commands. Its texts name it as %(prog)s, line breaks in the epilog stay."""

    def __init__(self, name: str, **words: Any) -> None:
        speak_plainly(sys.stdout, sys.stderr)
        super().__init__(prog=called(name), formatter_class=argparse.RawDescriptionHelpFormatter, **words)
        self.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; what is wrong with the environment is an error of the command line too."""
        try:
            check_pace()
        except BadInput as error:
            self.error(str(error))
        return super().parse_known_args(args, namespace)
