"""What became of a control command: the device's answer, or its silence. It shows itself in failed assertions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from harness.errors import DeadlineExceeded, Owner, VmmError
from harness.guest.status import Status
from harness.record.landed import EACH_ONCE
from harness.record.pairs import ARRIVED

UNTOUCHED = 0xEE
"""What the ack byte holds before the device writes it."""


_NO_STATUS = Status(0)


class Ack(IntEnum):
    """The device's answer to a control command, and what stands for none."""

    OK = 0
    ERR = 1
    NONE = UNTOUCHED
    """The buffer came back, its ack byte untouched."""
    SILENCE = -1
    """The buffer never came back."""

    def __repr__(self) -> str:
        return {Ack.NONE: "no ack", Ack.SILENCE: "silence"}.get(self, f"ack {self.name}")


@dataclass(frozen=True, repr=False)
class Answer:
    """What became of a control command.

    True if it was acknowledged and False if it was refused; asking that of one that was answered neither so nor so
    raises: silence is no refusal.
    """

    command: str
    """What was asked, as people read it."""
    ack: Ack | int
    written: int | None = None
    """Bytes that the device says it has written; None if the buffer never came back."""
    data: bytes = b""
    """Everything that the device could write to, as it was left."""
    status: Status = _NO_STATUS
    """device_status afterwards."""
    waited: float = 0.0
    """Seconds for which an answer was awaited that did not come."""

    def __bool__(self) -> bool:
        if self.ack is Ack.SILENCE and not self._asks_for_reset:
            raise DeadlineExceeded(str(self), Owner.VMM)
        if self.ack not in (Ack.OK, Ack.ERR):
            raise VmmError(str(self))
        return self.ack is Ack.OK

    @property
    def _asks_for_reset(self) -> bool:
        return Status.NEEDS_RESET in self.status

    def __str__(self) -> str:
        match self.ack:
            case Ack.OK:
                return f"{self.command} was acknowledged"
            case Ack.ERR:
                return f"{self.command} was refused"
            case Ack.NONE:
                return f"{self.command} came back without an ack: its byte is untouched"
            case Ack.SILENCE if self._asks_for_reset:
                return f"{self.command} had no answer: the device asks for a reset"
            case Ack.SILENCE:
                return f"{self.command} had no answer within {self.waited:.1f} s"
        return f"{self.command} was answered {self.ack:#x}, which is neither OK nor ERR"

    __repr__ = __str__  # pytest shows it in failed assertions

    @property
    def told(self) -> str:
        """What the driver was told, for a timeline."""
        match self.ack:
            case Ack.NONE:
                return "nothing: the command came back without an ack"
            case Ack.SILENCE if self._asks_for_reset:
                return "nothing: the device asks for a reset"
            case Ack.SILENCE:
                return f"nothing within {self.waited:.1f} s"
        return self.ack.name if isinstance(self.ack, Ack) else f"{self.ack:#x}"


_WANTED = {"==": "", "is": "", "in": "one of ", "!=": "anything but ", "is not": "anything but "}


def explained(operator: str, left: object, right: object) -> list[str] | None:
    """What a failed comparison of acks found and expected, for pytest; None for any other."""
    found, wanted = _acks(left), _acks(right)
    if not found or not wanted or operator not in _WANTED:
        return None
    were = "the command was" if len(found) == 1 else "the commands were"
    return [f"{were} answered {', '.join(found)}: expected {_WANTED[operator]}{', '.join(wanted)}"]


def _acks(value: object) -> list[str]:
    """The acks of a value that is about nothing else, in words."""
    values = value if isinstance(value, list | tuple) else [value]
    words = [repr(each).removeprefix("ack ") for each in values if isinstance(each, Ack)]
    return words if len(words) == len(values) else []


_ASSERTED = re.compile(r"^assert (?P<no>not )?(?P<words>\S.* was (?P<done>acknowledged|refused))$")


def plain(assertion: str) -> str:
    """The first line of a failed assertion, in words where it is about an answer, a witness, or frames."""
    if (found := _ASSERTED.match(assertion)) is not None:
        return found["words"] + (", and should have been refused" if found["no"] else "")
    words = assertion.removeprefix("assert ")
    if words.startswith(f"{ARRIVED} 0 "):
        return f"{words}: expected at least one"
    return words if ": expected " in words or words.startswith(EACH_ONCE) else assertion
