"""The order of names, as people expect it."""

from __future__ import annotations

import re


def natural(test: str) -> list[tuple[int, str]]:
    """A sorting key under which `pairs2` comes before `pairs10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", test)]
