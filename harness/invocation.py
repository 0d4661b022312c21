"""How the suite is run: pytest's command line, wherever one stands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cache import cache_root
from harness.checkout import INSTALLED, ROOT, SUITE


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
