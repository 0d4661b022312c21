"""The plugin as a whole, on hosts of other kinds: whatever one lacks is one sentence, with workers as without."""

from __future__ import annotations

import os

import pytest

from tests.run.suite import Suite

ALONE, WITH_WORKERS = (), ("-n", "2")
NO_NAMESPACES = ("setpriv", "--bounding-set=-sys_admin,-setfcap")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="root takes rights from itself here: run with sudo"),
    pytest.mark.parametrize("workers", [ALONE, WITH_WORKERS], ids=["alone", "workers"]),
]


def test_a_host_that_gives_no_namespace_ends_the_run_before_it_begins(
    suite: Suite, workers: tuple[str, ...]
) -> None:
    suite.write("def test_a(vmm): pass\n")
    ran = suite.execute([*NO_NAMESPACES, *suite.command(*workers)])
    assert ran.code == pytest.ExitCode.USAGE_ERROR, ran
    (sentence,) = [line for line in ran.err.splitlines() if line]
    assert sentence.startswith("ERROR: root has no CAP_SYS_ADMIN here")
    assert "INTERNALERROR" not in ran.out


def test_root_without_sys_admin_runs_in_a_user_namespace(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write("import os\ndef test_a(vmm): assert os.geteuid() == 0\n")
    ran = suite.execute(["setpriv", "--bounding-set=-sys_admin", *suite.command(*workers)])
    assert suite.verdicts == {"test_a": "pass"}, ran


def test_pytests_folder_may_be_another_users(suite: Suite, workers: tuple[str, ...]) -> None:
    others = suite.folder / "tmp" / "pytest-of-mallory"
    others.mkdir(mode=0o700)
    os.chown(others, 12345, 12345)
    suite.write("def test_a(vmm, tmp_path): (tmp_path / 'file').touch()\n")
    ran = suite.execute(suite.command(*workers), LOGNAME="mallory")
    assert suite.verdicts == {"test_a": "pass"}, ran
    assert list((suite.folder / "tmp").iterdir()) == [others]
