"""cloud-hypervisor releases by name, for users with a network: downloaded once, and pinned by checksum.

The checksum is the one given, or the one that the lock file recorded at the first download.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from harness.bounded import MIB, PIECE, TooSlow, Unreadable, collect, parse_json, read_file
from harness.cache import cache_root
from harness.deadline import Deadline
from harness.errors import BadInput, Unavailable

RELEASES = os.environ.get(
    "MQ_RELEASES", "https://github.com/cloud-hypervisor/cloud-hypervisor/releases/download"
)
"""Where releases lie: RELEASES/TAG/cloud-hypervisor-static. MQ_RELEASES names a mirror."""

ASSET = "cloud-hypervisor-static"
CONNECT_PATIENCE = 10.0
READ_PATIENCE = 60.0
DOWNLOAD_PATIENCE = 600.0
LARGEST = 256 * MIB
"""Of a release: cloud-hypervisor-static has some 5 MiB."""

_WANTED = re.compile(r"(?P<tag>v[0-9][A-Za-z0-9.-]*)(?:@sha256:(?P<digest>[0-9a-f]{64}))?$")


def fetch_release(wanted: str, cache: Path | None = None, *, source: str = RELEASES) -> Path:
    """The binary of release `wanted`, "vX.Y" or "vX.Y@sha256:DIGEST", from the cache or downloaded into it.

    Raises BadInput for a malformed name or a wrong checksum, Unavailable where it cannot be downloaded.
    """
    match = _WANTED.match(wanted)
    if match is None:
        raise BadInput(
            f"--vmm release:{wanted}: write release:vX.Y, or release:vX.Y@sha256: and 64 hex digits"
        )
    folder = (cache or cache_root()) / "releases"
    lock = folder / "releases.lock.json"
    pinned = _pins(lock)
    tag, digest = match["tag"], match["digest"] or pinned.get(match["tag"])
    path = folder / tag / ASSET
    data = _kept(path) if path.exists() else _download(f"{source}/{tag}/{ASSET}")
    actual = hashlib.sha256(data).hexdigest()
    if digest is not None and actual != digest:
        pin = "given" if match["digest"] else f"recorded in {lock}"
        way_out = f"; delete {path} to download it anew" if path.exists() else ""
        raise BadInput(
            f"release {tag} has the checksum {actual}, which is not the one {pin}: {digest}{way_out}"
        )
    if not path.exists():
        _store(path, data, executable=True)
    if tag not in pinned:
        _store(lock, json.dumps({**pinned, tag: actual}, indent=2).encode() + b"\n")
    return path


def _kept(path: Path) -> bytes:
    try:
        return read_file(path, LARGEST)
    except Unreadable as error:
        raise BadInput(f"{path} {error}; delete it to download it anew") from None


def _pins(lock: Path) -> dict[str, str]:
    if not lock.exists():
        return {}
    try:
        pins = parse_json(read_file(lock, MIB))
        if not isinstance(pins, dict):
            raise Unreadable("is no JSON object")
    except Unreadable as error:
        raise BadInput(f"{lock} is damaged (it {error}); delete it to pin the releases anew") from None
    return {str(tag): str(digest) for tag, digest in pins.items()}


def _download(url: str) -> bytes:
    import httpx  # slow to import

    deadline = Deadline(DOWNLOAD_PATIENCE)
    timeout = httpx.Timeout(READ_PATIENCE, connect=CONNECT_PATIENCE)
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise BadInput(f"there is no release at {url}: is the name right?")
            if answer.is_error:
                raise Unavailable(f"cannot download {url}: the server answered {answer.status_code}")
            content = collect(answer.iter_bytes(PIECE), LARGEST, deadline)
    except TooSlow:
        raise Unavailable(
            f"cannot download {url}: it was not complete after {deadline.seconds:.0f} s"
        ) from None
    except Unreadable as error:
        raise BadInput(f"{url} is no release of cloud-hypervisor: it {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(
            f"cannot download {url} ({error}): releases need a network that reaches this address; "
            f"without one give --vmm NAME=PATH"
        ) from error
    if not content:
        raise BadInput(f"{url} is no release of cloud-hypervisor: it is empty")
    return content


def _store(path: Path, data: bytes, *, executable: bool = False) -> None:
    """Write a file so that it is there whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(data)
            partial.chmod(0o755 if executable else 0o644)
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot write {path} ({error.strerror}): is the disk full, the folder writable?"
        ) from error
