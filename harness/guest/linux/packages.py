"""Debian packages without installing them: the versions that apt would take, and their files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.bounded import MIB, TooSlow, Unreadable, run
from harness.cache import cached
from harness.deadline import PACE, Deadline
from harness.errors import DeadlineExceeded, Owner, Unavailable

_APT_LISTS = Path("/var/lib/apt/lists")
OWN_IMAGE = "or give a kernel and an image of your own (--guest-kernel, --guest-image)"
_WORDS = 16 * MIB
"""Bytes that apt may say: what it knows of a package has kilobytes."""
_QUERY_SECONDS = 30.0
_DOWNLOAD_SECONDS = 120.0
_UNPACK_SECONDS = 60.0


class Unknown(Unavailable):
    """A package program has no answer, or cannot do what it was asked."""


@dataclass(frozen=True)
class Package:
    """A package as apt would fetch it: exactly these bytes."""

    name: str
    file_name: str
    digest: str
    """Of its bytes, by the strongest hash that the distribution lists: Debian SHA256, Ubuntu SHA512."""


def lists_state() -> bytes:
    """Changes whenever apt's knowledge of packages may have changed (apt-get update)."""
    if not _APT_LISTS.is_dir():
        return b""
    return "\n".join(
        f"{entry.name} {entry.stat().st_size} {entry.stat().st_mtime_ns}"
        for entry in sorted(os.scandir(_APT_LISTS), key=lambda entry: entry.name)
        if entry.is_file()
    ).encode()


def is_known(package: str) -> bool:
    """Whether apt could install it."""
    try:
        return bool(_run(["apt-cache", "show", "--no-all-versions", package], _QUERY_SECONDS, package))
    except Unknown:
        return False


def dependencies(names: Sequence[str]) -> list[str]:
    """The packages that these depend on, each once; of alternatives, all."""
    said = _run(["apt-cache", "depends", "--important", *names], _QUERY_SECONDS, ", ".join(names))
    found = re.findall(r"^ *\|?(?:Pre)?Depends: ([^<\s]+)$", said, re.MULTILINE)
    return list(dict.fromkeys(found))


def resolve(names: Sequence[str]) -> list[Package]:
    """What apt would download for these names, in their order. Needs no network."""
    said = _run([*_apt_get(), "--print-uris", "download", *names], _QUERY_SECONDS, ", ".join(names))
    found = {}
    for uri, file_name, digest in re.findall(r"^'(\S+)' (\S+) \d+ SHA\d+:(\w+)", said, re.MULTILINE):
        name = unquote(uri).rpartition("/")[2].partition("_")[0]
        found[name] = Package(name, file_name, digest)
    if missing := [name for name in names if name not in found]:
        raise Unavailable(
            f"apt does not say where {', '.join(missing)} can be fetched: run apt-get update, {OWN_IMAGE}"
        )
    return [found[name] for name in names]


def fetch(name: str, packages: Sequence[Package]) -> Path:
    """A folder that holds the packages' files, from the cache (as entry `name`) or the network.

    Raises Unavailable if one cannot be fetched, with apt's words.
    """
    names = [package.name for package in packages]

    def download(target: Path) -> None:
        target.mkdir()
        _run([*_apt_get(), "download", *names], _DOWNLOAD_SECONDS, ", ".join(names), cwd=target)

    return cached(name, " ".join(package.digest for package in packages).encode(), download)


def unpack(package: Package, fetched: Path, root: Path) -> Path:
    """Unpack a fetched package's files below `root`, and answer that."""
    _run(["dpkg-deb", "-x", str(fetched / package.file_name), str(root)], _UNPACK_SECONDS, package.name)
    return root


def find(root: Path, place: str) -> Path:
    """A file of an unpacked package, which may lie below usr/ as well. Raises Unavailable if it is not there."""
    for path in (root / place, root / "usr" / place):
        if path.is_file():
            return path
    raise Unavailable(f"the package {root.name} has no {place}: {OWN_IMAGE[3:]}")


def _apt_get() -> list[str]:
    options = ["Acquire::http::Timeout=15", "Acquire::https::Timeout=15", "Acquire::Retries=1"]
    if os.geteuid() == 0:
        # As root apt downloads as another user, who may not write in our folder.
        options.append("APT::Sandbox::User=root")
    return ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]


def _run(command: list[str], seconds: float, about: str, cwd: Path | None = None) -> str:
    """What the command prints. apt's own words are about what is missing, so they go into the error."""
    if shutil.which(command[0]) is None:
        raise Unavailable(
            f"the Linux guest is made of Debian packages, and {command[0]} is not on this host: "
            f"use Debian or Ubuntu, {OWN_IMAGE}"
        )
    try:
        environment = {**os.environ, "LC_ALL": "C"}
        status, said, errors = run(command, _WORDS, Deadline(seconds), folder=cwd, environment=environment)
    except Unreadable as error:
        raise Unknown(f"{command[0]} {error}: run apt-get update, {OWN_IMAGE}") from None
    except TooSlow:
        raise DeadlineExceeded(
            f"waited {seconds * PACE:.0f} s for {command[0]} to fetch {about}: check the mirror, {OWN_IMAGE}",
            Owner.HOST,
        ) from None
    if status:
        raise Unknown(
            f"{command[0]} cannot give {about} ({_first_error(errors)}): "
            f"run apt-get update, check the mirror, {OWN_IMAGE}"
        )
    return said


def _first_error(words: str) -> str:
    lines = words.splitlines() or ["no words"]
    return next((line for line in lines if line.startswith("E: ")), lines[0]).removeprefix("E: ")
