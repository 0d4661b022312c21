"""Saving and loading the back end's internal state with a snapshot (DEVICE_STATE): there is none, and this says so."""

from __future__ import annotations

import os

from harness.host.vhost_user.payloads import Malformed, StateTransfer

BLOB = b"vhost-user-net back end without state\n"
"""What is saved. It tells nothing of enabled rings on purpose: a restoring VMM has to enable them itself."""

NO_DESCRIPTOR = 0x100
"""Reply to SET_DEVICE_STATE_FD: use the descriptor that the front end gave (bit 8), no error (bits 0-7)."""


class BackendState:
    """One transfer at a time, as the front end asks for it."""

    def __init__(self) -> None:
        self._source: int | None = None

    def begin(self, transfer: StateTransfer, fd: int) -> None:
        """Write the state to `fd`, or keep it to read from at `finish`. Owns `fd`."""
        self.close()
        if transfer.direction == StateTransfer.SAVE:
            try:
                os.write(fd, BLOB)
            except OSError as error:
                raise Malformed(
                    f"SET_DEVICE_STATE_FD with a descriptor that takes no data: {error.strerror}"
                ) from None
            finally:
                os.close(fd)
        else:
            os.set_blocking(fd, False)
            self._source = fd

    def finish(self) -> bool:
        """Whether the transfer went well; a load must have brought what a save wrote."""
        if self._source is None:
            return True
        try:
            data = b"".join(iter(lambda: os.read(self._source or 0, 4096), b""))
        except OSError:
            data = b""
        self.close()
        return data == BLOB

    def close(self) -> None:
        """Forget a transfer that never finished."""
        if self._source is not None:
            os.close(self._source)
        self._source = None
