"""What a test needs and its VMM lacks: a skip with the sentence, before anything is started or amid it; never FAIL."""

from __future__ import annotations

from tests.run.suite import Suite

TESTS = """
import pytest
from harness.errors import Lacks
from harness.vmm.abilities import Ability, OfKind
from harness.vmm.needs import needs

@needs(Ability.BOOT_AGAIN)
def test_lacks(testbed): raise AssertionError("it was not skipped")

@needs(Ability.PAUSE)
def test_has(vmm): pass

@needs(OfKind("other", "these are options"))
def test_of_another(vmm): raise AssertionError("it was not skipped")

def test_asks(vmm):
    vmm.lacks(Ability.SNAPSHOT)

@pytest.fixture
def asked(vmm):
    vmm.lacks(Ability.HOT_PLUG)

def test_was_asked(asked): pass
"""


def test_a_vmm_is_not_blamed_for_what_it_does_not_claim(suite: Suite) -> None:
    suite.write(TESTS)
    assert suite.run().code == 0
    told = {result["function"]: (result["verdict"], result["reason"]) for result in suite.results["results"]}
    assert told == {
        "test_lacks": ("skip", "alpha has no second boot of a VM that was shut down"),
        "test_has": ("pass", ""),
        "test_of_another": ("skip", "these are options of other, and alpha is none"),
        "test_asks": ("skip", "alpha has no snapshots"),
        "test_was_asked": ("skip", "alpha has no hot plug"),
    }
