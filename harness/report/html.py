"""The HTML report: one file that needs nothing else, for reading from disk. Run as ci/report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import jinja2

from harness.errors import HarnessError, Unavailable
from harness.printable import printable
from harness.program import Parser
from harness.record.results import Run
from harness.record.runs import newest
from harness.record.store import write_atomically
from harness.register.page import cite
from harness.register.register import PATH, Register, load_register
from harness.report.history import History, load_history
from harness.report.matrix import WORDS
from harness.report.summary import markdown_summary
from harness.report.view import make_view

PAGE = "report.html"
"""The page's name beside its results."""


def html_report(
    run: Run,
    register: Register,
    *,
    history: History | None = None,
    results_file: Path | None = None,
    output: Path | None = None,
) -> str:
    """The report as text. `results_file` is where the run was read from: bundles are looked for beside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    view = make_view(run, register, history or History(), results_file, output)
    words = {verdict: word for verdict, (word, _) in WORDS.items()}
    template = environment.get_template("report.html.j2")
    return printable(template.render(view=view, run=run, register=register, words=words, cite=cite))


def write(path: Path, text: str) -> None:
    """Write a report atomically. Raises Unavailable, the earlier file being untouched."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise Unavailable(
            f"cannot write {path} ({error.strerror}): the results themselves are safe; write it elsewhere"
        ) from None


def write_html(results: Path, output: Path, history: Sequence[Path] = (), register: Path = PATH) -> None:
    """Write the report of a results file, or of the newest of a folder. Raises HarnessError."""
    run = newest(results)
    earlier = load_history([_beside(results), *history], run)
    html = html_report(run, load_register(register), history=earlier, results_file=results, output=output)
    write(output, html)


def _beside(results: Path) -> Path:
    """Where the earlier runs of a report folder are."""
    return (results if results.is_dir() else results.parent) / "runs"


def main(arguments: Sequence[str]) -> int:
    """Read results, write reports. Returns the exit code: 0, or 2 if it could not be done."""
    parser = Parser(
        "report",
        description="Make a page of a run's results, report.html beside them, or a summary of them.",
    )
    parser.add_argument(
        "results",
        nargs="?",
        type=Path,
        default=Path("report"),
        help="results.json, or a folder with one (default: report)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="HTML file to write (default: report.html beside them)"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="Markdown summary to write; - prints it"
    )
    parser.add_argument(
        "--history",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder with a folder of each earlier run, to say since when a test is red; may be given several "
        "times (the folder runs/ beside the results is always looked at)",
    )
    parser.add_argument("--register", type=Path, default=PATH, help="the register of requirements")
    options = parser.parse_args(arguments)
    if not (options.output or options.markdown):
        beside = options.results if options.results.is_dir() else options.results.parent
        options.output = beside / PAGE
    try:
        run, register = newest(options.results), load_register(options.register)
        history = load_history([_beside(options.results), *options.history], run)
        if history.unreadable:
            print(
                f"{history.unreadable} earlier runs cannot be read, of another version or cut short: left out",
                file=sys.stderr,
            )
        if options.output:
            write_html(options.results, options.output, options.history, options.register)
            print(options.output)
        if options.markdown:
            text = markdown_summary(run, register, history)
            if str(options.markdown) == "-":
                print(text, end="")
            else:
                write(options.markdown, text)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
