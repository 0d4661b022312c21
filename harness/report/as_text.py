"""What rich draws, as plain text."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType


def as_text(
    parts: Iterable[RenderableType], *, width: int, color: bool = False, soft_wrap: bool = False
) -> str:
    """Lines that end in a newline and in no blanks; ANSI colours if `color`. `soft_wrap`: long lines stay whole."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
        soft_wrap=soft_wrap,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
