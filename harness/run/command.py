"""ci/conformance: the suite, run by pytest wherever one stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cache import cache_root
from harness.checkout import INSTALLED, ROOT, SUITE
from harness.program import PROGRAM, called
from harness.version import VERSION

HELP = f"""\
usage: {called("conformance")} [--vmm [NAME=]PATH ...] [pytest's options] [test ...]

Judges VMMs. Without tests, all of them run. A test is named as in results.json:
  {called("conformance")} 'conformance/mq/test_default.py::test_frames_land_on_the_first_pair_before_any_command'

Other options are pytest's and the suite's own (below, under “virtio-net multiqueue”).
"""


def words(arguments: Sequence[str]) -> list[str]:
    """pytest's command line: tests get their full path. Where none is named all run; they run in parallel."""
    named = [word for word in arguments if is_test(word)]
    given = [str(ROOT / word) if word in named else word for word in arguments]
    what = [] if named else [str(SUITE)]
    if not any("::" in word for word in named):  # one test needs no workers
        what += ["-n", "auto"]
    # what pytest remembers from run to run: a wheel's own folder may not be writable
    memory = ["-o", f"cache_dir={cache_root() / 'pytest'}"] if INSTALLED else []
    # -P: modules are ours, not those of the folder that one happens to stand in
    return [sys.executable, "-P", "-m", "pytest", *what, *memory, *given]


def is_test(word: str) -> bool:
    """Whether a word of the command line names tests of the suite, by file or by id."""
    path = Path(word.partition("::")[0])
    return path.parts[:1] == (SUITE.name,) and (ROOT / path).exists()


def main(arguments: Sequence[str]) -> int:
    """Become pytest. Its exit status is the command's."""
    if "--version" in arguments:
        print(f"{PROGRAM} {VERSION}")
        return 0
    if "--help" in arguments or "-h" in arguments:
        print(HELP, flush=True)
    command = words(arguments)
    os.execv(command[0], command)
    raise AssertionError("execv returns by raising alone")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
