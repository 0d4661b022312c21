"""The table that every failure shows: pair by pair, what each witness says."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record.results import PairRow

_HEAD = ("pair", "guest: active", "host: attached", "frames")


def _word(value: bool | None) -> str:
    return {None: "?", True: "yes", False: "no"}[value]


def pairs_table(rows: Sequence[PairRow], attached: str = "attached") -> str:
    """Lines of fixed width; `attached` is the backend's word for an active pair on the host."""
    lines = [tuple(word.replace("attached", attached) for word in _HEAD)]
    for row in rows:
        contradicted = row.guest is not None and row.host is not None and row.guest != row.host
        stray = bool(row.frames) and row.guest is False
        mark = "   <- witnesses disagree" if contradicted or stray else ""
        frames = "?" if row.frames is None else str(row.frames)
        lines.append((str(row.pair), _word(row.guest), _word(row.host), frames + mark))
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]).rstrip()
        for line in lines
    )
