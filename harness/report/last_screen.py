"""The last screen of a run: what its failures come from, what is new first, and where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from harness.expected.causes import Cause, Standing, counted
from harness.record.results import Run
from harness.report.as_text import as_text
from harness.report.history import History

STYLES = {Standing.NEW: "bold red", Standing.KNOWN: "yellow", Standing.UNCOMPARED: "red"}

MEANINGS = {
    2: "interrupted",
    3: "something went wrong inside pytest or the suite",
    4: "the command line cannot be used",
    5: "no test was run",
}
"""pytest's exit statuses that no verdict is behind."""


def causes_text(
    run: Run,
    found: Sequence[Cause],
    history: History,
    *,
    width: int,
    color: bool = False,
    whole: bool = False,
) -> str:
    """The causes, a line each, by VMM; ends in a newline. What is not known has the line that repeats it below.

    `whole`: what is known has it too.
    """
    lines: list[Text] = []
    for name in run.names():
        lines.append(Text.assemble((name, "bold"), f": {counted(run, found, name)}"))
        for cause in found:
            if cause.key.vmm == name:
                lines.append(_line(cause, history, width))
                if whole or cause.key.standing is not Standing.KNOWN:
                    lines.append(Text(f"       {cause.clearest.rerun}"))
    return as_text(lines, width=width, color=color, soft_wrap=True)


def _line(cause: Cause, history: History, width: int) -> Text:
    word = "NEW" if cause.new else str(len(cause.results))
    number = f"{len(cause.results)} " if cause.new else ""
    since = (
        f" ({history.since(cause.clearest)})"
        if history.runs and cause.key.standing is not Standing.KNOWN
        else ""
    )
    said = f"{number}{cause.requirement or 'no requirement'}: {cause.text}{since}"
    link = f" {cause.key.link}" if cause.key.link else ""
    room = max(width - 7 - len(link), 40)
    said = said if len(said) <= room else said[: room - 1] + "…"
    return Text.assemble(("  "), (f"{word:>4}", STYLES[cause.key.standing]), f" {said}{link}")


def ending(code: int, found: Sequence[Cause], *, judged: bool, page: Path | None) -> list[str]:
    """Where to read on, and the exit status in words."""
    lines = [f"report: {page}"] if page else []
    if code == 0:
        meaning = "everything that was judged passed" if judged else "nothing was judged"
    elif code == 1:
        new = sum(cause.new for cause in found)
        uncompared = any(cause.key.standing is Standing.UNCOMPARED for cause in found)
        meaning = "tests failed" + (
            f"; {new} of the causes are NEW" if new else "" if uncompared else "; all of it is known"
        )
    else:
        meaning = MEANINGS.get(code, "")
    lines.append(f"exit status {code}: {meaning}")
    return lines
