"""Why a host refuses namespaces, told from what it shows of itself, with the way out for exactly that host."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from harness.errors import Unavailable

_CAP_SYS_ADMIN = 21
_SUDO = "run again with sudo"
_CONTAINER = "start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN"

PROC = Path("/proc")


class Refused(Unavailable):
    """The host refuses something: `why`, and the `way` out."""

    def __init__(self, why: str, way: str) -> None:
        super().__init__(f"{why}: {way}")
        self.why = why
        self.way = way

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return Refused, (self.why, self.way)


def of_network_namespace(code: int) -> Refused:
    """unshare(2) of a network namespace failed with `code`."""
    why = os.strerror(code)
    if os.geteuid() != 0:
        return Refused(f"cannot make a network namespace ({why})", _SUDO)
    if not _capable(_CAP_SYS_ADMIN):
        return Refused(f"root has no CAP_SYS_ADMIN here, which a network namespace takes ({why})", _CONTAINER)
    return Refused(
        f"cannot make a network namespace ({why})", "use a kernel that has them, and is at no limit"
    )


def of_mounts(error: OSError) -> Refused:
    """The mounts of the new namespace cannot be made private."""
    why = f"mounts of ours cannot be kept from the rest of this host ({error.strerror})"
    return Refused(why, "run again outside the chroot or container")


def of_tap(error: OSError) -> Refused:
    """Making a tap in the new network namespace failed."""
    return Refused(f"root may make no tap here, which takes CAP_NET_ADMIN ({error.strerror})", _CONTAINER)


def of_user_namespace(uid: int, code: int) -> Refused:
    """unshare(2) of a user namespace failed with `code`, for the user `uid`."""
    why, elevate = f"a user namespace is refused ({os.strerror(code)})", _elevate(uid)
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return Refused(why, f"run sysctl kernel.unprivileged_userns_clone=1 as root, or {elevate}")
    if _setting("user/max_user_namespaces") == "0":
        return Refused(why, f"run sysctl user.max_user_namespaces=10000 as root, or {elevate}")
    if _status("Seccomp") == "2":
        way = f"{_CONTAINER}, or with --security-opt seccomp=unconfined"
        return Refused(f"{why}, by a seccomp filter as containers have", way)
    return Refused(f"{why}, as in a chroot", elevate)


def of_identity(uid: int, file: str, error: OSError) -> Refused:
    """A user namespace was granted, and then writing `file` (setgroups, uid_map, gid_map) was refused."""
    why = f"a user namespace is granted and root's identity in it is refused ({file}: {error.strerror})"
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        way = f"run sysctl kernel.apparmor_restrict_unprivileged_userns=0 as root, or {_elevate(uid)}"
        return Refused(f"{why} by AppArmor", way)
    return Refused(why, _elevate(uid))


def of_proc_sys(error: OSError) -> Refused:
    """IPv6 cannot be turned off in the new network namespace."""
    return Refused(
        f"IPv6 cannot be turned off in the run's own network, for /proc/sys cannot be written ({error.strerror})",
        "start the container with --security-opt systempaths=unconfined (podman: --security-opt unmask=ALL), "
        "or run outside of it",
    )


def _elevate(uid: int) -> str:
    return _SUDO if uid != 0 else _CONTAINER


def _setting(name: str) -> str | None:
    """A sysctl; None without it."""
    with suppress(OSError):
        return (PROC / "sys" / name).read_text().strip()
    return None


def _status(field: str) -> str:
    """A field of /proc/self/status (proc_pid_status(5)); nothing without it."""
    with suppress(OSError):
        lines = (PROC / "self/status").read_text().splitlines()
        return next((line.split(":")[1].strip() for line in lines if line.startswith(f"{field}:")), "")
    return ""


def _capable(capability: int) -> bool:
    effective = _status("CapEff")
    return bool(effective) and bool(int(effective, 16) >> capability & 1)
