"""The errors a user sees: each is one sentence that says what went wrong, where, and how to mend it."""

from __future__ import annotations

from enum import Enum
from typing import Self


class Owner(Enum):
    """Who owed what was awaited: whom a deadline that passes accuses."""

    HOST = "host"
    """This machine, with what the suite runs on it beside the VMM. Nothing is said about the VMM."""
    VMM = "vmm"
    GUEST = "guest"
    """What runs inside the VM: what the VMM owes it, it owes the suite."""


class HarnessError(Exception):
    """Base of every error raised on purpose. Its text is fit to be shown without a traceback."""

    def with_more(self, words: str) -> Self:
        """The same error, with these words at the end of its text."""
        again = type(self).__new__(type(self))
        again.__dict__.update(self.__dict__)
        again.args = (f"{self}{words}",)
        return again


class BadInput(HarnessError):
    """What the user gave cannot be used: an option, a path, a file."""


class Unavailable(HarnessError):
    """This host lacks something that was asked for: a permission, a package, a kernel feature."""


class DeadlineExceeded(HarnessError, TimeoutError):
    """Something awaited did not happen in time. The text says what was awaited and what was last seen.

    One that the host owed names the way out: it may only be slow.
    """

    def __init__(self, text: str, owed_by: Owner) -> None:
        way_out = "; the host owed it, not the VMM: if it is only slow, MQ_PACE=5 waits five times as long"
        super().__init__(text + way_out * (owed_by is Owner.HOST))
        self.owed_by = owed_by


class GuestError(HarnessError):
    """The guest misbehaved: it faulted, panicked, or answered what its protocol does not allow."""


class VmmError(HarnessError):
    """The VMM refused a request or answered nonsense on its API. The text carries what it said."""


class Lacks(HarnessError):
    """The VMM does not have what a test asks of it, and does not claim to: such a test is skipped."""


class VmmDied(VmmError):
    """The VMM's process ended where it should have lived. The text carries its exit status and last words.

    `code` is the exit status as a shell counts it: above 128 a signal ended it. `output` is all that it printed.
    """

    def __init__(self, text: str, code: int = 1, output: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.output = output


def unforeseen(what: str, error: BaseException) -> str:
    """The sentence for an error that nobody raised on purpose: `what` failed over it."""
    return f"{what} ({type(error).__name__}: {error}): this is a fault of the suite, please report it"
