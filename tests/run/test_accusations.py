"""No fault of the host or the suite is a FAIL, no fault of the VMM an ERROR, and the first line says what happened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.vmm.base import Vmm
from tests.run.accusations import OF_THE_HOST, OF_THE_VMM, Fault, as_suite
from tests.run.suite import Suite
from tests.vmm.fakes import make_fake


@pytest.fixture(scope="module")
def records(
    tmp_path_factory: pytest.TempPathFactory, image: Path, qemu: Vmm, runnable: None
) -> dict[str, dict[str, Any]]:
    """What one run with all faults in it recorded of each."""
    suite = Suite(tmp_path_factory.mktemp("accusations"), image)
    fakes = suite.folder / "fakes"
    fakes.mkdir()
    for behaviour in ("api-forbidden", "api-panics", "api-rubbish"):
        make_fake(fakes, behaviour)
    suite.write(as_suite(str(fakes)))
    suite.know(qemu)
    ran = suite.run("--lab", "never", "--tb", "no", builds=[f"qemu={qemu.path}"])
    assert ran.code == 1, ran.out + ran.err
    return {record["function"]: record for record in suite.results["results"]}


@pytest.mark.parametrize("fault", OF_THE_HOST, ids=lambda fault: fault.name)
def test_fault_of_the_host_or_the_suite_is_an_error(records: dict[str, dict[str, Any]], fault: Fault) -> None:
    judged(records, fault, "error")


@pytest.mark.parametrize("fault", OF_THE_VMM, ids=lambda fault: fault.name)
def test_fault_of_the_vmm_is_a_failure(records: dict[str, dict[str, Any]], fault: Fault) -> None:
    judged(records, fault, "fail")


def judged(records: dict[str, dict[str, Any]], fault: Fault, verdict: str) -> None:
    record = records[f"test_{fault.name}"]
    assert (record["verdict"], record["reason"]) == (verdict, record["reason"])
    assert re.match(fault.reason, record["reason"]), record["reason"]
