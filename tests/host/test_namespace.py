"""A network namespace per process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.host import namespace

ROOT = Path(__file__).parents[2]
LOOK = """
import os
from harness.host import namespace
outside = os.readlink("/proc/self/ns/net")
namespace.become_root_in_user_namespace()
namespace.enter()
inside = os.readlink("/proc/self/ns/net")
namespace.enter()
print(outside != inside == os.readlink("/proc/self/ns/net"), os.geteuid(), *sorted(os.listdir("/sys/class/net")))
from harness.host.tap import Tap
tap = Tap("t0", 4)
print(tap.counts(), *sorted(os.listdir("/sys/class/net")))
print(open("/proc/sys/net/ipv6/conf/t0/disable_ipv6").read().strip() if os.path.exists("/proc/sys/net/ipv6") else 1)
"""
SEEN = ["True 0 lo", "(0, 0) lo t0", "1"]


def look(*prefix: str) -> list[str]:
    """What a process finds that enters a namespace."""
    paths = [str(ROOT), *(path for path in sys.path if path)]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", LOOK],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Unavailable" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"not on this host: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_namespace_is_empty_and_sysfs_shows_it(own_network: None) -> None:
    assert look() == SEEN


def test_ordinary_user_gets_one_too(own_network: None) -> None:
    if os.geteuid() == 0:
        assert look("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") == SEEN
    else:
        assert look() == SEEN


def test_only_the_main_thread_may_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Exception] = []

    def enter() -> None:
        try:
            namespace.enter()
        except Unavailable as error:
            caught.append(error)

    monkeypatch.setattr(namespace, "_entered", False)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert [str(error) for error in caught] == ["the network namespace must be entered from the main thread"]


def test_missing_right_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbids:
        def unshare(self, _: int) -> int:
            return -1

    monkeypatch.setattr(namespace, "_entered", False)
    monkeypatch.setattr(namespace, "_libc", Forbids())
    monkeypatch.setattr(ctypes, "get_errno", lambda: 1)
    with pytest.raises(
        Unavailable, match=r"cannot make a network namespace \(Operation .*: run again with sudo"
    ):
        namespace.enter()
