"""What a test is given: the build, driver and backend that it is crossed with, and where it builds its VM."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from random import Random

import pytest

from harness.errors import Unavailable
from harness.host.real_backends.find import given_programs, lacking
from harness.mutants import find_mutant
from harness.run import park, second_look
from harness.run.case import name_of
from harness.run.needs import reason_to_skip, vmm_lacks
from harness.run.session import SESSION
from harness.scratch import Scratch
from harness.testbed.linux_machines import LinuxMachines
from harness.testbed.surroundings import Surroundings
from harness.testbed.testbed import Testbed
from harness.vmm.base import Vmm

SCRATCH = pytest.StashKey[Scratch]()
"""Of the run: where this process keeps its files."""
LINUX = pytest.StashKey[LinuxMachines]()
"""Of the run: its Linux guests, where there can be any."""
TESTBED = pytest.StashKey[Testbed]()
"""Of a test: what it has built."""
_shown = pytest.StashKey[dict[str, str]]()
"""Builds that start no VM, and the test that shows it."""


@pytest.fixture
def vmm(request: pytest.FixtureRequest) -> Vmm:
    """The build under test. Skips a test that needs what it cannot do.

    A build that hangs at its start is shown by one test of each process: the others would take hours to say the same.
    """
    session = request.config.stash[SESSION]
    build = session.vmm(request.param)
    if session.capabilities[build.name].hangs:
        _show_once(request, build)
    if (why := vmm_lacks(request.node, build)) is not None:
        pytest.skip(why)
    return build


def _show_once(request: pytest.FixtureRequest, build: Vmm) -> None:
    """Let one test of each process show that a build starts no VM; the others are not judged."""
    why = request.config.stash[SESSION].capabilities[build.name].starts_no_vm
    shown = request.config.stash.setdefault(_shown, {})
    if why is not None and shown.setdefault(build.name, request.node.nodeid) != request.node.nodeid:
        raise Unavailable(f"not judged, for {build.name} starts no VM, as another test shows: {why}")


@pytest.fixture
def writer(request: pytest.FixtureRequest, vmm: Vmm) -> Vmm:
    """The build on which the test's VM begins its life, to go on under the one that is judged."""
    if request.param is None:
        pytest.skip(f"no older build of {vmm.kind} was given: --legacy-vmm NAME=PATH")
    return request.config.stash[SESSION].vmm(request.param)


@pytest.fixture
def driver(request: pytest.FixtureRequest, vmm: Vmm) -> str:
    """The guest driver under which the test runs. Skips what this host cannot run, with the way out."""
    session = request.config.stash[SESSION]
    _show_once(request, vmm)
    if (reason := reason_to_skip(request.node)) is not None:
        pytest.skip(reason)
    if request.param == "linux" and session.linux is None:
        pytest.skip(session.no_linux)
    return str(request.param)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The network backend of the NIC under test. Skips a back end that is not to be had, with the way out."""
    programs = given_programs(request.config.option.backend_binary)
    if (reason := lacking(request.param, programs)) is not None:
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture
def rng(request: pytest.FixtureRequest, vmm: Vmm) -> Random:
    """Random choices that the run's seed repeats, the same on every build."""
    return request.config.stash[SESSION].random(name_of(request.node)[0])


@pytest.fixture
def surroundings(request: pytest.FixtureRequest, vmm: Vmm) -> Surroundings:
    """What the test's VMs and NICs are surrounded by. Tests that need others override this fixture."""
    option = request.config.option
    around = Surroundings(
        sightings=request.node.stash.get(second_look.SIGHTINGS, None),
        programs=given_programs(option.backend_binary),
    )
    if option.trace_syscalls:
        around = around.supervised()
    return around if option.mutant is None else find_mutant(option.mutant)(around, vmm.habits)


@pytest.fixture
def testbed(request: pytest.FixtureRequest, vmm: Vmm, surroundings: Surroundings) -> Iterator[Testbed]:
    """Where a test builds its VM, on the writer's build where there is one; all of it is gone afterwards."""
    stash = request.config.stash
    build = request.getfixturevalue("writer") if "writer" in request.fixturenames else vmm
    folder = stash[SCRATCH].folder()
    bed = Testbed(build, folder, surroundings, stash.get(LINUX, None))
    try:
        request.node.stash[TESTBED] = bed
        yield bed
    finally:
        park.close_or_park(request.config, bed)
    if not bed.failed:  # of a failed one the evidence may still be wanted
        shutil.rmtree(folder, ignore_errors=True)
