"""The host's side of the probe guest's monitor: batches of register accesses over the serial line.

A batch lies in guest memory and is set off by a single byte on the line, so that it costs one round trip
however long it is. Where guest memory is not mapped into this process the batch itself goes over the line.
"""

from __future__ import annotations

import re
import struct
from binascii import unhexlify
from collections.abc import Sequence
from itertools import cycle
from string import ascii_lowercase

from harness.deadline import Deadline
from harness.errors import GuestError
from harness.guest.probe.bus import Code, Memory, Operation, read, write
from harness.vmm.base import Vm
from harness.vmm.memory import GuestMemory
from harness.vmm.serial import SerialPort

BOOT_PATIENCE = 15.0
ANSWER_PATIENCE = 10.0
BATCH_LIMIT = 4096
LINE_CHUNK = 512
"""Bytes of memory in one command of the serial line: short enough for its answer to come well in time."""

_ADDRESS = re.compile(rb"[0-9a-fA-F]{1,12}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})*")
_HEADER = struct.Struct("<II")
_OPERATION = struct.Struct("<IIQQ")
_AFTER_BATCH = 0x20000
_VALUE_OFFSET = 16


class Monitor:
    """A connection to a booted, or booting, probe guest. It is a `Bus` for the driver."""

    def __init__(self, serial: SerialPort, memory: Memory | None, memory_size: int) -> None:
        self._serial = serial
        self._nonces = cycle(ascii_lowercase)
        self._batch = self._greet(Deadline(BOOT_PATIENCE))
        self.memory: Memory = memory if memory is not None else LineMemory(self, memory_size)
        self.free_memory = self._batch + _AFTER_BATCH

    def _greet(self, deadline: Deadline) -> int:
        """Synchronise, and return where batches go.

        What was sent before the guest was up may be lost, and so may what it said before anybody listened:
        so ask, and ask again whenever the guest announces that it has just started.
        """
        nonce = self._ask()
        while True:
            line = self._serial.read_line(within=deadline, awaiting="the probe guest's first answer")
            match line.split():
                case [b"probe", b"1", batch, given] if given == nonce and (
                    found := _ADDRESS.fullmatch(batch)
                ):
                    return int(found[0], 16)
                case [b"probe", b"1", _, b"-"]:
                    nonce = self._ask()

    def _ask(self) -> bytes:
        nonce = next(self._nonces).encode()
        self._serial.send(b"?" + nonce)
        return nonce

    def _answer(self, command: bytes, awaiting: str) -> bytes:
        self._serial.send(command)
        line = self._serial.read_line(within=ANSWER_PATIENCE, awaiting=awaiting)
        if line.startswith(b"!"):
            raise GuestError(f"the probe guest faulted in {awaiting}: {line[1:].decode(errors='replace')}")
        if line.startswith(b"probe "):
            raise GuestError(
                f"the probe guest started anew in the middle of {awaiting}: the machine was reset"
            )
        return line

    def run(self, operations: Sequence[Operation]) -> list[int]:
        """Carry the operations out in order; the values of the reads, in order.

        Raises GuestError if one faults, naming it; DeadlineExceeded or VmmDied if the guest does not answer.
        """
        if len(operations) > BATCH_LIMIT:
            return self.run(operations[:BATCH_LIMIT]) + self.run(operations[BATCH_LIMIT:])
        packed = b"".join(_OPERATION.pack(o.code, o.width, o.address, o.value) for o in operations)
        self.memory.write(self._batch, _HEADER.pack(len(operations), 0) + packed)
        try:
            self._answer(b"x", f"a batch of {len(operations)} operations")
        except GuestError as error:
            done = _HEADER.unpack(self.memory.read(self._batch, _HEADER.size))[1]
            guilty = operations[done] if done < len(operations) else "none of them"
            raise GuestError(f"{error} (operation: {guilty})") from error
        first = self._batch + _HEADER.size
        results = self.memory.read(first, len(packed))
        return [
            _OPERATION.unpack_from(results, i * _OPERATION.size)[3]
            for i, operation in enumerate(operations)
            if operation.code in (Code.READ, Code.IN)
        ]

    def run_last(self, operations: Sequence[Operation]) -> None:
        """Set operations off without awaiting an answer: for those that end the guest."""
        packed = b"".join(_OPERATION.pack(o.code, o.width, o.address, o.value) for o in operations)
        self.memory.write(self._batch, _HEADER.pack(len(operations), 0) + packed)
        self._serial.send(b"x")

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of guest memory, over the serial line."""
        parts = []
        for at in range(address, address + length, LINE_CHUNK):
            count = min(LINE_CHUNK, address + length - at)
            line = self._answer(b"R%x %x\n" % (at, count), f"reading {count} bytes at {at:#x}")
            part = unhexlify(line) if _HEX.fullmatch(line) else b""
            if len(part) != count:
                raise GuestError(
                    f"the probe guest answered {line[:80]!r} when asked for {count} bytes at {at:#x}"
                )
            parts.append(part)
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Store bytes in guest memory, over the serial line."""
        for start in range(0, len(data), LINE_CHUNK):
            part = data[start : start + LINE_CHUNK]
            command = b"W%x %x\n%s" % (address + start, len(part), part.hex().encode())
            self._answer(command, f"writing {len(part)} bytes at {address + start:#x}")

    def fill_memory(self, address: int, length: int, value: int) -> None:
        """Set bytes of guest memory to one value."""
        self._answer(b"F%x %x %x\n" % (address, length, value), f"filling {length} bytes at {address:#x}")


def connect(vm: Vm) -> tuple[Monitor, GuestMemory]:
    """A connection to the probe guest of a VM that was started, reset, restored or migrated, and the guest's memory.

    Memory is looked for after the guest has answered: until then the VMM may not have made it yet, or may still hold
    what it is about to drop.
    """
    monitor = Monitor(vm.serial, None, vm.config.memory_mib << 20)
    memory = vm.guest_memory()
    monitor.memory = memory
    return monitor, memory


class LineMemory:
    """Guest memory by way of the serial line: for VMs whose RAM cannot be mapped. Slow, and the same to use."""

    def __init__(self, monitor: Monitor, size: int) -> None:
        self._monitor = monitor
        self.size = size

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes from `address` on."""
        return self._monitor.read_memory(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self._monitor.write_memory(address, data)

    def fill(self, address: int, length: int, value: int = 0) -> None:
        """Set `length` bytes to `value`."""
        self._monitor.fill_memory(address, length, value)

    def get16(self, address: int) -> int:
        """One 2-byte load, as an operation: the line's own commands work byte by byte."""
        return self._monitor.run([read(2, address)])[0]

    def set16(self, address: int, value: int) -> None:
        """One 2-byte store, as an operation: a device that polls must not see half of it."""
        self._monitor.run([write(2, address, value)])
