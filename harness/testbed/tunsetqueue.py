"""Whether anything can be learnt from a VMM's TUNSETQUEUE calls."""

from __future__ import annotations

from collections.abc import Sequence

from harness.host.syscalls import Call
from harness.testbed.nic import Nic


def changes_otherwise(nic: Nic, calls: Sequence[Call]) -> str | None:
    """That the VMM changes the queues of a tap by other means, as a sentence; None where it does not.

    It does if one pair alone is active after DRIVER_OK, on a NIC of several, and no call made it so: then it opens and
    closes queues. A VMM that made no call and holds them all has ignored the driver, which is a failure.
    """
    vmm = nic.vm.vmm
    if calls or nic.max_pairs == 1 or nic.host().pairs != {0}:
        return None
    if not vmm.queue_for_each_pair:
        return f"{vmm.name} has one queue of a tap for all pairs, and none to change"
    return f"{vmm.name} changes the queues of a tap otherwise than by TUNSETQUEUE"
