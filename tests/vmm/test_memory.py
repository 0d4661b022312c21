"""A guest's RAM, mapped from the memfd of the process that holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.deadline import PACE, wait_until
from harness.errors import DeadlineExceeded, Owner, VmmDied
from harness.vmm import memory as memory_module
from harness.vmm.memory import GuestMemory, map_shared_memory

SIZE = 1 << 20
HOLDER = f"""
import os, sys
other, fd = os.memfd_create("other"), os.memfd_create("ram")
os.truncate(other, {2 * SIZE})
os.truncate(fd, {SIZE})
os.pwrite(fd, b"from the other side", 4096)
print("up", flush=True)
sys.stdin.read()
sys.stdout.buffer.write(os.pread(fd, 2, 8192))
"""


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    fd = os.memfd_create("ram")
    os.truncate(fd, SIZE)
    memory = GuestMemory(fd, SIZE)
    os.close(fd)
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
    with pytest.raises(IndexError):
        memory.set16(SIZE, 1)


def test_memory_of_another_process_is_found_by_its_size() -> None:
    with subprocess.Popen(
        [sys.executable, "-SEc", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        memory = map_shared_memory(process.pid, SIZE, lambda _: None)
        wait_until(
            "its bytes", lambda: memory.read(4096, 19) == b"from the other side", owed_by=Owner.HOST, within=5
        )
        memory.set16(8192, 0x6261)
        said, _ = process.communicate(timeout=10 * PACE)
        memory.close()
    assert said == b"up\nab"


def test_process_without_shared_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "APPEARS_WITHIN", 0.02)
    with pytest.raises(DeadlineExceeded, match=rf"process {os.getpid()} to hold 3 MiB of shared memory"):
        map_shared_memory(os.getpid(), 3 << 20, lambda _: None)


def test_vmm_that_died_meanwhile_is_named() -> None:
    def alive(doing: str) -> None:
        raise VmmDied(f"died while {doing}")

    with pytest.raises(VmmDied, match="died while its guest's memory was looked for"):
        map_shared_memory(os.getpid(), SIZE, alive)
