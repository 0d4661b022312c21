"""Running other people's commands: in a process group of their own, with a deadline, their output in a file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.bounded import MIB, PIECE, TooSlow, Unreadable, read_tail, run
from harness.deadline import PACE, Deadline
from harness.errors import BadInput, DeadlineExceeded, Owner, Unavailable
from harness.process.tether import end_group, tethered

GIT_SECONDS = 600.0
_GIT_WORDS = 64 * MIB
"""Bytes that git may say: a list of 100,000 commits has 4 MB."""
"""A checkout of a large repository takes a while."""
Tell = Callable[[float, str], None]
"""Hears how long a command has been running, in seconds, and what it said last."""
TELL_EVERY = 15.0


def run_command(
    command: Sequence[str],
    *,
    log: Path,
    within: float,
    doing: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    for_git: bool = False,
    tell: Tell | None = None,
) -> int:
    """Run a command; its exit status. Its output goes to `log`.

    `within` is seconds before PACE. When they are over, or this process ends, all of the command's group is ended.
    `tell` is called every 15 s while it runs. `for_git`: stderr is shown, and the
    descriptors that are inheritable stay open.
    Raises DeadlineExceeded, `doing` completing "waited ... s for".
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            tethered(command),
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if for_git else subprocess.STDOUT,
            start_new_session=True,
            close_fds=not for_git,
        )
        try:
            return _await(process, within * PACE, log, tell)
        except subprocess.TimeoutExpired:
            said = last_line(log) or "nothing"
            raise DeadlineExceeded(
                f"waited {within * PACE:.0f} s for {doing}; it last said: {said}", Owner.HOST
            ) from None
        finally:
            if process.poll() is None:
                end_group(process)


def _await(process: subprocess.Popen[bytes], within: float, log: Path, tell: Tell | None) -> int:
    """Its exit status. Raises TimeoutExpired."""
    begin = time.monotonic()
    while tell is not None and (left := within - (time.monotonic() - begin)) > TELL_EVERY:
        try:
            return process.wait(min(TELL_EVERY, left))
        except subprocess.TimeoutExpired:
            tell(time.monotonic() - begin, last_line(log))
    return process.wait(within - (time.monotonic() - begin))


def last_line(log: Path) -> str:
    """The last line of a log that says anything, 200 characters at most."""
    end = read_tail(log, PIECE)[1].decode(errors="replace")
    lines = [line for line in end.splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else ""


class Git:
    """git in one repository or worktree. Hooks are off: nobody asked for them to run here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str) -> str:
        """What git prints, without the newline at the end. Raises BadInput with what it complains of."""
        status, printed, errors = self._run(words)
        if status:
            said = " ".join(errors.split()) or f"exit status {status}"
            raise BadInput(f"git {words[0]} in {self.folder} failed: {said[:300]}")
        return printed.rstrip("\n")

    def says(self, *words: str) -> bool:
        """Whether git ends with 0: for questions."""
        return self._run(words)[0] == 0

    def commit(self, option: str, revision: str) -> str:
        """The full hash of what --`option` names. Raises BadInput."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if not self.says(*words):
            raise BadInput(f"--{option} {revision}: {self.folder} has no such commit; git fetch may bring it")
        return self(*words)

    def command(self, *words: str) -> list[str]:
        """The whole command line."""
        return ["git", "-C", str(self.folder), "-c", "core.hooksPath=/dev/null", *words]

    def _run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Exit status, output, errors."""
        try:
            environment = environment_for_git()
            return run(self.command(*words), _GIT_WORDS, Deadline(GIT_SECONDS), environment=environment)
        except FileNotFoundError:
            raise Unavailable("git is missing: apt-get install git") from None
        except Unreadable as error:
            raise BadInput(f"git {words[0]} in {self.folder} {error}") from None
        except TooSlow:
            raise DeadlineExceeded(
                f"waited {GIT_SECONDS * PACE:.0f} s for git {words[0]}", Owner.HOST
            ) from None


_TO_ONE_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


def clean_environment() -> dict[str, str]:
    """The environment without what ties git to one repository, as it is inside a hook or an alias of git."""
    return {name: value for name, value in os.environ.items() if name not in _TO_ONE_REPOSITORY}


def environment_for_git() -> dict[str, str]:
    """The environment for git: free of any repository, English, and without questions at the terminal."""
    return {**clean_environment(), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
