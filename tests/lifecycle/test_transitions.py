"""What transitions are said to do to the count, and that they do it to a VM that does everything right."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host.syscalls.conditions import RESUMED
from harness.lifecycle import PLUGGED_AGAIN, TRANSITIONS, Effect, Transition, check_count, each_of
from harness.lifecycle import transitions as transitions_module
from harness.lifecycle.transitions import back_to_a_snapshot, unbind_and_bind
from tests.lifecycle.simulated import PAIRS, HandedPlug, Plug, a_testbed


@pytest.mark.parametrize(
    ("effect", "count", "expected"),
    [
        (Effect.KEEPS, 3, 3),
        (Effect.KEEPS, None, None),
        (Effect.RECORDED, 2, 2),
        (Effect.ONE, 3, 1),
        (Effect.ONE, None, 1),
        (Effect.ALL, 3, None),
    ],
)
def test_expected_count(effect: Effect, count: int | None, expected: int | None) -> None:
    assert Transition("some", effect, lambda bed, nic: None).expected(count) == expected


def test_every_effect_has_a_transition() -> None:
    assert {step.effect for step in TRANSITIONS} == set(Effect)
    assert len({step.name for step in TRANSITIONS}) == len(TRANSITIONS)


STEPS = [*TRANSITIONS, PLUGGED_AGAIN]
SAVED = "paused and saved"
RESTORED = [SAVED, "base restored the snapshot as process {pid}", "resumed"]
TOLD = {
    "unbind-and-bind": ["the driver was unbound and bound again"],
    "guest-reboot": ["the guest reset the machine"],
    "vmm-reboot": ["the VMM reset the machine"],
    "shut-down-and-boot": ["the VMM shut the VM down and booted it"],
    "pause-and-resume": ["paused and resumed"],
    "snapshot-and-restore": RESTORED,
    "back-to-a-snapshot": RESTORED,
    "restore-without-a-count": [SAVED] * 3 + RESTORED,
    "live-migration": ["migrated to base, process {pid}"],
    "removal-and-hot-plug": ["the NIC was removed"],
}
"""What the timeline says of a step, beside what a NIC's own steps say."""
OF_NICS = ("asks for", "is told", "the driver started", "reset the device", "active pairs")


@pytest.mark.usefixtures("simulated_guests")
@pytest.mark.parametrize("plug", [Plug, HandedPlug], ids=["tap", "handed"])
@pytest.mark.parametrize("step", STEPS, ids=[step.name for step in STEPS])
def test_transition_does_to_the_count_what_it_says(
    tmp_path: Path, step: Transition, plug: type[Plug]
) -> None:
    bed, nic, other = a_testbed(tmp_path, plug=plug)
    before = nic.driver.net.bus
    step.run(bed, nic)
    expected = step.expected(3)
    assert nic.host().pairs == frozenset(range(PAIRS if expected is None else expected))
    assert len(nic.driver.believed_pairs) == (3 if expected is None else expected), "the guest sends nothing"
    assert other.witnesses().agree, "the VM's other NIC goes through it too"
    assert other.driver.believed_pairs
    assert bed.vmm.alive == [nic.vm] == [other.vm]
    assert [each.driver.net.bus.live for each in (nic, other)] == [True, True]
    assert before.mapped == (nic.driver.net.bus is before), "memory of a guest that is no more is unmapped"
    assert not [*tmp_path.glob("snapshot*")]
    told = [event for event in bed.journal.events if not event.text.startswith(OF_NICS)]
    assert [event.text for event in told] == [line.format(pid=nic.vm.pid) for line in TOLD.get(step.name, [])]
    assert {event.source for event in told} <= {"guest" if step.name == "unbind-and-bind" else "vmm"}
    bed.close()
    assert not nic.driver.net.bus.mapped
    assert not bed.vmm.alive


@pytest.mark.usefixtures("simulated_guests")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("guest-reboot", ["reset by guest"]),
        ("vmm-reboot", ["reset by vmm"]),
        ("shut-down-and-boot", ["reset by boot"]),
        ("pause-and-resume", ["pause"]),
    ],
)
def test_vm_goes_through_what_the_name_says(tmp_path: Path, name: str, told: list[str]) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    (step,) = (each for each in TRANSITIONS if each.name == name)
    step.run(bed, nic)
    assert nic.vm.told == told


@pytest.mark.usefixtures("simulated_guests")
@pytest.mark.parametrize("pairs", range(1, PAIRS + 1))
def test_vm_goes_on_to_another_count_before_it_is_brought_back(tmp_path: Path, pairs: int) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    nic.set_pairs(pairs)
    back_to_a_snapshot(bed, nic)
    (between,) = (event.pairs for event in bed.journal.events[3:] if event.source == "guest" and event.pairs)
    assert between not in (None, pairs)
    assert len(nic.host().pairs) == pairs


@pytest.mark.usefixtures("simulated_guests")
def test_supervisor_knows_who_is_carried_over_and_who_starts_anew(tmp_path: Path) -> None:
    bed, nic, _ = a_testbed(tmp_path)
    for step in TRANSITIONS:
        nic.vm.process.watcher.marks.clear()
        step.run(bed, nic)
        new = step.name in (
            "snapshot-and-restore",
            "back-to-a-snapshot",
            "restore-without-a-count",
            "live-migration",
        )
        assert nic.vm.process.watcher.marks == [RESUMED] * new


@pytest.mark.usefixtures("simulated_guests")
def test_nic_plugged_again_is_plugged_into_what_it_was(tmp_path: Path) -> None:
    for plug, fds in ((Plug, None), (HandedPlug, (104, 105, 106, 107))):
        folder = tmp_path / plug.__name__
        folder.mkdir()
        bed, nic, _ = a_testbed(folder, plug=plug)
        before = nic.config.attachment
        PLUGGED_AGAIN.run(bed, nic)
        assert nic.vm.told == [f"plugged {nic.config.attachment}"]
        assert nic.config.attachment == (before if fds is None else nic.backend.attachment)
        assert nic.config.descriptors == (fds or ())


@pytest.mark.usefixtures("simulated_guests")
def test_driver_that_does_not_give_its_device_up_is_noticed(tmp_path: Path) -> None:
    """The stand-ins can fail: what they ask for is what the real ones do."""
    bed, nic, _ = a_testbed(tmp_path)
    with pytest.raises(AssertionError):
        nic.driver.rebind(nic.driver.net.bus)
    nic.vm.pause()
    with pytest.raises(AssertionError):
        unbind_and_bind(bed, nic)


def test_count_is_checked_or_that_all_pairs_are_active(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    monkeypatch.setattr(transitions_module, "check", lambda nic, count: checked.append((nic, count)))
    monkeypatch.setattr(transitions_module, "check_all_active", lambda nic: checked.append(nic))
    check_count("nic", 2)  # type: ignore[arg-type]
    check_count("other", None)  # type: ignore[arg-type]
    assert checked == [("nic", 2), "other"]


def test_crossed_test_runs_once_for_each_and_needs_what_it_needs(pytestconfig: pytest.Config) -> None:
    pytestconfig.addinivalue_line("markers", "needs: the suite's own")
    mark = each_of(TRANSITIONS).mark
    argument, values = mark.args
    assert (mark.name, argument) == ("parametrize", "transition")
    assert [(each.id, each.values) for each in values] == [(step.name, (step,)) for step in TRANSITIONS]
    assert [[(mark.name, mark.args) for mark in each.marks] for each in values] == [
        [("needs", step.needs)] for step in TRANSITIONS
    ]
