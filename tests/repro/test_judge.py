from __future__ import annotations

from pathlib import Path

import pytest

from harness.host.backend import HostView
from harness.record.landed import Landed
from harness.record.results import PairRow
from harness.repro.command import KNOWN
from harness.repro.issues import ISSUES, Answer, Scene, judge, shown
from harness.vmm.qemu import Qemu

ALL = frozenset(range(4))


def scene(
    pairs: frozenset[int], *, landed: frozenset[int] | None = None, agreed: bool = True, lost: int = 0
) -> Scene:
    """The host holds `pairs`, frames landed there too unless told otherwise."""
    where = pairs if landed is None else landed
    frames = Landed(64, dict.fromkeys(where, 64 // max(len(where), 1)), lost)
    rows = [PairRow(pair, pair < 2, pair in pairs, frames.by_pair.get(pair, 0)) for pair in range(4)]
    return Scene(agreed, HostView(len(pairs), pairs, 4), frames, rows)


@pytest.mark.parametrize(("number", "right"), [("8306", {0, 1}), ("8307", {0})])
def test_right_is_fixed_and_everything_active_is_the_issue(number: str, right: set[int]) -> None:
    issue = ISSUES[number]
    assert judge(issue, scene(frozenset(right)))[0] is Answer.FIXED
    answer, why = judge(issue, scene(ALL))
    assert answer is Answer.REPRODUCED
    assert "the host holds pairs 0-3" in why


@pytest.mark.parametrize("pairs", [{0}, {0, 1, 2}, {1, 2}, set()])
def test_any_other_set_of_pairs_is_no_fix_of_8306(pairs: set[int]) -> None:
    assert judge(ISSUES["8306"], scene(frozenset(pairs)))[0] is Answer.REPRODUCED


def test_frames_outside_are_no_fix_even_if_the_host_looks_right() -> None:
    found = scene(frozenset({0, 1}), landed=frozenset({0, 1, 2}))
    assert judge(ISSUES["8306"], found)[0] is Answer.REPRODUCED


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (scene(frozenset({0, 1}), agreed=False), "refused 2 pairs"),
        (scene(frozenset({0, 1}), lost=3), "frames went astray"),
        (Scene(True, HostView(3, frozenset({0, 1}), 4), Landed(64, {0: 64}), []), "counts 3 queues"),
    ],
)
def test_another_defect_is_not_taken_for_the_issue(found: Scene, said: str) -> None:
    answer, why = judge(ISSUES["8306"], found)
    assert answer is Answer.CANNOT_TELL
    assert said in why


def test_the_text_says_what_was_sent_told_held_and_where_frames_went() -> None:
    vmm = Qemu("qemu", Path("/somewhere/qemu"), "7.2")
    text = shown(ISSUES["8306"], vmm, scene(ALL, lost=2))
    assert "VQ_PAIRS_SET with virtqueue_pairs = 2" in text
    assert "VIRTIO_NET_OK: 2 pairs are active" in text
    assert "4 of 4 queues attached" in text
    assert "2 lost" in text
    assert "2     no             yes             16   <- witnesses disagree" in text
    assert "VIRTIO_NET_ERR" in shown(ISSUES["8306"], vmm, scene(ALL, agreed=False))
    assert "the control queue is still empty" in shown(ISSUES["8307"], vmm, scene(ALL))


def test_the_command_offers_every_issue() -> None:
    assert set(KNOWN) == set(ISSUES)
