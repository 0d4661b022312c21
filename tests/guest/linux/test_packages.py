import os
import stat
from pathlib import Path

import pytest

from harness.errors import DeadlineExceeded, Unavailable
from harness.guest.linux import packages
from harness.guest.linux.packages import Package, fetch, lists_state, resolve

PACKAGE = Package("dropbear-bin", "dropbear-bin_2022.83_amd64.deb", "00ff")
OWN_IMAGE = r"or give a kernel and an image of your own \(--guest-kernel, --guest-image\)"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH but for the shell, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA512"])
def test_what_apt_would_fetch_is_known_by_its_hash(programs: Path, algorithm: str) -> None:
    uri = "http://mirror.invalid/pool/main/d/dropbear/dropbear-bin_2022.83%2bdeb12_amd64.deb"
    install(programs, "apt-get", f"echo \"'{uri}' dropbear-bin_2022.83_amd64.deb 155520 {algorithm}:00ff\"")
    assert resolve(["dropbear-bin"]) == [PACKAGE]


def test_a_host_without_apt_is_told_what_else_there_is(programs: Path) -> None:
    with pytest.raises(Unavailable, match=rf"apt-get is not on this host: use Debian or Ubuntu, {OWN_IMAGE}"):
        resolve(["dropbear-bin"])


def test_a_package_that_apt_does_not_know_is_named(programs: Path) -> None:
    install(programs, "apt-get", "echo 'E: Unable to locate package dropbear-bin' >&2; exit 100")
    with pytest.raises(
        Unavailable,
        match=rf"cannot give dropbear-bin \(Unable to locate package dropbear-bin\): run apt-get update.*{OWN_IMAGE}",
    ):
        resolve(["dropbear-bin"])


def test_a_mirror_out_of_reach_is_told_in_apts_words_and_leaves_nothing(
    programs: Path, tmp_path: Path
) -> None:
    install(
        programs,
        "apt-get",
        "echo part > part.deb; echo 'E: Temporary failure resolving mirror' >&2; exit 100",
    )
    with pytest.raises(
        Unavailable, match=rf"Temporary failure resolving mirror.*check the mirror, {OWN_IMAGE}"
    ):
        fetch("programs", [PACKAGE])
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_mirror_that_hangs_ends_at_the_deadline(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(programs, "apt-get", "exec /bin/sleep 60")
    monkeypatch.setattr(packages, "_DOWNLOAD_SECONDS", 0.1)
    with pytest.raises(
        DeadlineExceeded, match=rf"for apt-get to fetch dropbear-bin: check the mirror, {OWN_IMAGE}"
    ):
        fetch("programs", [PACKAGE])


def test_what_was_fetched_is_not_fetched_again(programs: Path) -> None:
    install(programs, "apt-get", "echo package > dropbear-bin_2022.83_amd64.deb")
    fetched = fetch("programs", [PACKAGE])
    install(programs, "apt-get", "exit 1")
    assert fetch("programs", [PACKAGE]) == fetched
    assert (fetched / PACKAGE.file_name).read_text() == "package\n"


def test_the_lists_state_changes_with_apt_get_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_APT_LISTS", tmp_path / "lists")
    assert lists_state() == b""
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "lists/mirror_Packages").write_text("one")
    before = lists_state()
    assert lists_state() == before
    (tmp_path / "lists/mirror_Packages").write_text("another")
    assert lists_state() != before
