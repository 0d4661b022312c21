#!/usr/bin/env python3
"""A program that passes for a VMM on its command line, and then does what its first argument says.

The second argument is not looked at: it shows in the process list whose fake this is. The rest are a VMM's.

It speaks just enough of cloud-hypervisor's API and of QEMU's monitor to be driven wrong. Nothing is emulated.
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time
from typing import NoReturn

VERSIONS = {"cloud-hypervisor": "cloud-hypervisor v99.9-fake", "qemu": "QEMU emulator version 99.9 (fake)"}


def say(words: str) -> None:
    print(words, flush=True)


def die() -> NoReturn:
    """End as a VMM does that refuses its arguments or panics."""
    say("Error: the fake VMM was told to fail\n  0: it obeyed")
    sys.exit(1)


def forbid_getpgid() -> None:
    """Take a seccomp filter that answers this call (121 on x86-64) with SIGSYS, as cloud-hypervisor's threads do."""
    libc = ctypes.CDLL(None)
    load, is_it, trap, allow = (0x20, 0, 0, 0), (0x15, 0, 1, 121), (6, 0, 0, 0x30000), (6, 0, 0, 0x7FFF0000)
    code = b"".join(struct.pack("HBBI", *words) for words in (load, is_it, trap, allow))
    buffer = ctypes.create_string_buffer(code, len(code))
    libc.prctl(15, b"http-server", 0, 0, 0)  # PR_SET_NAME
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer)))
    libc.prctl(22, 2, program, 0, 0)  # PR_SET_SECCOMP, by a filter


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def answer(status: str, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def reply_to(behaviour: str, request: bytes) -> bytes | None:
    """What the API says to one request; None where it breaks the connection off."""
    match behaviour:
        case "api-rubbish":
            return b"220 mail.example.org ready\r\n\r\n"
        case "api-bad-json":
            return answer("200 OK", b'{"state": "Runn')
        case "api-not-an-object":
            return answer("200 OK", b"[1, 2]")
        case "api-refuses":
            return answer("500 Internal Server Error", b'["Error from API", "The VM could not boot"]')
        case "api-refuses-in-plain-text":
            return answer("500 Internal Server Error", b"no, and no list of causes either")
        case "api-refuses-oddly":
            return answer("400 Bad Request", b'["a list", {"of": "other things"}]')
        case "api-not-utf-8":
            return answer("200 OK", b'{"state": "\xff\xfe"}')
        case "api-deep":
            return answer("200 OK", b"[" * 200_000)
        case "api-refuses-with-escapes":
            return answer("500 Internal Server Error", b'["\\u001b[31mred", "\\u001b]0;title\\u0007"]')
        case "api-has-no-state":
            return answer("200 OK", b"{}")
        case "api-hangs-up":
            return None
        case "api-hangs":
            signal.pause()
        case "api-is-late":
            time.sleep(0.4)
        case "api-panics":
            say("thread 'vmm' panicked at src/vm.rs:1:1:\nindex out of bounds\nstack backtrace:\n  0: main")
            signal.pause()
        case "api-forbidden":
            forbid_getpgid()
            os.getpgid(0)
        case "api-dies":
            say("thread 'http-server' panicked at 'told to'")
            os.abort()
    if b"vm.info" in request:
        return answer("200 OK", json.dumps({"state": "Running", "memory_actual_size": 1}).encode())
    return answer("204 No Content")


def talk_without_end(connection: socket.socket, head: bytes, piece: bytes, seconds: float) -> None:
    connection.sendall(head)
    while True:
        time.sleep(seconds)
        try:
            connection.sendall(piece)
        except OSError:
            return


WITHOUT_END = {
    "api-drips": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x", 0.05),
    "api-drips-headers": (b"HTTP/1.1 200 OK\r\n", b"x", 0.05),
    "api-has-no-end": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, 0.0),
    "api-has-no-end-of-headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, 0.0),
    "api-continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.0),
}


def serve_api(listener: socket.socket, behaviour: str) -> NoReturn:
    while True:
        connection, _ = listener.accept()
        with connection:
            if behaviour in WITHOUT_END:
                connection.recv(65536)
                talk_without_end(connection, *WITHOUT_END[behaviour])
                continue
            while (request := connection.recv(65536)) and (reply := reply_to(behaviour, request)) is not None:
                say(f"request: {request.split(b'HTTP')[0].decode()}")
                connection.sendall(reply)


def play_cloud_hypervisor(behaviour: str, arguments: list[str]) -> NoReturn:
    def option(name: str) -> str:
        return arguments[arguments.index(name) + 1].partition("=")[2]

    api = listen(option("--api-socket"))
    if behaviour == "hangs-at-start":
        say("still opening things")
        signal.pause()
    if behaviour == "dies-after-its-api-socket":
        die()
    with listen(option("--serial")):  # nothing is ever accepted or said there: a silent guest
        serve_api(api, behaviour)


def play_qemu(behaviour: str, arguments: list[str]) -> NoReturn:
    monitor = next(word for word in arguments if word.startswith("socket,id=qmp"))
    connection = socket.socket(fileno=int(monitor.rpartition("=")[2]))
    if behaviour == "qmp-rubbish":
        connection.sendall(b"220 mail.example.org ready\r\n")
    if behaviour == "qmp-deep":
        connection.sendall(b"[" * 200_000 + b"\r\n")
    if behaviour == "qmp-not-utf-8":
        connection.sendall(b'{"QMP": "\xff\xfe"}\r\n')
    if behaviour == "qmp-has-no-end":
        talk_without_end(connection, b"", b"x" * 65536, 0.0)
    if behaviour == "qmp-closes":
        connection.close()
    while True:
        signal.pause()


def main(behaviour: str, arguments: list[str]) -> None:
    family = "qemu" if behaviour.startswith("qmp-") else "cloud-hypervisor"
    if arguments == ["--version"]:
        if behaviour == "hangs-at-version":
            signal.pause()
        while behaviour == "floods-at-version":
            say("cloud-hypervisor v99.9 " * 1000)
        say(VERSIONS[family])
        return
    if behaviour == "floods-with-escapes":
        say("\x1b[2J\x1b]0;title\x07\x9b31m " * 1_000_000)
    if behaviour == "floods":
        for _ in range(1000):
            say("x" * 999_999)
    if behaviour == "api-healthy":
        say(f"arguments: {json.dumps(arguments)}")
        say(f"environment: {json.dumps(dict(os.environ))}")
    if behaviour in ("dies-at-start", "qmp-dies-at-start"):
        die()
    (play_qemu if family == "qemu" else play_cloud_hypervisor)(behaviour, arguments)


main(sys.argv[1], sys.argv[3:])
