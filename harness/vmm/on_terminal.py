"""VMMs that are run from a terminal, which is their guest's serial port."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from harness.process.child import VmmProcess
from harness.vmm.base import Launch, Vm, VmConfig, Vmm
from harness.vmm.pty_line import PtyLine
from harness.vmm.serial import SerialPort


class TerminalVm(Vm):
    """A VM whose VMM has a terminal of ours as its standard input and output. It needs no API: none is used here."""

    def __init__(self, vmm: Vmm, config: VmConfig, process: VmmProcess, line: PtyLine) -> None:
        super().__init__(vmm, config, process, SerialPort(line, self.check_alive))

    def stop(self) -> None:
        super().stop()
        for path in self.process.log.parent.rglob("*"):
            if path.is_socket():  # a VMM that is killed leaves its own
                path.unlink(missing_ok=True)


def execute(
    words: Sequence[str], config: VmConfig, launch: Launch, environment: Mapping[str, str] | None = None
) -> tuple[VmmProcess, PtyLine]:
    """Run a VMM on a terminal: its process, and our end of the guest's line."""
    line, terminal = PtyLine.pair()
    try:
        process = VmmProcess(
            [*words, *config.extra_args],
            launch.workdir / "vmm.log",
            terminal=terminal,
            environment=environment,
            pass_fds=config.descriptors,
            spawn=launch.spawn,
        )
    except BaseException:
        line.close()
        raise
    finally:
        os.close(terminal)
    return process, line
