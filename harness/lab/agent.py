"""The lab's one lasting process: it imports everything, then forks for each run and passes on what comes out.

In the lab it is process 1. It is single-threaded and does nothing that blocks but writing to the keeper, who reads.
"""

from __future__ import annotations

import argparse
import os
import platform
import selectors
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from harness.lab.idle_vm import IdleVm
from harness.lab.preload import preload
from harness.lab.run import READ_SIZE, Run, exit_code
from harness.lab.state import sources
from harness.lab.visible import make_visible
from harness.lab.wire import Decoder, Facts, Frame, Kind, Request, frame

PORT = "mq.agent"
"""The name of the virtio-serial port to the keeper."""


class Agent:
    """Serves one keeper over `port`, a descriptor, until that is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._decoder = Decoder()
        self._runs: dict[int, Run] = {}
        self._selector = selectors.DefaultSelector()
        self._sources = sources()
        self._open = True

    def serve(self) -> None:
        """Import everything, say so, and run what is asked for."""
        preload(lambda name: self._send(frame(0, Kind.IMPORTING, name)))
        self._await(self._port, self._hear)
        self._await(self._children(), self._reap)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        self._send(frame(0, Kind.READY, Facts(platform.release(), os.cpu_count() or 1)))
        while self._open:
            for key, _ in self._selector.select():
                key.data(key.fd)
        for run in self._runs.values():
            run.close()

    def _await(self, descriptor: int, callback: Callable[[int], object]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, callback)

    def _children(self) -> int:
        """A descriptor that becomes readable when a child ends."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer)
        return reader

    def _stop(self) -> None:
        self._open = False

    def _send(self, message: Frame) -> None:
        data = message.packed()
        while data:
            data = data[os.write(self._port, data) :]

    def _hear(self, port: int) -> None:
        data = os.read(port, READ_SIZE)
        if not data:
            self._stop()
        for message in self._decoder.feed(data):
            self._obey(message)

    def _obey(self, message: Frame) -> None:
        run = self._runs.get(message.run)
        match message.kind:
            case Kind.PING:
                self._send(message)
            case Kind.START:
                self._start(message.run, message.holds(Request))
            case Kind.INPUT if run is not None:
                self._give(run, message.payload)
            case Kind.SIGNAL if run is not None:
                run.signal(message.holds(int))

    def _start(self, number: int, request: Request) -> None:
        make_visible(request.visible)
        run = self._runs[number] = Run(request, self._sources)
        for outlet in run.outlets:
            self._await(outlet, lambda outlet: self._forward(number, run, outlet))

    def _give(self, run: Run, data: bytes) -> None:
        """Pass on input, as the command takes it."""
        waiting = run.input in self._selector.get_map()
        if run.write(data) and not waiting:
            self._selector.register(run.input, selectors.EVENT_WRITE, lambda _: self._give(run, b""))
        elif waiting and not run.write():
            self._selector.unregister(run.input)

    def _forward(self, number: int, run: Run, outlet: int) -> bool:
        """Pass on what came out of an outlet; whether there may be more at once."""
        data = run.read(outlet)
        if data:
            self._send(Frame(number, run.outlets[outlet], data))
        elif data is None:
            with suppress(KeyError):
                self._selector.unregister(outlet)
        return bool(data)

    def _reap(self, reader: int) -> None:
        """Take note of children that ended; as process 1, of orphans too."""
        os.read(reader, READ_SIZE)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                for number, run in list(self._runs.items()):
                    if run.pid == ended[0]:
                        self._finish(number, run, exit_code(ended[1]))

    def _finish(self, number: int, run: Run, code: int) -> None:
        for outlet in run.outlets:
            while self._forward(number, run, outlet):
                pass
        for descriptor in (run.input, *run.outlets):
            with suppress(KeyError):
                self._selector.unregister(descriptor)
        del self._runs[number]
        run.close()
        self._send(frame(number, Kind.EXIT, code))


def _virtio_port() -> int:
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT:
            return os.open(f"/dev/{name.parent.name}", os.O_RDWR | os.O_CLOEXEC)
    raise SystemExit(f"lab failed: there is no virtio-serial port {PORT}")


def _idle_vm() -> IdleVm:
    try:
        return IdleVm()
    except OSError as error:
        raise SystemExit(f"lab failed: its KVM makes no virtual machine: {error.strerror}") from error


def main() -> None:
    """In the lab: serve the keeper by its port, or by a descriptor that was inherited."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--descriptor", type=int)
    given = parser.parse_args().descriptor

    if given is not None:
        Agent(given).serve()
        return
    with closing(_idle_vm()):
        Agent(_virtio_port()).serve()


if __name__ == "__main__":
    main()
