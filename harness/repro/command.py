"""ci/repro: shows cloud-hypervisor issue 8306 or 8307 on a VMM, in seconds and in plain text.

The exit status is what `git bisect run` wants: 0 fixed, 1 reproduced, 125 cannot tell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from harness.program import Parser

CANNOT_TELL = 125
KNOWN = ("8306", "8307")


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        """argparse would end with 2, which git bisect takes for a bad commit."""
        self.print_usage(sys.stderr)
        self.exit(CANNOT_TELL, f"{self.prog}: {message}\n")


def _parser() -> Parser:
    parser = _Parser(
        "repro",
        description="Show an issue on a VMM, or that it is fixed.",
        epilog="exit status: 0 fixed, 1 reproduced, 125 cannot tell (as git bisect run wants it)",
    )
    parser.add_argument("issue", choices=KNOWN, help="cloud-hypervisor's number of the issue")
    parser.add_argument(
        "--vmm", required=True, metavar="PATH", help="the binary of a VMM that the suite knows"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        # inside: whatever fails while modules load must not end with 1 either
        from harness.repro.issues import show

        return show(options.issue, options.vmm)
    except Exception as error:
        print(f"CANNOT TELL: {error or type(error).__name__}", file=sys.stderr)
        return CANNOT_TELL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
