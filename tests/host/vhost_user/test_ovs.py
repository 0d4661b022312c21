"""Open vSwitch as back end, without a VM: it starts in a folder of its own, and leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.host.real_backends import ovs
from harness.host.real_backends.find import lacking
from harness.host.real_backends.ovs import OpenVSwitch
from harness.vmm.base import VhostUserSocket
from tests.vmm.fakes import processes_naming


@pytest.fixture
def switch(tmp_path: Path, own_network: None) -> OpenVSwitch:
    if (reason := OpenVSwitch.lacking()) is not None or os.geteuid():
        pytest.skip(reason or "Open vSwitch needs root")
    return OpenVSwitch("ovs-test", tmp_path, 2)


def test_vmm_is_the_server(switch: OpenVSwitch, tmp_path: Path) -> None:
    assert switch.attachment == VhostUserSocket(tmp_path / "vhost-user", server=True)
    switch.close()


def test_nothing_is_left_behind(switch: OpenVSwitch, tmp_path: Path) -> None:
    assert len(processes_naming(str(tmp_path))) >= 2
    switch.close()
    assert processes_naming(str(tmp_path)) == []


def test_missing_one_is_said_with_the_line_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ovs, "SWITCH", "/no/such/switch")
    assert lacking("ovs", {}) == "Open vSwitch with DPDK is missing: apt-get install openvswitch-switch-dpdk"


def test_switch_that_ends_at_once_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (reason := OpenVSwitch.lacking()) is not None or os.geteuid():
        pytest.skip(reason or "Open vSwitch needs root")
    monkeypatch.setattr(ovs, "SWITCH", "/bin/false")
    with pytest.raises(HarnessError, match=r"ovs ended \(exit status 1\) before it was ready"):
        OpenVSwitch("ovs-test", tmp_path, 2)
    assert processes_naming(str(tmp_path)) == []
