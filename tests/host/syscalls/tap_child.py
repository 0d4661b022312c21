"""A stand-in for a VMM: opens a multi-queue tap in a network namespace of its own and does what it is told.

Reads commands from its input, a JSON list a line, and answers each with a JSON value. Needs nothing but Python:
it runs with `-I -S`.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable

TUNSETIFF, TUNGETIFF, TUNSETQUEUE = 0x400454CA, 0x800454D2, 0x400454D9
TAP_MULTI_QUEUE = 0x0002 | 0x0100 | 0x1000
CLONE_NEWNET = 0x40000000
FLAGS = {"attach": 0x200, "detach": 0x400, "both": 0x600, "neither": 0}

libc = ctypes.CDLL(None, use_errno=True)
queues: dict[str, list[tuple[int, int]]] = {}


def ifreq(name: str, flags: int) -> bytes:
    return struct.pack("16sH22x", name.encode(), flags)


def enter() -> int:
    """Move into a network namespace of our own; the errno, or 0."""
    return ctypes.get_errno() if libc.unshare(CLONE_NEWNET) else 0


def open_tap(name: str, pairs: int, displaced: bool = False) -> list[int]:
    """Open a tap's queues, each with a duplicate descriptor as VMMs have; the descriptors.

    `displaced`: another file is closed after the first, so that the second gets a lower number.
    """
    other = os.open("/dev/null", os.O_RDONLY)
    fds: list[int] = []
    for _ in range(pairs):
        fds.append(os.open("/dev/net/tun", os.O_RDWR))
        fcntl.ioctl(fds[-1], TUNSETIFF, ifreq(name, TAP_MULTI_QUEUE))
        if displaced and len(fds) == 1:
            os.close(other)
    if not displaced:
        os.close(other)
    queues[name] = [(fd, os.dup(fd)) for fd in fds]
    return fds


def close_tap(name: str) -> None:
    for pair in queues.pop(name):
        for fd in pair:
            os.close(fd)


def attached(name: str) -> list[int]:
    """The pairs that the kernel holds attached, by TUNGETIFF's flag IFF_DETACH_QUEUE."""
    found: list[int] = []
    for pair, (fd, _) in enumerate(queues[name]):
        flags = struct.unpack_from("16xH", fcntl.ioctl(fd, TUNGETIFF, bytes(40)))[0]
        if not flags & 0x400:
            found.append(pair)
    return found


def set_queue(fd: int, flags: int) -> int:
    try:
        fcntl.ioctl(fd, TUNSETQUEUE, ifreq("", flags))
    except OSError as error:
        return error.errno or 0
    return 0


def call(name: str, action: str, pairs: list[int], thread: str | None = None, copy: int = 0) -> list[int]:
    """TUNSETQUEUE on these pairs, through their second descriptor if `copy`; the errnos. On a named thread if given."""
    results: list[int] = []

    def run() -> None:
        if thread:
            libc.prctl(15, thread.encode(), 0, 0, 0)
        results.extend(set_queue(queues[name][pair][copy], FLAGS[action]) for pair in pairs)

    if thread:
        worker = threading.Thread(target=run)
        worker.start()
        worker.join()
    else:
        run()
    return results


def descriptors(name: str, pair: int) -> tuple[int, int]:
    return queues[name][pair]


def close_copies(name: str) -> None:
    for _, copy in queues[name]:
        os.close(copy)


def call_unmapped(name: str) -> int:
    """TUNSETQUEUE with an argument that points nowhere; the errno."""
    done = libc.ioctl(queues[name][0][0], ctypes.c_ulong(TUNSETQUEUE), ctypes.c_void_p(16))
    return ctypes.get_errno() if done else 0


def call_fd(fd: int, action: str) -> int:
    """TUNSETQUEUE on any number; the errno."""
    argument = ctypes.create_string_buffer(ifreq("", FLAGS[action]))
    return ctypes.get_errno() if libc.ioctl(fd, ctypes.c_ulong(TUNSETQUEUE), argument) else 0


def many(name: str, count: int) -> None:
    """Detach and attach pair 1, `count` times."""
    fd = queues[name][1][0]
    for _ in range(count):
        set_queue(fd, 0x400)
        set_queue(fd, 0x200)


def restrict(action: int) -> int:
    """Install a seccomp filter of our own on the calling thread: `action` for TUNSETQUEUE, as a VMM does."""

    def i(code: int, k: int, t: int = 0, f: int = 0) -> bytes:
        return struct.pack("HBBI", code, t, f, k)

    nr = {"x86_64": (317, 16), "aarch64": (277, 29)}[os.uname().machine]
    code = i(0x20, 0) + i(0x15, nr[1], 0, 2) + i(0x20, 24) + i(0x15, TUNSETQUEUE, 1, 0)
    code += i(6, 0x7FFF0000) + i(6, action)
    buffer = ctypes.create_string_buffer(code, len(code))
    libc.prctl(38, 1, 0, 0, 0)
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    return ctypes.get_errno() if libc.syscall(nr[0], 1, 0, program) else 0


def kicked(name: str, action: str, pairs: list[int]) -> tuple[list[int], int]:
    """The same while a signal arrives every millisecond; the errnos, and how many signals came."""
    seen: list[int] = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.siginterrupt(signal.SIGALRM, False)  # SA_RESTART, as VMMs set it
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    results = call(name, action, pairs)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return results, len(seen)


def trapped(name: str) -> list[int]:
    """Detach pair 1 with a handler for SIGSYS; the signals that it saw."""
    seen: list[int] = []
    signal.signal(signal.SIGSYS, lambda number, _: seen.append(number))
    call(name, "detach", [1])
    return seen


def idle_threads(count: int) -> None:
    """Start threads that wait in a system call for ever."""
    for _ in range(count):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def loop_starts_after(thread: str) -> float:
    """Seconds until a thread of that name has an epoll instance."""
    taken: list[float] = []

    def run() -> None:
        libc.prctl(15, thread.encode(), 0, 0, 0)
        begin = time.monotonic()
        os.close(libc.epoll_create1(0))
        taken.append(time.monotonic() - begin)

    worker = threading.Thread(target=run)
    worker.start()
    worker.join()
    return taken[0]


def at_once(name: str, action: str, pairs: list[int]) -> None:
    """One thread for each pair, all at the same time."""
    arguments = [(queues[name][pair][0], FLAGS[action]) for pair in pairs]
    workers = [threading.Thread(target=set_queue, args=each) for each in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def forked(name: str, action: str, pairs: list[int]) -> list[object]:
    """The same from a child process; its process id and the errnos, or nothing if it died."""
    read, write = os.pipe()
    if not os.fork():
        os.write(write, json.dumps([os.getpid(), call(name, action, pairs)]).encode())
        os._exit(0)
    os.close(write)
    answer = os.read(read, 4096)
    os.close(read)
    os.wait()
    return list(json.loads(answer or "[]"))


def frame(name: str, pair: int, direction: str) -> int:
    """Read or write one frame; how many bytes passed, or minus the errno."""
    fd = queues[name][pair][0]
    try:
        return os.write(fd, bytes(64)) if direction == "write" else len(os.read(fd, 2048))
    except OSError as error:
        return -(error.errno or 0)


COMMANDS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        *(enter, open_tap, close_tap, close_copies, descriptors, attached, frame),
        *(
            call,
            call_fd,
            call_unmapped,
            kicked,
            at_once,
            loop_starts_after,
            forked,
            many,
            restrict,
            trapped,
            idle_threads,
        ),
    )
}

print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    command, *arguments = json.loads(line)
    print(json.dumps(COMMANDS[command](*arguments)), flush=True)
