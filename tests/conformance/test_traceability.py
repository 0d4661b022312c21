"""Every test of the suite names rows of the register, and every row is tested or says why not."""

from harness.register.proofs import proofs
from harness.register.register import load_register
from tests.conformance.conftest import Collected


def test_every_test_names_rows_and_every_row_is_tested(collected: list[Collected]) -> None:
    assert len(collected) > 100
    problems = load_register().check({each.test: each.marks["requirement"] for each in collected})
    assert not problems, "\n".join(problem.text for problem in problems)


def test_rows_read_from_the_source_are_those_of_the_marks(collected: list[Collected]) -> None:
    read = proofs()
    told = {test.function: set(test.marks["requirement"]) for test in collected}
    assert told == {function: set(read[function]) for function in told}
