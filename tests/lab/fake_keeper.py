"""A keeper whose machine is a program of this host: `python fake_keeper.py FOLDER LIMITS -- COMMAND...`.

`@PORT@` in the command is the descriptor by which the agent is reached. LIMITS: name=seconds, comma separated.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from harness.lab.keeper import Command, Keeper, Limits
from harness.lab.state import State


def keep(prepare: Callable[[State, list[str]], Command]) -> int:
    """Be a keeper, as the command line says; `prepare` is given the lab's place and the words that are left."""
    folder, limits, _, *words = sys.argv[1:]
    place = State(Path(folder))
    lock = place.hold()

    async def serve() -> str:
        named = dict(pair.split("=") for pair in limits.split(",") if pair)
        own = Limits(**{name: float(seconds) for name, seconds in named.items()})
        return await Keeper(place, lambda: prepare(place, words), own).serve()

    reason = asyncio.run(serve())
    if not reason:
        place.clear()
    os.close(lock)
    return 1 if reason else 0


def _prepare(place: State, words: list[str]) -> Command:
    place.console.write_text("the kernel is up\n")
    return lambda port: [
        word.replace("@PORT@", str(port)).replace("@CONSOLE@", str(place.console)) for word in words
    ]


if __name__ == "__main__":
    sys.exit(keep(_prepare))
