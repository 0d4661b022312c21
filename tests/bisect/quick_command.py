"""ci/bisect as a process of its own, with the reproducer of quick_step."""

from __future__ import annotations

import sys

from harness.bisect import examine, search
from harness.bisect.command import main
from tests.bisect.quick_step import read_answer

examine._repro = read_answer
search.STEP = (sys.executable, "-m", "tests.bisect.quick_step")
sys.exit(main(sys.argv[1:]))
