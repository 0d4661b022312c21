"""Open vSwitch with DPDK: a bridge in user space with the VM on one port.

It is the vhost-user client: the VMM listens (`dpdkvhostuserclient`, the only kind that Open vSwitch recommends).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from harness.bounded import MIB, TooSlow, Unreadable, run
from harness.deadline import PACE, Deadline, wait_until
from harness.errors import DeadlineExceeded, HarnessError, Owner, Unavailable
from harness.host.backend import Place
from harness.host.real_backends.base import READY_WITHIN
from harness.host.real_backends.dpdk import DpdkBackend
from harness.host.vhost_user.endpoints import Connect, Endpoint, Listen
from harness.process.child import VmmProcess
from harness.unix_socket import is_listened_on

SWITCH = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl")
PORT = "vm"
# --legacy-mem: without it Open vSwitch adds --in-memory, which DPDK refuses beside --no-huge
DPDK_OPTIONS = '"--no-huge --legacy-mem --no-pci -m 512"'
CALL_PATIENCE = 10.0


class OpenVSwitch(DpdkBackend):
    """A switch of its own for one NIC, in a folder of its own; `bridge` is a name that no interface has."""

    name = "ovs"
    vmm_listens = True

    def __init__(self, bridge: str, folder: Path, pairs: int) -> None:
        self._bridge = bridge
        self._places = {
            name: str(folder) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "RUNTIME_DIRECTORY")
        }
        super().__init__(folder, pairs)

    @staticmethod
    def lacking() -> str | None:
        """Why it cannot run here, or None."""
        if not os.access(SWITCH, os.X_OK) or not all(map(shutil.which, TOOLS)):
            return "Open vSwitch with DPDK is missing: apt-get install openvswitch-switch-dpdk"
        return None

    def _prepare(self, undo: ExitStack) -> None:
        if (reason := self.lacking()) is not None:
            raise Unavailable(reason)
        self._database = self.folder / "db"
        self._call("ovsdb-tool", "create", str(self.folder / "conf.db"), SCHEMA)
        server = VmmProcess(
            self._with_places(
                "ovsdb-server", "conf.db", f"--remote=punix:{self._database}", "-vconsole:warn"
            ),
            self.folder / "database-log",
            folder=self.folder,
        )
        undo.callback(server.stop)
        wait_until(
            "Open vSwitch's database",
            lambda: is_listened_on(self._database),
            owed_by=Owner.HOST,
            within=READY_WITHIN,
            last=server.tail,
        )
        self._call("ovs-vsctl", f"--db=unix:{self._database}", "--no-wait", *self._settings())

    def _settings(self) -> list[str]:
        options = {
            "type": "dpdkvhostuserclient",
            "options:vhost-server-path": str(self.socket),
            "options:n_rxq": str(self.pairs),
        }
        return [
            *("init", "--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true"),
            *(f"other_config:dpdk-extra={DPDK_OPTIONS}", "other_config:pmd-cpu-mask=0x1"),
            *("--", "add-br", self._bridge, "--", "set", "Bridge", self._bridge, "datapath_type=netdev"),
            *("--", "add-port", self._bridge, PORT, "--", "set", "Interface", PORT),
            *(f"{name}={value}" for name, value in options.items()),
        ]

    def _words(self, folder: Path) -> Sequence[str]:
        control = f"--unixctl={folder / 'control'}"
        return self._with_places(SWITCH, f"unix:{self._database}", "--no-chdir", "-vconsole:info", control)

    def _with_places(self, *words: str) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self._places.items()), *words]

    def _call(self, *words: str) -> None:
        try:
            status, _, errors = run(self._with_places(*words), MIB, Deadline(CALL_PATIENCE))
        except Unreadable as error:
            raise HarnessError(f"{words[0]} {error}") from None
        except TooSlow:
            raise DeadlineExceeded(
                f"waited {CALL_PATIENCE * PACE:.0f} s for {words[0]} to end", Owner.HOST
            ) from None
        if status:
            raise HarnessError(f"{words[0]} failed: {errors.strip() or 'it said nothing'}")

    def _endpoints(self) -> tuple[Endpoint, Endpoint]:
        return Connect(self.attachment.path), Listen(self.socket)

    def _await_ready(self, undo: ExitStack) -> None:
        def served() -> bool:
            self._check_alive()
            return "vhost-user client: socket created" in self.process.output()

        wait_until(
            "Open vSwitch to have its port",
            served,
            owed_by=Owner.HOST,
            within=READY_WITHIN,
            last=self.process.tail,
        )

    def sibling(self, place: Place, pairs: int) -> Self:
        """Another switch."""
        return type(self)(place.name, place.folder, pairs)
