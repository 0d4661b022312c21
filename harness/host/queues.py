"""Where the kernel put frames for a tap: the counters of its `mq` queueing discipline, a class for each queue."""

from __future__ import annotations


def frames_by_queue(interface: int, queues: int) -> tuple[int, ...]:
    """Frames put into each of the first `queues` queues of the interface of this index since it was made.

    They are counted before the queue, so that none is missing that was thrown away with a queue later. Class k + 1
    belongs to queue k (Linux net/sched/sch_mq.c).
    """
    from pyroute2 import IPRoute  # slow to import

    with IPRoute() as links:
        counts = {
            each["handle"] & 0xFFFF: each.get_attr("TCA_STATS2").get_attr("TCA_STATS_BASIC")["packets"]
            for each in links.get_classes(interface)
        }
    return tuple(counts[queue + 1] for queue in range(queues))
