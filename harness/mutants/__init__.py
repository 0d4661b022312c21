"""Wrong VMMs, made from outside of a right one: calls and vhost-user messages that go wrong, distorted devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.errors import BadInput
from harness.guest.probe.device import VirtioDevice
from harness.guest.probe.distortions import DISTORTIONS
from harness.host.syscalls import Policy
from harness.host.syscalls.mutants import MUTANTS
from harness.host.vhost_user import mutants as vhost_user_mutants
from harness.host.vhost_user.rules import Rule
from harness.testbed.testbed import Testbed

Wrong = Callable[[Testbed], None]
"""Makes whatever a testbed launches from then on wrong."""


def all_mutants() -> dict[str, Wrong]:
    """Every mutant by its name."""

    def with_policy(policy: Callable[[], Policy]) -> Wrong:
        return lambda bed: setattr(bed, "syscalls", policy())

    def with_device(device: Callable[..., VirtioDevice]) -> Wrong:
        return lambda bed: setattr(bed, "device", device)

    def with_rules(rules: Callable[[int], Sequence[Rule]]) -> Wrong:
        return lambda bed: setattr(bed, "rules", rules)

    calls = {known.name: with_policy(known.policy) for known in MUTANTS}
    messages = {known.name: with_rules(known.rules) for known in vhost_user_mutants.MUTANTS}
    return calls | messages | {known.name: with_device(known.device) for known in DISTORTIONS}


def find_mutant(name: str) -> Wrong:
    """The mutant of that name. Raises BadInput, which lists them, for another."""
    known = all_mutants()
    if name not in known:
        raise BadInput(f"there is no mutant {name!r}; there are {', '.join(known)}")
    return known[name]
