"""The errors a user sees: each is one sentence that says what went wrong, where, and how to mend it."""


class HarnessError(Exception):
    """Base of every error raised on purpose. Its text is fit to be shown without a traceback."""


class BadInput(HarnessError):
    """What the user gave cannot be used: an option, a path, a file."""


class Unavailable(HarnessError):
    """This host lacks something that was asked for: a permission, a package, a kernel feature."""


class DeadlineExceeded(HarnessError, TimeoutError):
    """Something awaited did not happen in time. The text says what was awaited and what was last seen."""


class GuestError(HarnessError):
    """The guest misbehaved: it faulted, panicked, or answered what its protocol does not allow."""


class VmmError(HarnessError):
    """The VMM refused a request or answered nonsense on its API. The text carries what it said."""


class VmmDied(VmmError):
    """The VMM's process ended where it should have lived. The text carries its exit status and last words.

    `code` is the exit status as a shell counts it: above 128 a signal ended it. `output` is all that it printed.
    """

    def __init__(self, text: str, code: int = 1, output: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.output = output
