"""A keeper of a real machine in a folder of its own: `python real_keeper.py FOLDER LIMITS -- [WORD REPLACEMENT]...`

Each WORD of the machine's command line becomes its REPLACEMENT.
"""

from __future__ import annotations

import sys

from harness.lab.image import lab_image
from harness.lab.keeper import Command
from harness.lab.machine import command_line
from harness.lab.state import State
from tests.lab.fake_keeper import keep


def prepare(place: State, words: list[str]) -> Command:
    image, other = lab_image(), dict(zip(words[::2], words[1::2], strict=True))
    return lambda port: [other.get(word, word) for word in command_line(image, place, port)]


if __name__ == "__main__":
    sys.exit(keep(prepare))
