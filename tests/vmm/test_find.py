"""What users give for --vmm, right and wrong: a build, or one sentence."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from harness.deadline import PACE
from harness.errors import BadInput
from harness.vmm import find
from harness.vmm.base import Vmm
from harness.vmm.find import find_vmms, from_anywhere
from tests.vmm.fakes import make_fake, processes_naming

KNOWN = ", ".join(kind.kind for kind in find.KINDS)


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return make_fake(tmp_path, "api-healthy")


def refused(*asked: str) -> str:
    """The sentence with which these are refused."""
    with pytest.raises(BadInput) as caught:
        find_vmms(asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What can be used


def test_another_machine_is_asked_for_by_its_kind(tmp_path: Path) -> None:
    qemu = make_fake(tmp_path, "qmp-silent")
    plain, named = find_vmms([f"qemu-microvm:{qemu}", f"micro=qemu-microvm:{qemu}"])
    assert (plain.name, plain.kind, plain.path) == ("qemu-microvm", "qemu-microvm", qemu)
    assert (named.name, named.kind, named.place) == ("micro", "qemu-microvm", f"qemu-microvm:{qemu}")
    assert find_vmms([named.place])[0].path == named.path


def test_machine_of_another_program_is_refused(fake: Path) -> None:
    assert "is a cloud-hypervisor, which has no qemu-microvm" in refused(f"qemu-microvm:{fake}")
    assert "a path is missing after the colon" in refused("x=qemu-microvm:")


def test_same_build_from_another_folder(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fake.parent)
    assert from_anywhere("api-healthy") == str(fake)
    assert from_anywhere("qemu-microvm:./api-healthy") == f"qemu-microvm:{fake}"
    assert from_anywhere("release:v52.0") == "release:v52.0"


def test_build_is_known_by_what_it_says_of_itself(fake: Path) -> None:
    (vmm,) = find_vmms([str(fake)])
    assert (vmm.name, vmm.kind, vmm.version, vmm.path) == (
        "cloud-hypervisor",
        "cloud-hypervisor",
        "v99.9-fake",
        fake,
    )


def test_names_and_order_are_the_users(fake: Path, tmp_path: Path) -> None:
    qemu = make_fake(tmp_path, "qmp-silent")
    found = find_vmms([f"b-2.+_={fake}", f"a={qemu}", f"c={fake}"])
    assert [(vmm.name, vmm.kind) for vmm in found] == [
        ("b-2.+_", "cloud-hypervisor"),
        ("a", "qemu"),
        ("c", "cloud-hypervisor"),
    ]


@pytest.mark.parametrize("text", ["api-healthy", "./api-healthy", "x=api-healthy", "x=./api-healthy"])
def test_file_in_the_current_folder_needs_no_slash(
    fake: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(fake.parent)
    (vmm,) = find_vmms([text])
    assert vmm.path == fake


def test_program_on_path_needs_no_folder(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    assert find_vmms(["mine=api-healthy"])[0].path == fake


def test_path_may_hold_an_equals_sign(fake: Path) -> None:
    odd = fake.rename(fake.parent / "a=b")
    assert find_vmms([str(odd)])[0].path == odd


def test_nothing_asked_takes_what_is_on_path(
    fake: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.rename(tmp_path / "cloud-hypervisor")
    make_fake(tmp_path, "qmp-silent").rename(tmp_path / "qemu-system-x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [vmm.name for vmm in find_vmms([])] == ["cloud-hypervisor", "qemu"]
    (tmp_path / "cloud-hypervisor").unlink()
    assert [vmm.name for vmm in find_vmms([])] == ["qemu"]


def test_nothing_asked_and_nothing_there_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install qemu-system-x86" in refused()


def test_real_qemu_is_recognised(qemu: Vmm) -> None:
    (vmm,) = find_vmms([f"reference={qemu.path}"])
    assert vmm.kind == "qemu"
    assert vmm.version[0].isdigit()


SAYS = {
    "alioth": ("--version", "alioth-cli 0.12.0"),
    "kvmtool": ("--version", "kvm tool 3.18.0"),
    "stratovirt": ("-version", "StratoVirt 2.5.0 commit-id d5b32037"),
}
"""How builds of these are asked, and what they say. To other words they say that they do not know them, and fail."""


@pytest.mark.parametrize("kind", SAYS)
def test_build_is_asked_in_its_own_word(tmp_path: Path, kind: str) -> None:
    word, said = SAYS[kind]
    path = tmp_path / "vmm"
    path.write_text(
        f'#!/bin/sh\n[ "$*" = {word} ] || {{ echo "what is $1?" >&2; exit 134; }}\necho "{said}"\n'
    )
    path.chmod(0o755)
    (vmm,) = find_vmms([str(path)])
    assert vmm.kind == vmm.name == kind
    assert said.endswith(vmm.version)
    assert vmm.version[0].isdigit()


def test_every_kind_is_told_from_the_others() -> None:
    banners = [kind.banner for kind in find.KINDS]
    assert [(one, other) for one, other in itertools.permutations(banners, 2) if one.startswith(other)] == []


# What cannot


def test_missing_file_is_named(tmp_path: Path) -> None:
    said = refused(f"x={tmp_path}/none")
    assert said.startswith(f"--vmm {tmp_path}/none: there is no such file; give the path of")


def test_missing_program_is_told_from_a_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such program is on PATH, and no such file is here" in refused("no-such-vmm")


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "this is a folder; give the path of the binary inside" in refused(str(tmp_path))


def test_file_without_the_right_to_execute_says_how_to_mend_it(fake: Path) -> None:
    fake.chmod(0o644)
    assert refused(str(fake)).endswith(f"this file is not executable; run: chmod +x {fake}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be executed (Exec format error); is it a binary for this machine?"),
        (b"MZ\x90\0 another system's\0", "cannot be executed (Exec format error); is it a binary for this"),
        (
            b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0\1\0\0\0" + bytes(40),  # ELF, 64 bits, AArch64
            "cannot be executed (Exec format error); is it a binary for this machine?",
        ),
        (b"#!/no/such/interpreter\n", "cannot be executed (No such file or directory)"),
        (b"#!/bin/sh\nexit 3\n", "--version ended (exit status 3) and said: nothing"),
        (b"#!/bin/sh\nkill -11 $$\n", "--version ended (killed by SIGSEGV) and said: nothing"),
        (
            b"#!/bin/sh\nkill -15 $$\n",
            "--version was killed by SIGTERM, which no program does to itself: run again",
        ),
        (b"#!/bin/sh\necho no such option >&2; exit 2", "ended (exit status 2) and said: no such option"),
        (b"#!/bin/sh\nexit 0\n", "--version ended (exit status 0) and said: nothing"),
        (
            b"#!/bin/sh\necho bash 5.2\n",
            f"this is none of {KNOWN}: --version says 'bash 5.2'",
        ),
        (
            b"#!/bin/sh\nprintf 'x\\377y\\n'\n",
            f"this is none of {KNOWN}: --version says 'x\ufffdy'",
        ),
    ],
    ids=[
        "empty",
        "foreign",
        "arm",
        "interpreter",
        "status",
        "killed",
        "ended-by-others",
        "words",
        "silent",
        "other",
        "bytes",
    ],
)
def test_file_that_is_no_vmm_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "vmm"
    path.write_bytes(content)
    path.chmod(0o755)
    said = refused(str(path))
    assert said.startswith(f"--vmm {path}: ")
    assert words in said


def test_program_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "VERSION_PATIENCE", 0.3)
    hanging = make_fake(tmp_path, "hangs-at-version")
    assert f"it did not answer --version within {0.3 * PACE:.0f} s" in refused(str(hanging))
    assert processes_naming(str(hanging)) == []


def test_program_that_floods_is_given_up(tmp_path: Path) -> None:
    flooding = make_fake(tmp_path, "floods-at-version")
    assert "--version does not stop talking: it said more than 1 MiB" in refused(str(flooding))
    assert processes_naming(str(flooding)) == []


def test_escape_sequences_of_a_version_reach_nobody(tmp_path: Path) -> None:
    path = tmp_path / "vmm"
    path.write_text("#!/bin/sh\nprintf 'cloud-hypervisor v1\\033[31m\\033]0;x\\007'\n")
    path.chmod(0o755)
    (vmm,) = find_vmms([str(path)])
    assert vmm.version == "v1\ufffd[31m\ufffd]0;x\ufffd"


@pytest.mark.parametrize("asked", [("x={}", "x={}"), ("{}", "{}"), ("cloud-hypervisor={}", "{}")])
def test_two_builds_of_one_name_are_refused(fake: Path, asked: tuple[str, ...]) -> None:
    said = refused(*(text.format(fake) for text in asked))
    assert said.startswith("two builds are called '")
    assert said.endswith("tell them apart with --vmm NAME=PATH")


@pytest.mark.parametrize("name", ["", "-x", "a b", "[1]", "ü", "."])
def test_name_that_test_ids_cannot_hold_is_refused(fake: Path, name: str) -> None:
    said = refused(f"{name}=api-healthy")
    assert f"the name {name!r} may hold only letters, digits and, after the first, . + - _" in said


@pytest.mark.parametrize("text", ["x=", ""])
def test_missing_path_is_said(text: str) -> None:
    assert "a path is missing" in refused(text)


def test_first_of_several_that_is_wrong_is_named(fake: Path, tmp_path: Path) -> None:
    assert f"--vmm {tmp_path}/none" in refused(str(fake), f"y={tmp_path}/none")
