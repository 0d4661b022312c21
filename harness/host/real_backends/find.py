"""Which real back ends there are on this host, by the names that tests use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import BadInput
from harness.host.macvtap import Macvtap
from harness.host.real_backends.ovs import OpenVSwitch
from harness.host.real_backends.testpmd import Testpmd
from harness.host.tap import VhostNetTap

GIVEN = ("vhost_user_net",)
"""Back ends whose program the user gives: no package has them."""

PACKAGED = {kind.name: kind for kind in (Testpmd, OpenVSwitch)}
REAL = (*PACKAGED, *GIVEN)
OF_THE_KERNEL: Mapping[str, type[Macvtap | VhostNetTap]] = {"macvtap": Macvtap, "vhost-net": VhostNetTap}
"""Network backends that not every kernel has."""


def given_programs(values: Sequence[str]) -> dict[str, Path]:
    """Read NAME=PATH, each a program. Raises BadInput for another name, or a path that is no program."""
    programs = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or name not in GIVEN:
            raise BadInput(
                f"--backend-binary {value!r} is not NAME=PATH with one of the names {', '.join(GIVEN)}"
            )
        path = Path(text).absolute()
        if not path.is_file() or not os.access(path, os.X_OK):
            raise BadInput(f"--backend-binary {value!r}: {path} is no executable file")
        programs[name] = path
    return programs


def lacking(name: str, programs: Mapping[str, Path]) -> str | None:
    """Why a network backend of that name cannot be had here, or None, with the way out."""
    if name in GIVEN and name not in programs:
        return f"the program {name} was not given: --backend-binary {name}=PATH"
    kind = PACKAGED.get(name) or OF_THE_KERNEL.get(name)
    return kind.lacking() if kind else None
