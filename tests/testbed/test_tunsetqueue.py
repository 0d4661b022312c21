"""A VMM that makes no TUNSETQUEUE call works by other means, or does not work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.testbed.tunsetqueue import changes_otherwise

CALL: Any = object()


def make_nic(active: set[int], pairs: int = 4, queue_for_each_pair: bool = True) -> Any:
    """A NIC after DRIVER_OK, as the host sees it."""
    vm = SimpleNamespace(vmm=SimpleNamespace(name="alpha", queue_for_each_pair=queue_for_each_pair))
    return SimpleNamespace(vm=vm, max_pairs=pairs, host=lambda: SimpleNamespace(pairs=active))


def test_one_pair_without_a_call_came_about_otherwise() -> None:
    sentence = "alpha changes the queues of a tap otherwise than by TUNSETQUEUE"
    assert changes_otherwise(make_nic({0}), []) == sentence


def test_one_queue_for_all_pairs_is_told_as_that() -> None:
    nic = make_nic({0}, queue_for_each_pair=False)
    assert changes_otherwise(nic, []) == "alpha has one queue of a tap for all pairs, and none to change"


@pytest.mark.parametrize(
    ("nic", "calls"),
    [
        (make_nic({0}), [CALL]),
        (make_nic({0, 1, 2, 3}), []),
        (make_nic({0}, pairs=1), []),
    ],
    ids=["detached", "ignored-the-driver", "nothing-to-detach"],
)
def test_others_are_judged(nic: Any, calls: list[Any]) -> None:
    assert changes_otherwise(nic, calls) is None
