"""Wrong VMMs, made from outside of a right one: calls and vhost-user messages that go wrong, distorted devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.errors import BadInput
from harness.guest.probe.distortions import DISTORTIONS
from harness.host.syscalls.mutants import MUTANTS, Mutant
from harness.host.vhost_user import mutants as vhost_user_mutants
from harness.testbed.surroundings import Surroundings
from harness.vmm.base import Habits

Wrong = Callable[[Surroundings, Habits], Surroundings]
"""The surroundings in which a VMM that is right, and has these habits, does wrong."""


def all_mutants() -> dict[str, Wrong]:
    """Every mutant by its name."""
    calls: dict[str, Wrong] = {each.name: _judged_by(each) for each in MUTANTS}
    messages = {each.name: _with(rules=each.rules) for each in vhost_user_mutants.MUTANTS}
    return calls | messages | {each.name: _with(device=each.device) for each in DISTORTIONS}


def _judged_by(mutant: Mutant) -> Wrong:
    """A policy remembers the VMs that it has judged: each testbed gets a fresh one."""
    return lambda around, habits: replace(around, syscalls=mutant.policy(habits))


def _with(**changed: Any) -> Wrong:
    return lambda around, habits: replace(around, **changed)


def find_mutant(name: str) -> Wrong:
    """The mutant of that name. Raises BadInput, which lists them, for another."""
    known = all_mutants()
    if name not in known:
        raise BadInput(f"there is no mutant {name!r}; there are {', '.join(known)}")
    return known[name]
