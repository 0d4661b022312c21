"""The seccomp filter that hands every TUNSETQUEUE of a process over to a supervisor, and every start of a loop.

Where it is asked for, reads and writes as well.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading

from harness.errors import Unavailable
from harness.host import tun
from harness.host.syscalls import kernel

SECCOMP_SET_MODE_FILTER = 1
SPEC_ALLOW = 1 << 2
NEW_LISTENER = 1 << 3
WAIT_KILLABLE_RECV = 1 << 5

LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, USER_NOTIF = 0x7FFF0000, 0x7FC00000
NUMBER_OFFSET, ARCH_OFFSET, COMMAND_OFFSET = 0, 4, 24
"""Offsets in struct seccomp_data; an ioctl's command is args[1], of which the kernel looks at 32 bits."""

REASONS = {
    errno.EINVAL: "the kernel lacks SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19 has it)",
    errno.ENOSYS: "the kernel is built without seccomp",
    errno.EPERM: "a sandbox around this process forbids seccomp(2); run outside it",
    errno.EBUSY: "this process already runs under another seccomp listener, such as a container's; run outside it",
}


def _program(frames: bool) -> bytes:
    numbers = kernel.abi()
    whole = [numbers.epoll_create1]
    """Calls that are handed over whatever their arguments."""
    if frames:
        whole += [numbers.read, numbers.write, numbers.readv, numbers.writev]

    def instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, operand)

    return b"".join(
        [
            instruction(LOAD_WORD, ARCH_OFFSET),
            instruction(JUMP_IF_EQUAL, numbers.audit, 0, len(whole) + 4),
            instruction(LOAD_WORD, NUMBER_OFFSET),
            *(instruction(JUMP_IF_EQUAL, number, len(whole) + 3 - i, 0) for i, number in enumerate(whole)),
            instruction(JUMP_IF_EQUAL, numbers.ioctl, 0, 2),
            instruction(LOAD_WORD, COMMAND_OFFSET),
            instruction(JUMP_IF_EQUAL, tun.TUNSETQUEUE, 1, 0),
            instruction(RETURN, ALLOW),
            instruction(RETURN, USER_NOTIF),
        ]
    )


class _SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def install(frames: bool = False) -> int:
    """Put the filter on the calling thread, and so on every process that it starts; returns the listener.

    `frames`: calls that read and write are handed over too, whatever the file.

    Other threads of this process are untouched. Without CAP_SYS_ADMIN the kernel wants NO_NEW_PRIVS first: it
    is then set on the calling thread, and what it executes no longer gains the capabilities written on its
    file (a VMM with `setcap cap_net_admin+ep` then needs ambient capabilities, or taps handed over as
    descriptors). WAIT_KILLABLE_RECV keeps signals, such as those that kick a vCPU out of the guest, from
    interrupting a call that is being judged; one that arrives in the microseconds before the supervisor takes
    the call up still does: the call is restarted, or returns EINTR where its handler lacks SA_RESTART.
    SPEC_ALLOW keeps the filter from slowing the VMM down.

    Raises Unavailable where the host does not allow it.
    """
    code = _program(frames)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = _SockFprog(len(code) // 8, ctypes.addressof(instructions))
    flags = NEW_LISTENER | WAIT_KILLABLE_RECV | SPEC_ALLOW

    try:
        try:
            return kernel.seccomp(SECCOMP_SET_MODE_FILTER, flags, program)
        except OSError as refused:
            if refused.errno != errno.EACCES:
                raise
            kernel.no_new_privileges()
            return kernel.seccomp(SECCOMP_SET_MODE_FILTER, flags, program)
    except OSError as error:
        reason = REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        raise Unavailable(f"system calls cannot be supervised here: {reason}") from error


def missing() -> str | None:
    """The sentence that says why no process can be supervised on this host, or None where it can."""
    verdict: list[str | None] = []

    def attempt() -> None:
        try:
            os.close(install())
            verdict.append(None)
        except Unavailable as reason:
            verdict.append(str(reason))

    thread = threading.Thread(target=attempt, name="seccomp-probe")
    thread.start()
    thread.join()
    return verdict[0]


def available() -> bool:
    """Whether processes can be supervised on this host; `missing` says why not."""
    return missing() is None
