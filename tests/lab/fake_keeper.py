"""A keeper whose machine is a program of this host: `python fake_keeper.py FOLDER LIMITS -- COMMAND...`.

`@PORT@` in the command is the descriptor by which the agent is reached. LIMITS: name=seconds, comma separated.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from harness.lab.keeper import Command, Keeper, Limits
from harness.lab.state import State


def main() -> int:
    folder, limits, _, *words = sys.argv[1:]
    place = State(Path(folder))
    lock = place.hold()
    place.console.write_text("the kernel is up\n")

    def prepare() -> Command:
        return lambda port: [
            word.replace("@PORT@", str(port)).replace("@CONSOLE@", str(place.console)) for word in words
        ]

    async def keep() -> str:
        named = dict(pair.split("=") for pair in limits.split(",") if pair)
        return await Keeper(place, prepare, Limits(**{k: float(v) for k, v in named.items()})).serve()

    reason = asyncio.run(keep())
    if not reason:
        place.clear()
    os.close(lock)
    return 1 if reason else 0


sys.exit(main())
