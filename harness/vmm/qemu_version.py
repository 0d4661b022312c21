"""What differs between QEMU's versions, asked of the version that the binary names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.errors import BadInput

RECONNECT_SECONDS = 1


@dataclass(frozen=True)
class QemuVersion:
    """A version, such as (7, 2)."""

    number: tuple[int, int]

    @staticmethod
    def of(text: str) -> QemuVersion:
        """From what `--version` says after "QEMU emulator version". Raises BadInput for what is no version."""
        found = re.match(r"(\d+)\.(\d+)", text)
        if found is None:
            raise BadInput(f"this QEMU names no version that is a number: {text!r}")
        return QemuVersion((int(found[1]), int(found[2])))

    @property
    def reconnect(self) -> dict[str, int]:
        """A client socket's option to connect again: seconds until 9.1, then milliseconds, and in 11 only these."""
        if self.number < (9, 2):
            return {"reconnect": RECONNECT_SECONDS}
        return {"reconnect-ms": 1000 * RECONNECT_SECONDS}

    @property
    def msix_over_vhost_user(self) -> bool:
        """Whether a vhost-user NIC may have MSI-X under TCG: 7.2 ends by SIGSEGV over it, 8.2 and newer serve it."""
        return self.number >= (8, 2)


def as_words(options: dict[str, Any]) -> str:
    """Options as they are appended on a command line."""
    return "".join(f",{name}={value}" for name, value in options.items())
