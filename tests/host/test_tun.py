"""The kernel's tun/tap interface, as the suite relies on it."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.host import tun
from harness.host.tap import Tap

OPEN = Path("/proc/self/fd")


def test_attaching_twice_is_refused_by_the_kernel(tap: Tap, undo: ExitStack) -> None:
    queue = tun.open_queue(tap.name, multi_queue=True)
    undo.callback(os.close, queue)
    with pytest.raises(OSError, match="Invalid argument"):
        tun.set_queue(queue, attach=True)
    tun.set_queue(queue, attach=False)
    with pytest.raises(OSError, match="Invalid argument"):
        tun.set_queue(queue, attach=False)


def test_detached_flag_is_in_what_the_kernel_says(tap: Tap, undo: ExitStack) -> None:
    queue = tun.open_queue(tap.name, multi_queue=True)
    undo.callback(os.close, queue)
    assert tun.interface_of(queue)[0] == tap.name
    assert not tun.interface_of(queue)[1] & tun.IFF_DETACH_QUEUE
    tun.set_queue(queue, attach=False)
    assert tun.interface_of(queue)[1] & tun.IFF_DETACH_QUEUE


def test_multi_queue_must_match(tap: Tap) -> None:
    before = len(list(OPEN.iterdir()))
    with pytest.raises(OSError, match="Invalid argument"):
        tun.open_queue(tap.name, multi_queue=False)
    assert len(list(OPEN.iterdir())) == before


def test_descriptor_that_is_bound_to_nothing_is_an_error(own_network: None, undo: ExitStack) -> None:
    unbound = os.open(tun.DEVICE, os.O_RDWR)
    undo.callback(os.close, unbound)
    with pytest.raises(OSError) as caught:
        tun.interface_of(unbound)
    assert caught.value.errno == errno.EBADFD


def test_same_file_is_told_from_the_same_target(undo: ExitStack) -> None:
    first, second = (os.open("/dev/null", os.O_RDONLY) for _ in range(2))
    third = os.dup(first)
    for fd in (first, second, third):
        undo.callback(os.close, fd)
    assert tun.same_file(first, third)
    assert not tun.same_file(first, second)


def test_duplicate_is_of_the_same_file(undo: ExitStack) -> None:
    pidfd, fd = os.pidfd_open(os.getpid()), os.open("/dev/null", os.O_RDONLY)
    duplicate = tun.duplicate_from(pidfd, fd)
    for used in (pidfd, fd, duplicate):
        undo.callback(os.close, used)
    assert tun.same_file(fd, duplicate)
    with pytest.raises(OSError, match="Bad file descriptor"):
        tun.duplicate_from(pidfd, 9999)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tun.duplicate_from(3, 3), r"pidfd_getfd: EPERM\): run again with sudo"),
        (lambda: tun.same_file(0, 1), r"kcmp\(2\) needs CONFIG_KCMP"),
    ],
)
def test_what_the_kernel_forbids_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, call: object, words: str
) -> None:
    class Forbids:
        def syscall(self, *_: int) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

    assert callable(call)
    monkeypatch.setattr(tun, "_libc", Forbids())
    with pytest.raises(Unavailable, match=words):
        call()
