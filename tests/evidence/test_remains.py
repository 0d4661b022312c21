"""What is left of a failed test: whatever there is, of VMs alive or dead, and nothing that costs the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from harness.errors import VmmError
from harness.evidence import remains as remains_module
from harness.evidence.bundle import LIMIT
from harness.evidence.remains import pcap, remains
from harness.host.syscalls import Supervisor
from harness.process.exit_status import ExitStatus


class Watched(Supervisor):
    """As much of a supervisor as has calls."""

    def __init__(self, *calls: Any) -> None:
        self._calls = list(calls)


class Vm:
    """A VM that is in `folder`, where it has left its log, and tells what it is asked."""

    def __init__(self, folder: Path, status: ExitStatus | None = None, watcher: Any = None) -> None:
        folder.mkdir(parents=True)
        self.process = SimpleNamespace(argv=["ch", "--net", "a b"], log=folder / "vmm.log", watcher=watcher)
        self.process.log.write_text("a log")
        self.vmm = SimpleNamespace(kind="cloud-hypervisor", version="v1", path=Path("/opt/ch"))
        self.serial = SimpleNamespace(transcript=bytearray(b"READY\xff"))
        self.memory = SimpleNamespace(size=6, open=True, read=lambda at, length: b"MEMORY"[at : at + length])
        self.memory.close = lambda: setattr(self.memory, "open", False)
        self._status = status

    def exit_status(self) -> ExitStatus | None:
        return self._status

    def log(self) -> str:
        return "a log"

    def info(self) -> dict[str, Any]:
        assert self._status is None, "a dead VMM is asked nothing"
        return {"state": "Running"}

    def guest_memory(self) -> Any:
        return self.memory


def left(folder: Path, *vms: Any, nics: Any = (), memory: bool = False) -> dict[str, Any]:
    """What is left, without the host."""
    bed: Any = SimpleNamespace(vms=list(vms), nics=list(nics), folder=folder)
    files: dict[str, Any] = dict(remains(bed, memory=memory))
    del files["host.json"]
    return files


FILES = {
    "command.txt": "ch --net 'a b'\n",
    "version.txt": "cloud-hypervisor v1\n/opt/ch\n",
    "exit.txt": "alive\n",
    "vmm.log": "a log",
    "console.txt": b"READY\xff",
}
INFO = {"info.json": '{\n "state": "Running"\n}'}


def under(name: str, files: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}/{file}": content for file, content in files.items()}


def test_each_vm_has_a_folder(tmp_path: Path) -> None:
    calls = Watched("#1 ATTACH", "#2 DETACH")
    alive, dead = Vm(tmp_path / "vm0", watcher=calls), Vm(tmp_path / "vm1", ExitStatus(137, "SIGKILL"))
    assert left(tmp_path, alive, dead) == {
        **under("vm0", {**FILES, **INFO, "tunsetqueue.txt": "#1 ATTACH\n#2 DETACH\n"}),
        **under("vm1", {**FILES, "exit.txt": "killed by SIGKILL\n"}),
    }


def test_guest_memory_is_kept_on_request_and_given_up(tmp_path: Path) -> None:
    vm = Vm(tmp_path / "vm0")
    assert left(tmp_path, vm, memory=True) == under("vm0", {**FILES, **INFO, "memory.bin": b"MEMORY"})
    assert not vm.memory.open


@pytest.mark.parametrize("error", [VmmError("base refused vm.info"), ProcessLookupError("it is gone")])
def test_vm_that_does_not_answer_costs_only_its_answer(tmp_path: Path, error: Exception) -> None:
    def refuse(*_: object) -> Any:
        raise error

    silent, lost = Vm(tmp_path / "vm0"), Vm(tmp_path / "vm1")
    silent.info = refuse  # type: ignore[method-assign]
    lost.memory.read = refuse
    assert left(tmp_path, silent, lost, memory=True) == {
        **under("vm0", {**FILES, "not-told.txt": f"{error}\n"}),
        **under("vm1", {**FILES, **INFO, "not-told.txt": f"{error}\n"}),
    }
    assert not lost.memory.open


def test_process_that_never_became_a_vm_leaves_its_command_and_log(tmp_path: Path) -> None:
    vm, died, silent = Vm(tmp_path / "vm0"), Vm(tmp_path / "vm1"), Vm(tmp_path / "vm2")
    command = died.process.log.with_name("command.txt")
    command.write_text("ch --bad")
    assert left(tmp_path, vm) == {
        **under("vm0", {**FILES, **INFO}),
        "died-at-start/vm1/vmm.log": died.process.log,
        "died-at-start/vm1/command.txt": command,
        "died-at-start/vm2/vmm.log": silent.process.log,
    }


def test_snapshots_are_kept_but_for_large_files(tmp_path: Path) -> None:
    for name, size in {"state/state.json": 2, "config.json": LIMIT, "memory": LIMIT + 1}.items():
        path = tmp_path / "snapshot3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, size)
    files = {name: tmp_path / name for name in ("snapshot3/config.json", "snapshot3/state/state.json")}
    assert left(tmp_path) == files
    assert left(tmp_path, memory=True) == {**files, "snapshot3/memory": tmp_path / "snapshot3/memory"}


def test_nics_leave_what_was_sent_to_them_and_said_about_them(tmp_path: Path) -> None:
    quiet = SimpleNamespace(config=SimpleNamespace(id="net0"), sent=[], backend=SimpleNamespace())
    peer = SimpleNamespace(messages=lambda: ["SET_OWNER", "SET_FEATURES"])
    busy = SimpleNamespace(config=SimpleNamespace(id="net1"), sent=[(1.5, [b"frame"])], backend=peer)
    assert left(tmp_path, nics=[quiet, busy]) == {
        "net1-sent.pcap": pcap(busy.sent),
        "net1-vhost-user.txt": "SET_OWNER\nSET_FEATURES\n",
    }


def test_capture_is_one_that_others_read(tmp_path: Path) -> None:
    file = tmp_path / "sent.pcap"
    file.write_bytes(pcap([(1700000000.25, [bytes(60), b"x" * 1514]), (1700000002 - 2**-20, [b"y"])]))
    reader = RawPcapReader(str(file))
    assert (reader.linktype, reader.nano, reader.snaplen) == (1, False, 65535)
    assert [(meta.sec, meta.usec, meta.wirelen, data) for data, meta in reader] == [
        (1700000000, 250000, 60, bytes(60)),
        (1700000000, 250000, 1514, b"x" * 1514),
        (1700000001, 999999, 1, b"y"),
    ]
    assert pcap([]).hex(" ", 4) == "d4c3b2a1 02000400 00000000 00000000 ffff0000 01000000", (
        "libpcap's, version 2.4"
    )


@pytest.mark.parametrize(
    ("kvm", "cpuinfo", "cpu"),
    [
        (True, "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: Another\n", "A CPU @ 2 GHz"),
        (False, "processor\t: 0\nCPU part\t: 0xd0c\n", ""),
    ],
    ids=["x86", "arm"],
)
def test_host_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: bool, cpuinfo: str, cpu: str
) -> None:
    monkeypatch.setattr(remains_module, "KVM", str(tmp_path / ("." if kvm else "gone")))
    monkeypatch.setattr(Path, "read_text", lambda path: {"/proc/cpuinfo": cpuinfo}[str(path)])
    bed: Any = SimpleNamespace(vms=[], nics=[], folder=tmp_path)
    host: Any = remains(bed, memory=False)["host.json"]
    facts = json.loads(host)
    assert len(facts.pop("load")) == 3
    assert facts == {
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "cpus": os.cpu_count(),
        "cpu": cpu,
        "kvm": kvm,
    }
