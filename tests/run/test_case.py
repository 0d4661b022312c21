"""Which test an item is: read from what pytest crossed it with, never from its id."""

from __future__ import annotations

import pytest

from harness.record.results import Case
from harness.run.case import case_of

SUITE = """
import enum
import pytest

class Kind(enum.Enum):
    RESET = 1

cross_build = pytest.mark.parametrize("vmm", ["cloud-hypervisor"])

@cross_build
def test_plain(vmm): pass

@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("kind", [pytest.param(Kind.RESET, id="vhost-user-reset")])
@pytest.mark.parametrize("backend", ["vhost-user"])
@cross_build
def test_crossed(vmm, backend, kind, pairs): pass

@pytest.mark.parametrize(("before", "after"), [(1, 4)], ids=["grow-by-3"])
@pytest.mark.parametrize("what, kind", [("a-b", Kind.RESET)], ids=["named"])
@cross_build
def test_together(vmm, before, after, what, kind): pass

@pytest.mark.parametrize("pairs", [3])
@pytest.mark.parametrize(("vmm", "writer"), [("new-er", "old"), ("new-er", None)])
def test_written(vmm, writer, pairs): pass

class TestA:
    class TestB:
        @cross_build
        def test_within(self, vmm): pass

def test_without(): pass
@pytest.mark.parametrize("pairs", [3])
def test_without_vmm(pairs): pass
"""


@pytest.fixture
def cases(pytester: pytest.Pytester) -> dict[str, Case | None]:
    items, _ = pytester.inline_genitems(pytester.makepyfile(test_it=SUITE))
    return {item.name: case_of(item) for item in items}


@pytest.mark.parametrize(
    ("item", "test", "parameters"),
    [
        ("test_plain[cloud-hypervisor]", "test_plain", {}),
        (
            "test_crossed[cloud-hypervisor-vhost-user-vhost-user-reset-2]",
            "test_crossed[vhost-user-vhost-user-reset-2]",
            {"backend": "vhost-user", "kind": "vhost-user-reset", "pairs": "2"},
        ),
        (
            "test_together[cloud-hypervisor-named-grow-by-3]",
            "test_together[named-grow-by-3]",
            {"what": "a-b", "kind": "named", "before": "1", "after": "4"},
        ),
        ("test_written[new-er-old-3]", "test_written[from-old-3]", {"writer": "old", "pairs": "3"}),
        ("test_written[new-er-None-3]", "test_written[from-none-3]", {"writer": "none", "pairs": "3"}),
        ("test_within[cloud-hypervisor]", "TestA::TestB::test_within", {}),
    ],
)
def test_each_parameter_has_its_name(
    cases: dict[str, Case | None], item: str, test: str, parameters: dict[str, str]
) -> None:
    case = cases[item]
    assert case is not None
    assert case.test == f"test_it.py::{test}"
    assert case.parameters == parameters
    assert case.vmm == ("new-er" if "writer" in parameters else "cloud-hypervisor")
    assert str(case.origin) + case.variant == case.test


def test_what_is_crossed_with_no_vmm_is_no_case(cases: dict[str, Case | None]) -> None:
    assert cases["test_without"] is None
    assert cases["test_without_vmm[3]"] is None
