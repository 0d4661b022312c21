"""From what the user typed to a build under test: --vmm NAME=PATH, --vmm PATH, --vmm release:vX.Y, or nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.bounded import MIB, TooSlow, Unreadable, run
from harness.deadline import Deadline
from harness.errors import BadInput
from harness.printable import printable
from harness.process.exit_status import FROM_OUTSIDE, ExitStatus
from harness.vmm.alioth import Alioth
from harness.vmm.base import Vmm
from harness.vmm.cloud_hypervisor import CloudHypervisor
from harness.vmm.crosvm import Crosvm
from harness.vmm.kvmtool import Kvmtool
from harness.vmm.qemu import Qemu
from harness.vmm.qemu_microvm import QemuMicrovm
from harness.vmm.release import fetch_release
from harness.vmm.stratovirt import StratoVirt

QEMU_PROGRAM = "qemu-system-x86_64"
CLOUD_HYPERVISOR_PROGRAM = "cloud-hypervisor"
RELEASE = "release:"
"""How `--vmm` names a published build instead of a file."""
REFERENCE = QEMU_PROGRAM
"""The program beside which others are seen."""
VERSION_PATIENCE = 10.0
VERSION_LIMIT = MIB

KINDS: tuple[type[Vmm], ...] = (CloudHypervisor, Qemu, StratoVirt, Alioth, Kvmtool, Crosvm)
"""The programs that can be judged, told by what they print for --version."""

ASKED_FOR: Mapping[str, type[Vmm]] = {kind.kind: kind for kind in (QemuMicrovm,)}
"""Those that are asked for as KIND:PATH: another machine of one of these programs."""

VERSION_WORDS = ("--version", "-version", "version")
"""How programs are asked for their version, in this order: StratoVirt ends over the first, crosvm over both."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*$")


def _program(text: str) -> Path:
    """The executable that `text` names: a path, or a program on PATH."""
    found = shutil.which(text)
    if found is not None:
        return Path(found).absolute()
    path = Path(text)
    if not path.exists():
        where = (
            "there is no such file" if "/" in text else "no such program is on PATH, and no such file is here"
        )
        raise BadInput(f"--vmm {text}: {where}; give the path of a VMM's binary")
    if path.is_file() and os.access(path, os.X_OK):
        return path.absolute()  # in this folder: which() looks there only for names with a slash
    if path.is_dir():
        raise BadInput(f"--vmm {text}: this is a folder; give the path of the binary inside")
    raise BadInput(f"--vmm {text}: this file is not executable; run: chmod +x {text}")


class _NoVersion(Exception):
    """It has another word for its version, or none."""


def _version(path: Path, word: str) -> str:
    """The first line that `PATH WORD` prints. Raises _NoVersion with the sentence if that does not succeed."""
    deadline = Deadline(VERSION_PATIENCE)
    try:
        status, printed, errors = run([os.fspath(path), word], VERSION_LIMIT, deadline)
    except TooSlow:
        raise BadInput(f"--vmm {path}: it did not answer {word} within {deadline.seconds:.0f} s") from None
    except Unreadable as error:
        raise BadInput(f"--vmm {path}: {word} {error}") from None
    except OSError as error:
        raise BadInput(
            f"--vmm {path}: it cannot be executed ({error.strerror}); is it a binary for this machine?"
        ) from error
    lines = printable(printed).strip().splitlines()
    if status != 0 or not lines:
        said = (printable(errors).strip().splitlines() or ["nothing"])[-1]
        ended = ExitStatus.of(status)
        if ended.code in FROM_OUTSIDE:
            raise BadInput(f"--vmm {path}: {word} was {ended}, which no program does to itself: run again")
        raise _NoVersion(f"{word} ended ({ended}) and said: {said[:120]}")
    return lines[0][:120]


def identify(name: str | None, path: Path) -> Vmm:
    """The build behind an executable, told by the version that it prints. Raises BadInput for any other program."""
    heard = []
    for word in VERSION_WORDS:
        try:
            line = _version(path, word)
        except _NoVersion as error:
            heard.append(str(error))
            continue
        for kind in KINDS:
            if line.startswith(kind.banner):
                return kind(name or kind.kind, path, line.removeprefix(kind.banner).strip())
        heard.append(f"{word} says {line[:80]!r}")
    known = ", ".join(kind.kind for kind in KINDS)
    raise BadInput(f"--vmm {path}: this is none of {known}: {heard[0]}")


def _one(text: str, cache: Path | None) -> Vmm:
    name, equals, place = text.partition("=")
    if not equals or "/" in name or ":" in name:
        name, place = "", text
    elif not _NAME.match(name):
        raise BadInput(
            f"--vmm {text}: the name {name!r} may hold only letters, digits and, after the first, . + - _"
        )
    if not place:
        raise BadInput(f"--vmm {text}: a path is missing after the equals sign")
    kind, colon, path = place.partition(":")
    if colon and (asked := ASKED_FOR.get(kind)):
        if not path:
            raise BadInput(f"--vmm {text}: a path is missing after the colon")
        program = identify(None, _program(path))
        if not issubclass(asked, type(program)):
            raise BadInput(f"--vmm {text}: {path} is a {program.kind}, which has no {kind}")
        return asked(name or kind, program.path, program.version)
    if place.startswith(RELEASE):
        release = fetch_release(place.removeprefix(RELEASE), cache)
        return identify(name or place.removeprefix(RELEASE).partition("@")[0], release)
    return identify(name or None, _program(place))


def may_be_a_build(place: str) -> bool:
    """Whether there is something where `place` points, as far as that can be said before it is used."""
    kind, _, path = place.partition(":")
    return place.startswith(RELEASE) or Path(path if kind in ASKED_FOR else place).is_file()


def from_anywhere(place: str) -> str:
    """The same build, as a command in another folder asks for it."""
    kind, colon, path = place.partition(":")
    if colon and kind in ASKED_FOR:
        return f"{kind}:{from_anywhere(path)}"
    if place.startswith(RELEASE):
        return place
    return str(Path(shutil.which(place) or place).absolute())


def find_vmms(asked: Sequence[str], *, cache: Path | None = None) -> list[Vmm]:
    """The builds that a run is about, in the order asked for.

    With nothing asked: the cloud-hypervisor on PATH, if there is one, and QEMU as the reference.
    Raises BadInput with one sentence for whatever cannot be used.
    """
    if asked:
        found = [_one(text, cache) for text in asked]
    else:
        programs = (CLOUD_HYPERVISOR_PROGRAM, QEMU_PROGRAM)
        found = [identify(None, Path(path)) for program in programs if (path := shutil.which(program))]
        if not found:
            raise BadInput(
                "no VMM to judge: give one with --vmm NAME=PATH, or install the reference: "
                "apt-get install qemu-system-x86"
            )
    names = [vmm.name for vmm in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadInput(f"two builds are called {twice.pop()!r}: tell them apart with --vmm NAME=PATH")
    return found
