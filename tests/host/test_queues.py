from collections.abc import Callable

from harness.host import tun
from harness.host.flows import flows
from harness.host.queues import frames_by_queue
from harness.host.tap import Tap

FRAMES = [flow.frame(b"\2\0\0\0\1\0", number) for number, flow in enumerate(flows(64))]


def test_frames_are_counted_by_the_queue_that_the_kernel_chose(
    tap: Tap, open_queues: Callable[[Tap, int], list[int]]
) -> None:
    queues = open_queues(tap, 4)
    assert frames_by_queue(tap.index, 4) == (0, 0, 0, 0)
    tap.inject(FRAMES)
    spread = frames_by_queue(tap.index, 4)
    assert sum(spread) == 64
    assert all(spread)
    for queue in reversed(queues[1:]):
        tun.set_queue(queue, attach=False)
    tap.inject(FRAMES)
    assert frames_by_queue(tap.index, 4) == (spread[0] + 64, *spread[1:])
