"""A program that traces a process for forbidden system calls; run by `violations.ViolationWatch`.

It needs nothing but Python's standard library (`python -I -S`). It reads one process id from its input, seizes
every thread of it, and writes a line of JSON for each event: {"ready": true}, {"refused": errno}, or a violation.
It ends with the process.

A tracer must not be the process that waits for the tracee as its parent: the two would steal each other's
wait(2) results. Hence a program of its own.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import struct
import sys
from pathlib import Path

PTRACE_CONT, PTRACE_GETEVENTMSG, PTRACE_GETSIGINFO, PTRACE_GETREGSET = 7, 0x4201, 0x4202, 0x4204
PTRACE_SEIZE, PTRACE_LISTEN = 0x4206, 0x4208
TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXIT = 2, 4, 8, 0x40
EVENT_EXIT, EVENT_STOP = 6, 128
WALL = 0x40000000
NT_PRSTATUS = 1
SYS_SECCOMP = 1
"""si_code of a SIGSYS that a seccomp filter raised."""
JOB_CONTROL = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

ARGUMENTS = {"x86_64": (14, 13, 12, 7, 9, 8), "aarch64": (0, 1, 2, 3, 4, 5)}[platform.machine()]
"""Where a system call's arguments stand among the general registers of NT_PRSTATUS."""
X86_RAX, X86_ORIG_RAX = 10, 15

reported: set[int] = set()

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def ptrace(request: int, tid: int, address: int = 0, data: object = None) -> None:
    """ptrace(2). Raises OSError; ESRCH means that the thread is gone, or not stopped."""
    if _libc.ptrace(request, tid, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def registers(tid: int) -> tuple[int, ...]:
    """The general registers of a stopped thread, as 64-bit words."""
    buffer = ctypes.create_string_buffer(1024)
    vector = _IoVec(ctypes.addressof(buffer), len(buffer))
    ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, ctypes.byref(vector))
    return struct.unpack(f"={vector.length // 8}Q", buffer.raw[: vector.length])


def forbidden_by_signal(tid: int) -> int | None:
    """The number of the call for which a SIGSYS is about to be delivered, if a filter raised it (TRAP)."""
    info = ctypes.create_string_buffer(128)
    ptrace(PTRACE_GETSIGINFO, tid, 0, info)
    _signo, _errno, code, _call_address, number, _arch = struct.unpack_from("=iii4xQiI", info.raw)
    return int(number) if code == SYS_SECCOMP else None


def forbidden_by_death(tid: int) -> int | None:
    """The number of the call for which a thread is being killed (KILL_THREAD, KILL_PROCESS); x86-64 only.

    All threads of a killed process end alike. The guilty one is known by its registers: before the kernel kills
    it, it rolls the call back, and the result register holds the number of the call again.
    """
    status = ctypes.c_ulong()
    ptrace(PTRACE_GETEVENTMSG, tid, 0, ctypes.byref(status))
    if status.value & 0x7F != signal.SIGSYS or platform.machine() != "x86_64":
        return None
    words = registers(tid)
    return words[X86_ORIG_RAX] if words[X86_RAX] == words[X86_ORIG_RAX] else None


def report(tid: int, number: int | None) -> None:
    """Write a violation to the output, if there is one; a thread that then dies of the signal counts once."""
    if number is None or tid in reported:
        return
    reported.add(tid)
    words = registers(tid)
    name = Path(f"/proc/{tid}/comm").read_text().rstrip("\n")
    write({"tid": tid, "thread": name, "number": number, "arguments": [words[i] for i in ARGUMENTS]})


def write(line: object) -> None:
    """One line of JSON."""
    print(json.dumps(line), flush=True)


def seize(pid: int) -> None:
    """Trace every thread of the process, and all that they start."""
    options = ctypes.c_void_p(TRACECLONE | TRACEFORK | TRACEVFORK | TRACEEXIT)
    seized: set[int] = set()
    while todo := {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - seized:
        for tid in todo:
            try:
                ptrace(PTRACE_SEIZE, tid, 0, options)
            except OSError as error:
                # a thread that a seized one has started meanwhile is traced already, or it has ended
                if not seized or error.errno not in (errno.EPERM, errno.ESRCH):
                    raise
            seized.add(tid)


def attend(tid: int, status: int) -> None:
    """Look at a stopped thread, and let it go on as if nobody had looked."""
    stopped_by, event = os.WSTOPSIG(status), status >> 16
    if event == EVENT_STOP and stopped_by in JOB_CONTROL:
        ptrace(PTRACE_LISTEN, tid)
        return
    if event == EVENT_EXIT:
        report(tid, forbidden_by_death(tid))
    elif not event and stopped_by == signal.SIGSYS:
        report(tid, forbidden_by_signal(tid))
    ptrace(PTRACE_CONT, tid, 0, ctypes.c_void_p(0 if event else stopped_by))


def main() -> None:
    """Trace the process that the input names, to its end."""
    line = sys.stdin.readline()
    if not line:
        return
    try:
        seize(int(line))
    except OSError as error:
        write({"refused": error.errno})
        return
    write({"ready": True})
    while True:
        try:
            tid, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return
        if os.WIFSTOPPED(status):
            try:
                attend(tid, status)
            except ProcessLookupError:
                continue  # killed while it was stopped


if __name__ == "__main__":
    main()
