"""A guest's RAM, found in the process that holds it, whatever backs it there."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, Owner, VmmDied
from harness.vmm import memory as memory_module
from harness.vmm.memory import GuestMemory, MappedMemory, ProcessMemory, find_guest_memory

SIZE = 3 << 20
"""No arena of Python's own has it."""
PAGE = mmap.PAGESIZE
HOLDER = f"""
import mmap, os, sys
other = os.memfd_create("other")
os.truncate(other, {4 * SIZE})
larger = mmap.mmap(other, {4 * SIZE})
def held(fd, size=0, offset=0):
    os.truncate(fd, size or {SIZE})
    return mmap.mmap(fd, {SIZE}, offset=offset)
{{backing}}
ram[4096:4115] = b"from the other side"
print("up", flush=True)
sys.stdin.read()
sys.stdout.buffer.write(ram[8192:8194])
"""
ANONYMOUS = "mmap.mmap(-1, {length}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
BACKINGS = {
    "memfd": 'ram = held(os.memfd_create("ram"))',
    "larger-memfd": f'ram = held(os.memfd_create("ram"), {2 * SIZE}, {PAGE})',
    "file": "ram = held(os.open({path!r}, os.O_RDWR | os.O_CREAT))",
    "file-in-parts": "\n".join(
        [
            f"whole = mmap.mmap(-1, {SIZE}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
            'fd = os.memfd_create("ram")',
            f"os.truncate(fd, {SIZE})",
            f"high = mmap.mmap(fd, {SIZE - 16 * PAGE}, offset={16 * PAGE})",
            f"ram = mmap.mmap(fd, {16 * PAGE})",
        ]
    ),
    "private": "\n".join(
        [
            # between two that are of the same kind, and no part of it
            f"ends = {ANONYMOUS.format(length=3 * PAGE + SIZE)}",
            f"ram = {ANONYMOUS.format(length=SIZE)}",
            "ram.madvise(mmap.MADV_DONTFORK)",
            "larger.close()",
        ]
    ),
}


def mapped() -> GuestMemory:
    fd = os.memfd_create("ram")
    os.truncate(fd, SIZE)
    memory = MappedMemory(fd, SIZE)
    os.close(fd)
    return memory


class Own(ProcessMemory):
    """A piece of this process's memory, as if it were another's."""

    def __init__(self) -> None:
        self._held = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        place = ctypes.addressof(ctypes.c_char.from_buffer(self._held))
        super().__init__(os.getpid(), place, SIZE)


@pytest.fixture(params=[mapped, Own], ids=["mapped", "process"])
def memory(request: pytest.FixtureRequest) -> Iterator[GuestMemory]:
    memory: GuestMemory = request.param()
    yield memory
    memory.close()


def test_bytes_go_there_and_back(memory: GuestMemory) -> None:
    memory.write(SIZE - 3, b"abc")
    assert memory.read(SIZE - 4, 4) == b"\0abc"
    memory.fill(SIZE - 3, 2, 0xEE)
    assert memory.read(SIZE - 4, 4) == b"\0\xee\xeec"


def test_halfwords_are_little_endian(memory: GuestMemory) -> None:
    memory.set16(0x10, 0x1234)
    assert memory.read(0x10, 2) == b"\x34\x12"
    assert memory.get16(0x10) == 0x1234


def test_writing_past_the_end_is_an_error(memory: GuestMemory) -> None:
    with pytest.raises(ValueError):
        memory.write(SIZE - 1, b"ab")
    with pytest.raises((IndexError, ValueError)):
        memory.set16(SIZE, 1)


@pytest.mark.parametrize("backing", BACKINGS)
def test_memory_of_another_process_is_found(backing: str, tmp_path: Path) -> None:
    program = HOLDER.format(backing=BACKINGS[backing].format(path=str(tmp_path / "ram")))
    with subprocess.Popen(
        [sys.executable, "-SEc", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        memory = find_guest_memory(process.pid, SIZE, lambda _: None)
        assert bool(memory.cost) == (backing == "private")
        wait_until(
            "its bytes", lambda: memory.read(4096, 19) == b"from the other side", owed_by=Owner.HOST, within=5
        )
        memory.set16(8192, 0x6261)
        said, _ = process.communicate(timeout=10 * PACE)
        memory.close()
    assert said == b"ab"


def test_process_without_such_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "APPEARS_WITHIN", 0.02)
    with pytest.raises(DeadlineExceeded, match=rf"process {os.getpid()} to hold 4095 MiB of memory"):
        find_guest_memory(os.getpid(), 4095 << 20, lambda _: None)


def test_vmm_that_died_meanwhile_is_named() -> None:
    def alive(doing: str) -> None:
        raise VmmDied(f"died while {doing}")

    with pytest.raises(VmmDied, match="died while its guest's memory was looked for"):
        find_guest_memory(os.getpid(), SIZE, alive)
