"""The network backends by the names that tests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.host.backend import NetworkBackend, Place
from harness.host.macvtap import Macvtap
from harness.host.real_backends.ovs import OpenVSwitch
from harness.host.real_backends.testpmd import Testpmd
from harness.host.real_backends.vhost_user_net import VhostUserNet
from harness.host.tap import HandedTap, Tap, VhostNetTap, VmmTap
from harness.host.vhost_user_backend import VhostUser
from harness.testbed.surroundings import Surroundings
from harness.vmm.abilities import Ability

Make = Callable[[Surroundings, Place, int], NetworkBackend]
"""Makes a network backend at a place, for a NIC of so many pairs."""

NEEDS: Mapping[str, Ability] = {
    "tap-fd": Ability.DESCRIPTORS,
    "tap-of-vmm": Ability.MAKES_TAPS,
    Macvtap.name: Ability.DESCRIPTORS,
    "vhost-net": Ability.VHOST_NET,
    "vhost-user": Ability.VHOST_USER,
    "vhost-user-server": Ability.VHOST_USER_SERVER,
    Testpmd.name: Ability.VHOST_USER,
    OpenVSwitch.name: Ability.VHOST_USER_SERVER,
    VhostUserNet.name: Ability.VHOST_USER,
}
"""What a VMM must be able to do for a network backend of that name; a tap that is there needs nothing."""

BACKENDS: Mapping[str, Make] = {
    "tap": lambda around, place, pairs: Tap(place.name, pairs, multi_queue=place.multi_queue),
    "tap-fd": lambda around, place, pairs: HandedTap(place.name, pairs),
    "tap-of-vmm": lambda around, place, pairs: VmmTap(place.name, pairs),
    Macvtap.name: lambda around, place, pairs: Macvtap(place, pairs),
    "vhost-net": lambda around, place, pairs: VhostNetTap(place.name, pairs),
    "vhost-user": lambda around, place, pairs: VhostUser(place.folder, pairs, rules=around.rules),
    "vhost-user-server": lambda around, place, pairs: VhostUser(
        place.folder, pairs, server=True, rules=around.rules
    ),
    Testpmd.name: lambda around, place, pairs: Testpmd(place.folder, pairs),
    OpenVSwitch.name: lambda around, place, pairs: OpenVSwitch(place.name, place.folder, pairs),
    VhostUserNet.name: lambda around, place, pairs: VhostUserNet(
        around.programs[VhostUserNet.name], place.name, place.folder, pairs
    ),
}
"""A tap made before, one handed over open, one made by the VMM; a macvtap handed over open; a tap with vhost-net; the
instrumented vhost-user back end, to which the VMM connects, or which connects to the VMM; real back ends."""
