"""A network namespace per process, on hosts of every kind."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.host import namespace, refusal
from tests.host.hosts import ORDINARY, SEEN, SEEN_WITHOUT_SYSFS, Found, look, program

__all__ = ["program"]

NO_ADMIN = ("setpriv", "--bounding-set=-sys_admin")
NO_NAMESPACES = ("setpriv", "--bounding-set=-sys_admin,-setfcap")
HIDDEN_SYSFS = ("mount -t tmpfs none /sys/kernel",)
READ_ONLY_SYSFS = ("mount -o remount,bind,ro /sys",)
READ_ONLY_PROC_SYS = ("mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys")
CHROOT = (
    "mount -t tmpfs none /mnt",
    "mkdir /mnt/root",
    "cd /",
    "for d in *; do",
    "  if [ -L $d ]; then cp -a $d /mnt/root/; fi",
    "  if [ -L $d ] || [ $d = mnt ] || [ ! -d $d ]; then continue; fi",
    "  mkdir /mnt/root/$d; mount --rbind $d /mnt/root/$d",
    "done",
)
pytestmark = pytest.mark.usefixtures("own_network")


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("hosts of other kinds are made by root: run with sudo")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("user", "host", "seen"),
    [
        pytest.param((), (), SEEN, id="root"),
        pytest.param(ORDINARY, (), SEEN, id="ordinary user"),
        pytest.param(NO_ADMIN, (), SEEN, id="root without CAP_SYS_ADMIN"),
        pytest.param(("setpriv", "--bounding-set=-net_admin"), (), SEEN, id="root without CAP_NET_ADMIN"),
        pytest.param((), READ_ONLY_PROC_SYS, SEEN, id="read-only proc sys"),
        pytest.param((), READ_ONLY_SYSFS, SEEN, id="read-only sys"),
        pytest.param(ORDINARY, READ_ONLY_SYSFS, SEEN, id="ordinary user, read-only sys"),
        pytest.param((), HIDDEN_SYSFS, SEEN, id="something mounted below sys"),
        pytest.param(
            ORDINARY, HIDDEN_SYSFS, SEEN_WITHOUT_SYSFS, id="ordinary user, something mounted below sys"
        ),
        pytest.param(("chroot", "/mnt/root"), CHROOT, SEEN, id="chroot whose root is no mount point"),
    ],
)
def test_there_is_a_way(program: Path, user: tuple[str, ...], host: tuple[str, ...], seen: list[str]) -> None:
    assert look(program, *user, host=host) == Found(seen, "")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("user", "host", "words"),
    [
        pytest.param(
            NO_NAMESPACES,
            (),
            "root has no CAP_SYS_ADMIN here, which a network namespace takes (Operation not permitted), and a user "
            "namespace is granted and root's identity in it is refused (uid_map: Operation not permitted): start the "
            "container with --cap-add SYS_ADMIN --cap-add NET_ADMIN",
            id="root without the right to any namespace",
        ),
        pytest.param(
            ORDINARY,
            READ_ONLY_PROC_SYS,
            "IPv6 cannot be turned off in the run's own network, for /proc/sys cannot be written (Read-only file "
            "system): start the container with --security-opt systempaths=unconfined (podman: --security-opt "
            "unmask=ALL), or run outside of it",
            id="ordinary user, read-only proc sys",
        ),
        pytest.param(
            ("chroot", "/mnt/root", *ORDINARY),
            CHROOT,
            "a user namespace is refused (Operation not permitted), as in a chroot: run again with sudo",
            id="ordinary user in a chroot",
        ),
        pytest.param(
            ("unshare", "--user", "--map-root-user", "sh", "-c",
             'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin "$0" "$@"'),
            (),
            "run sysctl user.max_user_namespaces=10000 as root",
            id="no user namespaces left",
        ),
    ],
)  # fmt: skip
def test_where_there_is_none_the_way_out_is_said(
    program: Path, user: tuple[str, ...], host: tuple[str, ...], words: str
) -> None:
    lines, refused = look(program, *user, host=host)
    assert lines == []
    assert words in refused


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


def test_whatever_goes_wrong_in_the_trial_is_told_and_stays_there() -> None:
    def fail() -> None:
        raise RuntimeError("unforeseen")

    said = "no network namespace was entered (RuntimeError: unforeseen): this is a fault of the suite, please report it"
    assert str(namespace._outcome(fail)) == said
    assert namespace._outcome(lambda: None) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"sys/kernel/unprivileged_userns_clone": "0"},
            "run sysctl kernel.unprivileged_userns_clone=1 as root",
        ),
        ({"sys/user/max_user_namespaces": "0"}, "run sysctl user.max_user_namespaces=10000 as root"),
        ({"self/status": "Name:\tx\nSeccomp:\t2\n"}, "or with --security-opt seccomp=unconfined"),
        ({}, "as in a chroot"),
    ],
)
def test_what_stands_before_user_namespaces_is_named(
    settings: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in settings.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(refusal, "PROC", tmp_path)
    assert words in str(refusal.of_user_namespace(1000, errno.EPERM))


def test_apparmors_rule_is_named_where_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "PROC", tmp_path)
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert "AppArmor" not in str(refusal.of_identity(1000, "uid_map", denied))
    rule = tmp_path / "sys/kernel/apparmor_restrict_unprivileged_userns"
    rule.parent.mkdir(parents=True)
    rule.write_text("1\n")
    said = str(refusal.of_identity(1000, "uid_map", denied))
    assert "by AppArmor: run sysctl kernel.apparmor_restrict_unprivileged_userns=0 as root, or " in said
