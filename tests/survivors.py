"""Which changes of the code no unit test notices: `mutmut run`, then `python -m tests.survivors`.

mutmut (its settings are in pyproject.toml) changes one place after the other of the parts that judge, and runs their
tests. What survives is put together by function; survivors.toml says how many may, and why. The exit status is 1 where
more do in a file that it lists as measured.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KNOWN = Path(__file__).with_name("survivors.toml")
_MUTANT = re.compile(r"^\s*(?P<module>[\w.]+)\.x_?(?P<function>\S+?)__mutmut_\d+: (survived|no tests)$")


def survivors(results: str) -> Counter[tuple[str, str]]:
    """How many mutants survived, by module and function, of what `mutmut results` prints."""
    found = (_MUTANT.match(line) for line in results.splitlines())
    return Counter((each["module"], each["function"].strip("ǁ").replace("ǁ", ".")) for each in found if each)


def unexplained(
    found: Counter[tuple[str, str]], known: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[str]:
    """The functions of measured modules in which more survive than is explained, a line each."""
    lines = []
    for (module, function), number in sorted(found.items()):
        most = known.get(module, {}).get(function, {}).get("most", 0)
        if module in known and number > most:
            lines.append(f"{module} {function}: {number} survive, {most} are explained")
    return lines


def main() -> int:
    """Print what survived, and what of it nobody has explained."""
    said = subprocess.run(["mutmut", "results"], capture_output=True, text=True, check=True).stdout
    found, known = survivors(said), tomllib.loads(KNOWN.read_text())
    for (module, function), number in found.most_common():
        print(f"{number:4} {module} {function}")
    lines = unexplained(found, known)
    print("", *(lines or ["all that survives in measured files is explained"]), sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
