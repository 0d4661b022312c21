"""The host's files that lie where the lab has folders for temporary files of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

OWN_FOLDERS = (Path("/tmp"), Path("/run"), Path("/var/tmp"), Path("/dev/shm"))
"""Empty in the lab at first, and writable."""
HOST = Path("/run/lab/host")
"""In the lab: the host's files, without the folders that cover some of them."""


def hidden(paths: Iterable[Path]) -> list[Path]:
    """Those of these paths of the host that the lab's own folders hide."""
    return [path for path in paths if any(path.is_relative_to(folder) for folder in OWN_FOLDERS)]


def make_visible(paths: Iterable[str]) -> None:
    """In the lab: show what of the host lies at these paths, by a link in the lab's own folders.

    A link, not a mount: what the host has there by now is found each time anew.
    """
    for path in hidden(map(Path, paths)):
        missing = [part for part in (path, *path.parents) if not os.path.lexists(part)]
        if missing and HOST.is_dir():
            missing[-1].symlink_to(HOST / missing[-1].relative_to("/"))
