"""crosvm's adapter: what it is given for a NIC."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import Lacks
from harness.vmm.base import Attachment, NicConfig, TapByFds, TapByName, VhostUserSocket, VmConfig
from harness.vmm.crosvm import Crosvm

MAC = "02:00:00:00:01:00"
CROSVM = Crosvm("c", Path("/crosvm"), "0.1.0")


def a_nic(attachment: Attachment, pairs: int = 4, *, packed: bool = False) -> NicConfig:
    return NicConfig("n", MAC, pairs, attachment, packed=packed)


@pytest.mark.parametrize(
    ("nic", "words"),
    [
        (a_nic(TapByName("t")), ["--net", f"tap-name=t,mac={MAC},vq-pairs=4"]),
        (a_nic(TapByName("t"), packed=True), ["--net", f"tap-name=t,mac={MAC},vq-pairs=4,packed-queue"]),
        (a_nic(TapByName("t", vhost=True)), ["--net", f"tap-name=t,mac={MAC},vq-pairs=4,vhost-net"]),
        (a_nic(VhostUserSocket(Path("/s"))), ["--vhost-user", "type=net,socket=/s"]),
    ],
    ids=["tap", "packed", "vhost-net", "vhost-user"],
)
def test_words_of_a_nic(nic: NicConfig, words: list[str]) -> None:
    assert CROSVM.nic_words(nic) == words


@pytest.mark.parametrize(
    ("attachment", "sentence"),
    [
        (TapByFds((7,)), "c has no taps that are handed over as descriptors"),
        (VhostUserSocket(Path("/s"), server=True), "c has no vhost-user with the VMM as the server"),
    ],
)
def test_what_it_cannot_do_is_said(attachment: Attachment, sentence: str) -> None:
    with pytest.raises(Lacks, match=sentence):
        CROSVM.nic_words(a_nic(attachment))


def test_a_nic_of_several_pairs_gets_as_many_processors() -> None:
    """With fewer it warns and gives the NIC one pair."""
    nics = (a_nic(TapByName("t"), 2), a_nic(TapByName("u"), 3))
    assert [CROSVM.cpus(VmConfig(None, nics)), CROSVM.cpus(VmConfig(None))] == [3, 1]
