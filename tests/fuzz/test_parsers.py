"""Every parser of what a VMM, a guest, a back end or a user's file says: an answer, or an error made for people."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bounded import Unreadable, parse_json
from harness.deadline import PACE
from harness.errors import HarnessError
from harness.expected.baseline import load_baseline
from harness.guest.linux import pktgen
from harness.guest.linux.ethtool import parse_channels, parse_packets
from harness.guest.linux.kernel import parse_interrupts, parse_log
from harness.guest.probe import pci
from harness.guest.probe.transport import Structure
from harness.host.flows import flows, identified, read_stamp
from harness.host.vhost_user.messages import Kind, decode
from harness.host.vhost_user.payloads import Malformed
from harness.lifecycle.stored import read_forms
from harness.printable import all_printable, printable
from harness.process.last_words import own_words
from harness.record.results import loads
from harness.register.register import PATH, load_register
from harness.run.capability import _load as load_abilities
from harness.run.shard import parse_shard
from harness.vmm.cloud_hypervisor_files import Files, timed_lines
from harness.vmm.cloud_hypervisor_state import ComponentState, components
from harness.vmm.qemu_state import NicState, sections
from harness.vmm.release import _pins as load_pins
from tests.fuzz.noise import noisy

LATE = 5.0
"""Seconds for what takes milliseconds: the machine may be busy."""
MAC = "02:00:00:00:01:00"


class Parser(NamedTuple):
    """How it is called with bytes, and what it takes for good."""

    call: Callable[[bytes], object]
    examples: tuple[bytes, ...]


def _text(call: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda content: call(content.decode(errors="replace"))


def _file(name: str, call: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Called with a folder in which the bytes are the file of that name."""

    def run(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(content)
            return call(Path(folder))

    return run


def _all(call: Callable[[bytes], Iterator[object]]) -> Callable[[bytes], object]:
    return lambda content: list(call(content))


def _device(content: bytes) -> None:
    config = content.ljust(pci.CONFIG_SIZE, b"\0")[: pci.CONFIG_SIZE]
    list(pci.capabilities(config))
    pci.msix_vectors(config)
    pci.virtio_regions(config)


def _message(content: bytes) -> None:
    for kind in Kind:
        with suppress(Malformed):
            payload = decode(kind, content)
            assert decode(kind, payload.encode()) == payload
            assert payload.ring is None or payload.ring >= 0


ETHTOOL = b"Combined:\t\t4\nCurrent hardware settings:\nRX:\t\t0\nCombined:\t\t2\n"
QUEUES = b"     rx_queue_0_packets: 3\n     rx_queue_1_packets: 0\n     tx_queue_0_packets: 1\n"
INTERRUPTS = (
    b"  25:     10    20   PCI-MSIX-0000:00:02.0   1-edge   virtio0-input.0\n 26: 1 2 x virtio0-output.0\n"
)
EVENT = (
    b'{"timestamp": {"secs": 1, "nanos": 5}, "source": "vm", "event": "booted", "properties": {"a": "b"}}\n'
)
LOG = b"cloud-hypervisor:   0.004512s: <vmm> INFO:vmm/src/lib.rs:1 -- Booting VM\ncloud-hypervisor: 1.5s: <net0> x\n"
COMPONENT = {"snapshot_data": {"state": json.dumps({"queues": 2, "acked": [1, 2]})}}
STATE = json.dumps({"snapshots": {"device-manager": {"snapshots": {"net0": COMPONENT}, "id": "x"}}}).encode()
STREAM = (
    b"\x04\0\0\0\x07\x0epci/virtio-net\0\0\0\0\0\0\0\x0b"
    + bytes.fromhex("020000000100")
    + b"\0\2\x7e\0\0\0\x07\0\6\0\0\0\x40"
    b'{"devices": [{"name": "pci/virtio-net", "instance_id": 0}]}'
)
RESULT = {
    **{
        "test": "t.py::test_a",
        "file": "t.py",
        "function": "test_a",
        "parameters": {"pairs": "2"},
        "vmm": "a",
    },
    **{"version": "1", "requirements": ["X-1"], "verdict": "fail", "seconds": 0.5, "reason": "x"},
    **{"witnesses": [{"pair": 0, "guest": True, "frames": 3}], "bundle": "failures/a"},
    **{"timeline": [{"at": 0.5, "source": "frames", "text": "x", "pair": 1, "frames": 2}]},
}
RESULTS = json.dumps(
    {"schema": 2, "vmms": [{"name": "a", "kind": "k", "version": "1"}], "results": [RESULT]}
).encode()
OLD = json.dumps({"schema": 1, "results": [{"test": "t.py::test_a[probe-2]", "driver": "probe"}]}).encode()
BASELINE = b'schema = 1\n[build]\nkind = "qemu"\n[[expect]]\ntests = ["a*"]\nverdict = "fail"\nreason = "x"\n'
FORM = b'[a]\nkind = "qemu"\nfiles = ["state"]\nfields = ["1"]\n'
ABILITIES = b'{"probe_guest": {"works": true, "detail": ""}, "linux_guest": {"works": false, "detail": "x"}}'
FRAME = flows(1)[0].frame(bytes.fromhex("020000000100"), 7)
CONFIG = bytearray(pci.CONFIG_SIZE)
CONFIG[:4], CONFIG[0x34] = bytes.fromhex("f41a4110"), 0x40
for number, structure in enumerate(Structure):
    at = 0x40 + 20 * number
    CONFIG[at : at + 5] = bytes([0x09, at + 20 if number < 3 else 0, 20, structure, 4])

PARSERS = {
    "ethtool -l": Parser(_text(parse_channels), (ETHTOOL,)),
    "ethtool -S": Parser(_text(lambda text: parse_packets(text, "rx")), (QUEUES,)),
    "/proc/interrupts": Parser(_text(lambda text: parse_interrupts(text, "virtio0")), (INTERRUPTS,)),
    "dmesg": Parser(_text(parse_log), (b"<4>[    1.5] x\n<30>[ 2.0] y\n",)),
    "pktgen": Parser(
        _text(lambda text: pktgen.sent(text, 3)), (b"Result: OK: 6(c5+d0) usec, 3 (60byte,0frags)\n",)
    ),
    "PCI configuration space": Parser(_device, (bytes(CONFIG),)),
    "frame": Parser(lambda content: (read_stamp(content), identified([content], {})), (FRAME,)),
    "vhost-user message": Parser(_message, (bytes(8), bytes(40), b"\1\0\0\0\0\0\0\0" + bytes(32))),
    "event monitor": Parser(_file("events", lambda folder: Files.within(folder).read_events()), (EVENT * 2,)),
    "log of cloud-hypervisor": Parser(timed_lines, (LOG,)),
    "last words": Parser(
        _text(own_words), (LOG, b"Error: a\n  0: b\n  1: c\n", b"thread 'x' panicked at y:\nz\n")
    ),
    "state of cloud-hypervisor": Parser(_file("state.json", components), (STATE,)),
    "state of a component": Parser(
        _file("state.json", lambda folder: ComponentState(folder, "net0").read()), (STATE,)
    ),
    "change of a component": Parser(
        _file(
            "state.json", lambda folder: ComponentState(folder, "net0").change({"queues": 3, "acked": None})
        ),
        (STATE,),
    ),
    "migration stream of QEMU": Parser(_all(sections), (STREAM,)),
    "state of a NIC of QEMU": Parser(_file("state", lambda folder: NicState(folder, MAC).read()), (STREAM,)),
    "JSON": Parser(lambda content: all_printable(parse_json(content)), (RESULTS, b"[1, 2.5, null]")),
    "results": Parser(lambda content: loads(content, "results.json"), (RESULTS, OLD)),
    "baseline": Parser(_file("b.toml", lambda folder: load_baseline(folder / "b.toml")), (BASELINE,)),
    "register": Parser(
        _file("r.toml", lambda folder: load_register(folder / "r.toml")), (PATH.read_bytes(),)
    ),
    "legacy forms": Parser(_file("f.toml", lambda folder: read_forms(folder / "f.toml")), (FORM,)),
    "what a host can do": Parser(
        _file("a.json", lambda folder: load_abilities(folder / "a.json")), (ABILITIES,)
    ),
    "pins of releases": Parser(
        _file("p.json", lambda folder: load_pins(folder / "p.json")), (b'{"v1.0": "00"}',)
    ),
    "--shard": Parser(_text(parse_shard), (b"1/3", b"3/3")),
}


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
@given(data=st.data())
def test_it_answers_or_says_what_is_wrong(parser: Parser, data: st.DataObject) -> None:
    content = data.draw(noisy(*parser.examples))
    began = time.monotonic()
    with suppress(HarnessError, Unreadable):
        parser.call(content)
    assert time.monotonic() - began < LATE * PACE, "it takes the longer the more there is, and more than that"


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_its_examples_are_well_formed(parser: Parser) -> None:
    """The fuzzers begin where parsers go deep: the first example of each is taken for good."""
    parser.call(parser.examples[0])


@given(st.text() | noisy(b"\x1b[31mred\x9b").map(lambda content: content.decode("utf-8", "surrogateescape")))
def test_printable_text_is_printable_and_utf_8(text: str) -> None:
    shown = printable(text)
    assert not [each for each in shown if ord(each) < 32 and each not in "\n\t"]
    assert "\x9b" not in shown
    shown.encode()
