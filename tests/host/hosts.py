"""Hosts of other kinds, made of this one: what a process finds there that enters a namespace. Takes root rights."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.deadline import PACE

ROOT = Path(__file__).parents[2]
ORDINARY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
LOOK = """
import os
from harness.errors import Unavailable
from harness.host import namespace
outside = os.readlink("/proc/self/ns/net")
try:
    namespace.prepare()
except Unavailable as error:
    raise SystemExit(f"refused: {error}")
namespace.enter()
inside = os.readlink("/proc/self/ns/net")
namespace.enter()
print(outside != inside == os.readlink("/proc/self/ns/net"), os.geteuid(), namespace.has_own_sysfs())
from harness.host.tap import Tap
tap = Tap("t0", 4)
print(tap.counts(), "t0" in os.listdir("/sys/class/net"))
print(open("/proc/sys/net/ipv6/conf/t0/disable_ipv6").read().strip() if os.path.exists("/proc/sys/net/ipv6") else 1)
"""
SEEN = ["True 0 True", "(0, 0) True", "1"]
SEEN_WITHOUT_SYSFS = ["True 0 False", "(0, 0) False", "1"]
_NEEDED = """
import sys
import harness.host.tap
own = tuple(f"{prefix}/lib/python" for prefix in (sys.base_prefix, sys.base_exec_prefix))
for name, module in list(sys.modules.items()):
    place = next(iter(getattr(module, "__path__", [])), None) or getattr(module, "__file__", None)
    if "." not in name and place and not place.startswith(own):
        print(place)
"""


class Found(NamedTuple):
    """What such a process printed, and what it was refused with, if it was."""

    lines: list[str]
    refusal: str


@pytest.fixture(scope="session")
def program() -> Iterator[Path]:
    """A copy of what LOOK imports, for every user to read: a checkout may lie in a folder of mode 700."""
    with tempfile.TemporaryDirectory(prefix="mq-program-", dir="/tmp") as name:
        folder = Path(name)
        needed = _python(_NEEDED, [str(ROOT), *(path for path in sys.path if path)])
        for path in map(Path, needed.stdout.split()):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


def look(program: Path, *prefix: str, host: Sequence[str] = ()) -> Found:
    """Run LOOK after these words, on a host of which the shell commands `host` made something else.

    They run in a mount namespace of their own, with a /dev/net/tun that everybody may open, as udev makes it.
    """
    commands = [
        "mount -t tmpfs -o mode=755 none /dev/net",
        "mknod -m 666 /dev/net/tun c 10 200",
        *host,
        f"exec {shlex.join([*prefix, _interpreter(), '-c', LOOK])}",
    ]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(commands)],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(program), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )
    said = done.stderr.strip()
    assert done.returncode == 0 or said.startswith("refused: "), said
    return Found(done.stdout.splitlines(), said.removeprefix("refused: "))


def _interpreter() -> str:
    """A Python like ours that every user can execute: ours may lie in a home of mode 700."""
    alike = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (Path(sys.executable).resolve(), Path("/usr/bin", alike)):
        if path.exists() and all(folder.stat().st_mode & 0o001 for folder in path.parents):
            return str(path)
    pytest.skip(f"other users can execute no {alike} here: install it in /usr/bin")


def _python(code: str, paths: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=True,
    )
