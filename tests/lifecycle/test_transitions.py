"""What transitions are said to do to the count."""

import pytest

from harness.lifecycle import TRANSITIONS, Effect, Transition


@pytest.mark.parametrize(
    ("effect", "count", "expected"),
    [
        (Effect.KEEPS, 3, 3),
        (Effect.KEEPS, None, None),
        (Effect.RECORDED, 2, 2),
        (Effect.ONE, 3, 1),
        (Effect.ONE, None, 1),
        (Effect.ALL, 3, None),
    ],
)
def test_expected_count(effect: Effect, count: int | None, expected: int | None) -> None:
    assert Transition("some", effect, lambda bed, nic: None).expected(count) == expected


def test_every_effect_has_a_transition() -> None:
    assert {step.effect for step in TRANSITIONS} == set(Effect)
    assert len({step.name for step in TRANSITIONS}) == len(TRANSITIONS)
