from __future__ import annotations

import errno
import json
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadInput, Unavailable
from harness.evidence.bundle import LIMIT, Content, bundle_name, write_bundle
from tests.synthetic_runs import not_run

TEST = "conformance/mq/test_x.py::test_pairs[probe-vhost-user-pairs3]"
CASE = not_run(TEST, "alpha")


def test_a_folder_and_one_archive_with_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")  # it is made where it stays: a rename is at once
    source = tmp_path / "vmm.log"
    source.write_text("line\n")
    files: dict[str, Content] = {
        "vm0/logs/vmm.log": source,
        "seed.txt": "7\n",
        "frames.pcap": b"\xd4\xc3\xb2\xa1",
    }
    folder = write_bundle(tmp_path / "run" / "failures", CASE, files)
    assert (folder / "vm0" / "logs" / "vmm.log").read_text() == "line\n"
    assert (folder / "frames.pcap").read_bytes() == b"\xd4\xc3\xb2\xa1"
    with tarfile.open(folder.with_name(folder.name + ".tar.gz")) as archive:
        names = {member.name for member in archive if member.isfile()}
    assert names == {f"{folder.name}/{name}" for name in (*files, "manifest.json")}
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, folder.name + ".tar.gz"]


def test_what_is_gone_is_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, CASE, {"vmm.log": tmp_path / "never"})
    assert manifest_of(folder) == {
        "test": TEST,
        "vmm": "alpha",
        "files": {"vmm.log": "missing: it was not there any more"},
    }


def manifest_of(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def test_text_that_is_no_unicode_costs_nothing_but_its_signs(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, CASE, {"vmm.log": "half a sign: \udce2"})
    assert (folder / "vmm.log").read_bytes() == b"half a sign: ?"


@pytest.mark.parametrize("as_path", [False, True])
def test_large_files_are_cut_where_it_hurts_least(tmp_path: Path, as_path: bool) -> None:
    data = b"BEGIN" + bytes(LIMIT) + b"END"
    source = tmp_path / "source"
    source.write_bytes(data)
    content = source if as_path else data
    folder = write_bundle(tmp_path / "b", CASE, {"vmm.log": content, "frames.pcap": content})
    log, capture = (folder / "vmm.log").read_bytes(), (folder / "frames.pcap").read_bytes()
    assert (len(log), len(capture)) == (LIMIT, LIMIT)
    assert log.endswith(b"END")
    assert capture.startswith(b"BEGIN")
    assert manifest_of(folder)["files"] == {
        "vmm.log": f"last {LIMIT} of {len(data)} bytes",
        "frames.pcap": f"first {LIMIT} of {len(data)} bytes",
    }
    full = write_bundle(tmp_path / "b", CASE, {"vmm.log": content}, full=True)
    assert (full / "vmm.log").read_bytes() == data
    source.write_bytes(data[:LIMIT])
    content = source if as_path else data[:LIMIT]
    assert manifest_of(write_bundle(tmp_path / "b", CASE, {"x": content}))["files"] == {"x": f"{LIMIT} bytes"}


def test_a_second_failure_of_a_test_replaces_the_first(tmp_path: Path) -> None:
    write_bundle(tmp_path, CASE, {"old.txt": "old"})
    folder = write_bundle(tmp_path, CASE, {"new.txt": "new"})
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "new.txt"]


def test_names_are_readable_fit_and_distinct() -> None:
    names = {
        bundle_name(not_run(test, vmm))
        for test in (TEST, TEST + "x", "t::" + "p" * 400)
        for vmm in ("a", "b/c ☃")
    }
    assert len(names) == 6
    assert all(len(name) <= 100 and name.isascii() and "/" not in name for name in names)
    assert max(map(len, names)) == 89
    assert re.fullmatch("alpha-test-pairs-probe-vhost-user-pairs3-[0-9a-f]{8}", bundle_name(CASE))
    assert re.fullmatch("XEN-test-a-[0-9a-f]{8}", bundle_name(not_run("t.py::test_a", "[XEN]")))


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", ""])
def test_names_that_lead_outside_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no name for a file"):
        write_bundle(tmp_path, CASE, {name: "x"})


def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = write_bundle(tmp_path, CASE, {"old.txt": "old"})
    before = sorted(path.name for path in tmp_path.iterdir())

    def copyfile(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    source = kept / "old.txt"
    with pytest.raises(Unavailable, match="No space left"):
        write_bundle(tmp_path, CASE, {"big.bin": source})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (kept / "old.txt").read_text() == "old"
