"""The guest's end of a serial port: a probe guest played by a thread, or simply words laid ready."""

from __future__ import annotations

import socket
import struct
import threading

BATCH = 0x4000
"""Where this peer wants batches: its memory is small."""
MEMORY = 0x40000


class PlayedProbe(threading.Thread):
    """Serves the monitor's commands on a socket (fixtures/images/probe/monitor.c says what they are).

    Register n holds n until it is written. `commands` are the letters served, in order.
    """

    def __init__(self, line: socket.socket) -> None:
        super().__init__(daemon=True)
        self.memory = bytearray(MEMORY)
        self.registers: dict[int, int] = {}
        self.commands = ""
        self._line = line
        self._input = line.makefile("rb")
        self.start()

    def run(self) -> None:
        while letter := self._input.read(1).decode():
            self.commands += letter
            if letter == "?":
                self._say(b"probe 1 %08x %s" % (BATCH, self._input.read(1)))
            elif letter == "x":
                self._batch()
            else:
                self._memory(letter, *[int(word, 16) for word in self._input.readline().split()])

    def _say(self, words: bytes) -> None:
        self._line.sendall(words + b"\n")

    def _batch(self) -> None:
        (count,) = struct.unpack_from("<I", self.memory, BATCH)
        for at in range(BATCH + 8, BATCH + 8 + 24 * count, 24):
            code, _, address, value = struct.unpack_from("<IIQQ", self.memory, at)
            if code == 1:
                self.registers[address] = value
            elif code == 0:
                struct.pack_into("<Q", self.memory, at + 16, self.registers.get(address, address))
        self._say(b".")

    def _memory(self, letter: str, address: int, length: int, value: int = 0) -> None:
        there = slice(address, address + length)
        if letter == "R":
            self._say(self.memory[there].hex().encode())
            return
        self.memory[there] = (
            bytes([value]) * length if letter == "F" else bytes.fromhex(self._input.read(2 * length).decode())
        )
        self._say(b".")
