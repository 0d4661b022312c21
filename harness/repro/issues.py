"""cloud-hypervisor's issues 8306 and 8307, as something to do, to look at and to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from harness.host import namespace
from harness.host.backend import HostView
from harness.host.flows import flows
from harness.record.landed import Landed
from harness.record.pairs import named
from harness.record.results import PairRow
from harness.record.table import pairs_table
from harness.scratch import Scratch
from harness.testbed.testbed import NicPlan, Testbed
from harness.vmm.base import Vmm
from harness.vmm.find import find_vmms

PAIRS = 4
FLOWS = 64
LINK = "https://github.com/cloud-hypervisor/cloud-hypervisor/issues/"


class Answer(IntEnum):
    """The verdict, as an exit status that `git bisect run` understands."""

    FIXED = 0
    REPRODUCED = 1
    CANNOT_TELL = 125


@dataclass(frozen=True)
class Issue:
    """An issue as something to do: ask for `asked` pairs after DRIVER_OK, or for nothing."""

    number: str
    title: str
    asked: int | None

    @property
    def wanted(self) -> frozenset[int]:
        """The pairs that are active then on a VMM that is right (virtio 1.2, 5.1.6.5.5)."""
        return frozenset(range(self.asked or 1))


ISSUES = {
    "8306": Issue("8306", "VQ_PAIRS_SET is acknowledged, and nothing is done", 2),
    "8307": Issue("8307", "every pair is active before the driver asked for more than one", None),
}


@dataclass(frozen=True)
class Scene:
    """What was found. `agreed` is the device's answer, True where nothing was asked."""

    agreed: bool
    host: HostView
    landed: Landed
    rows: Sequence[PairRow]


def gather(bed: Testbed, issue: Issue) -> Scene:
    """Do what the issue says to do, and look at all three witnesses."""
    nic = bed.nic(NicPlan(PAIRS), "probe", "tap")
    agreed = issue.asked is None or bool(nic.set_pairs(issue.asked))
    landed = nic.receive(flows(FLOWS))
    host = nic.host()
    nic.vm.check_alive("the frames were on their way")
    return Scene(agreed, host, landed, nic.rows())


def judge(issue: Issue, scene: Scene) -> tuple[Answer, str]:
    """The verdict, and why."""
    wanted, host, landed = issue.wanted, scene.host, scene.landed
    if not scene.agreed:
        return (
            Answer.CANNOT_TELL,
            f"the device refused {issue.asked} pairs: that is wrong, and another defect",
        )
    if not host.consistent:
        return Answer.CANNOT_TELL, f"the kernel counts {host.count} queues and shows {named(host.pairs)}"
    if host.pairs != wanted or not landed.pairs <= wanted:
        return Answer.REPRODUCED, (
            f"{named(wanted)} should be active; the host holds {named(host.pairs)}, "
            f"and frames landed on {named(landed.pairs)}"
        )
    if not landed.exactly_once:
        return (
            Answer.CANNOT_TELL,
            f"the host holds {named(wanted)}, as it should, but frames went astray: {landed}",
        )
    return Answer.FIXED, f"the host holds {named(wanted)}, and every frame landed there"


def shown(issue: Issue, vmm: Vmm, scene: Scene) -> str:
    """The scene as text, without the verdict."""
    host, landed = scene.host, scene.landed
    if issue.asked is None:
        sent = "nothing: DRIVER_OK was set, and the control queue is still empty"
        told = "nothing: so one pair is active"
    else:
        sent = f"VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET with virtqueue_pairs = {issue.asked}, on the control queue"
        told = f"VIRTIO_NET_OK: {issue.asked} pairs are active" if scene.agreed else "VIRTIO_NET_ERR: refused"
    strays = [
        f"{count} {word}" for word in ("lost", "twice", "late") if (count := getattr(landed, word))
    ] or ["all arrived once"]
    lines = {
        "VMM": f"{vmm.kind} {vmm.version} ({vmm.path})",
        "NIC": f"{PAIRS} pairs on a tap; multiqueue negotiated, buffers on every receive queue",
        "sent": sent,
        "guest told": told,
        "host holds": f"{host.count} of {host.total} queues attached (rtnetlink; queue by queue: TUNGETIFF)",
        "frames": f"{FLOWS} flows, one frame each: {', '.join(strays)}",
    }
    facts = "\n".join(f"{name:<10}  {text}" for name, text in lines.items())
    return (
        f"issue {issue.number}: {issue.title}\n{LINK}{issue.number}\n\n{facts}\n\n{pairs_table(scene.rows)}\n"
    )


def show(number: str, path: str) -> Answer:
    """Launch a VM on the binary, print what is found and the verdict. Raises HarnessError if it cannot be told."""
    issue = ISSUES[number]
    namespace.prepare()
    (vmm,) = find_vmms([path])
    scratch = Scratch()
    try:
        namespace.enter()
        with Testbed(vmm, scratch.folder()) as bed:
            scene = gather(bed, issue)
    finally:
        scratch.close()
    print(shown(issue, vmm, scene))
    answer, why = judge(issue, scene)
    print(f"{answer.name.replace('_', ' ')}: {why}")
    return answer
