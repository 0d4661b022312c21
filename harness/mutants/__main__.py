"""The kill matrix: does each test fail on some wrong VMM, and each wrong VMM fail some test? Run as ci/mutants.

Tests that no mutant kills and mutants that no test kills are to be explained in conformance/mutants.toml.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.bounded import Unreadable, read_toml
from harness.checkout import ROOT
from harness.errors import BadInput, HarnessError
from harness.interrupts import as_interrupts
from harness.mutants import all_mutants, find_mutant
from harness.mutants.kills import Kills, measure, suite, suites_of_builds
from harness.program import Parser, called

EXCEPTIONS = ROOT / "conformance" / "mutants.toml"


def table(kills: Kills) -> Table:
    """Mutants by row; the tests that each kills by file and function."""
    shown = Table("mutant", "tests", "killed", box=None, padding=(0, 1))
    for name, killed in kills.by_mutant.items():
        files: dict[str, list[str]] = defaultdict(list)
        for file, function in sorted(killed):
            files[Path(file).stem.removeprefix("test_")].append(function.removeprefix("test_"))
        text = "; ".join(f"{stem}: {', '.join(functions)}" for stem, functions in files.items())
        shown.add_row(name, str(len(killed)), text or "nothing")
    return shown


def exceptions(path: Path) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Reasons by test and by mutant. Raises BadInput for a damaged file."""
    try:
        plain = read_toml(path)
    except Unreadable as error:
        raise BadInput(f"{path} {error}") from None
    return plain.get("tests", {}), plain.get("mutants", {})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 if both lists are empty or explained, 1 if not, 2 if it could not be found out."""
    parser = Parser(
        "mutants", description="Prints which tests each mutant kills. Further arguments go to pytest."
    )
    parser.add_argument("--vmm", required=True, metavar="[NAME=]PATH", help="a VMM that is right")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="this mutant; may be given several times"
    )
    parser.add_argument(
        "--builds",
        type=Path,
        metavar="DIR",
        help="a folder of binaries, each a mutant that was built from source, named by its file",
    )
    options, rest = parser.parse_known_args(arguments)
    as_interrupts()
    try:
        if options.builds is not None:
            wrong = suites_of_builds(options.builds, options.only, rest)
        else:
            for name in options.only or ():
                find_mutant(name)
            wrong = {name: suite(options.vmm, rest, mutant=name) for name in options.only or all_mutants()}
        known_tests, known_mutants = exceptions(EXCEPTIONS)
        kills = measure(suite(options.vmm, rest), wrong)
    except HarnessError as error:
        print(f"{called('mutants')}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{called('mutants')}: stopped", file=sys.stderr)
        return 2
    Console(width=120).print(table(kills))
    unkilled = set(map(str, kills.unkilled))
    open_tests = sorted(unkilled - set(known_tests))
    open_mutants = sorted(kills.harmless - set(known_mutants))
    none_kills = "none of these mutants kills" if options.only or options.builds else "no mutant kills"
    for title, found in ((none_kills, open_tests), ("killed by no test", open_mutants)):
        print(f"\n{title}: {len(found)} unexplained")
        print("".join(f"  {name}\n" for name in found), end="")
    explained = sorted(unkilled & set(known_tests)) + sorted(kills.harmless & set(known_mutants))
    print(f"\nexplained in {EXCEPTIONS.name}: {len(explained)}")
    # A test that some mutants do not kill may be another's; so may one that a user's own builds do not.
    return 1 if open_mutants or (open_tests and not (options.only or options.builds)) else 0


if __name__ == "__main__":
    sys.exit(main())
