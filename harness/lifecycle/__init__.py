"""What happens in a device's life: resets, pauses, snapshots, migrations, and what each does to the count."""

from harness.lifecycle.checks import (
    check,
    check_all_active,
    check_frames,
    check_receives,
    check_refusal,
    check_safe,
)
from harness.lifecycle.crossing import each_of
from harness.lifecycle.damage import DAMAGES, NUMBERS, OTHERS, Damage
from harness.lifecycle.migration import CutLine, destination, migrate
from harness.lifecycle.records import count_fields, rewrite_count
from harness.lifecycle.saving import (
    Snapshot,
    attempt,
    require_room,
    restore,
    resume_restored,
    save,
    save_and_restore,
    save_and_resume,
    save_paused,
    snapshot_folders,
)
from harness.lifecycle.stored import legacy_form, why_no_count
from harness.lifecycle.transitions import (
    PLUGGED_AGAIN,
    SAME_GUEST,
    TRANSITIONS,
    Effect,
    Transition,
    check_count,
    eject_and_plug,
)

__all__ = [
    "DAMAGES",
    "NUMBERS",
    "OTHERS",
    "PLUGGED_AGAIN",
    "SAME_GUEST",
    "TRANSITIONS",
    "CutLine",
    "Damage",
    "Effect",
    "Snapshot",
    "Transition",
    "attempt",
    "check",
    "check_all_active",
    "check_count",
    "check_frames",
    "check_receives",
    "check_refusal",
    "check_safe",
    "count_fields",
    "destination",
    "each_of",
    "eject_and_plug",
    "legacy_form",
    "migrate",
    "require_room",
    "restore",
    "resume_restored",
    "rewrite_count",
    "save",
    "save_and_restore",
    "save_and_resume",
    "save_paused",
    "snapshot_folders",
    "why_no_count",
]
