"""What the commands have in common: how they are called, and --version."""

from __future__ import annotations

import argparse
from typing import Any

from harness.checkout import INSTALLED
from harness.version import VERSION

PROGRAM = "virtio-net-mq"
"""What an installed wheel puts on PATH. Its subcommands are the files of ci/."""


def called(name: str) -> str:
    """A command as it is called here: `ci/gate` in a checkout, `virtio-net-mq gate` where a wheel is installed."""
    return f"{PROGRAM} {name}" if INSTALLED else f"ci/{name}"


class Parser(argparse.ArgumentParser):
    """The command line of one of the commands. Its texts name it as %(prog)s, line breaks in the epilog stay."""

    def __init__(self, name: str, **words: Any) -> None:
        super().__init__(prog=called(name), formatter_class=argparse.RawDescriptionHelpFormatter, **words)
        self.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
