"""ci/conformance: the suite, run by pytest wherever one stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from harness.invocation import words
from harness.printable import speak_plainly
from harness.program import PROGRAM, called
from harness.version import VERSION

HELP = f"""\
usage: {called("conformance")} [--vmm [NAME=]PATH ...] [pytest's options] [test ...]

Judges VMMs. Without tests, all of them run. A test is named as in results.json:
  {called("conformance")} 'conformance/mq/test_default.py::test_frames_land_on_the_first_pair_before_any_command'

Other options are pytest's and the suite's own (below, under “virtio-net multiqueue”).
"""


def main(arguments: Sequence[str]) -> int:
    """Become pytest. Its exit status is the command's."""
    if "--version" in arguments:
        print(f"{PROGRAM} {VERSION}")
        return 0
    speak_plainly(sys.stdout)
    if "--help" in arguments or "-h" in arguments:
        print(HELP, flush=True)
    command = words(["--brief", *arguments])
    os.execv(command[0], command)
    raise AssertionError("execv returns by raising alone")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
