"""What the instrumented back end can be told to do wrong. Fewer queues or features are a matter of its `Offer`."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import BadInput
from harness.host.vhost_user.matching import Match, require_acknowledged


@dataclass(eq=False)
class Fault(Match):
    """Strikes the messages that it matches, from the moment it is armed."""


@dataclass(eq=False)
class Refuse(Fault):
    """The message has no effect and is acknowledged with `answer`, which is not 0."""

    answer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_acknowledged(self.kind, "refusing")
        if not self.answer:
            raise BadInput("0 acknowledges success; refuse with any other number")

    def __str__(self) -> str:
        return f"refuse {super().__str__()}"


@dataclass(eq=False)
class Delay(Fault):
    """The message takes effect, and is answered, only after `delay` seconds; frames move meanwhile."""

    delay: float = 1.0

    def __str__(self) -> str:
        return f"delay {super().__str__()} by {self.delay} s"


@dataclass(eq=False)
class NeverAnswer(Fault):
    """The message has no effect and no answer. Closing the connection is the only way out for a VMM that waits."""

    def __str__(self) -> str:
        return f"never answer {super().__str__()}"


@dataclass(eq=False)
class CloseOn(Fault):
    """The connection is closed instead of handling the message. The back end takes a new one at once."""

    def __str__(self) -> str:
        return f"close on {super().__str__()}"
