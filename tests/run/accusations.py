"""Faults made on purpose, of the host and the suite, and of the VMM: what a test says of each, and whom it blames.

Each is the body of a test, which has `testbed`, `nic` (two pairs on a tap, started) or neither, and `monkeypatch`.
"""

from __future__ import annotations

from typing import NamedTuple

PRELUDE = """
import errno, fcntl, os, resource, signal, threading, time
from types import SimpleNamespace
import pytest
from harness import cache
from harness.errors import DeadlineExceeded, Owner, Unavailable, VmmDied, VmmError
from harness.guest.answer import Ack, Answer
from harness.guest.firmware import server
from harness.guest.probe.bus import read
from harness.guest.probe import monitor
from harness.host import kvm, trouble
from harness.host.flows import flows
from harness.host.real_backends import base as real
from harness.host.syscalls import Trace
from harness.lifecycle import check, check_frames, records
from harness.testbed.testbed import NicPlan
from harness.vmm import cloud_hypervisor
from harness.vmm.base import VmConfig
from harness.vmm.find import find_vmms

FAKES = {fakes!r}
runs = []

@pytest.fixture
def nic(testbed):
    return testbed.nic(NicPlan(2), "probe", "tap")

@pytest.fixture
def vhost_nic(testbed):
    return testbed.nic(NicPlan(2), "probe", "vhost-user")

def ended(nic, number):
    os.kill(nic.vm.pid, number)
    nic.vm.process.wait(5)

def fake(testbed, behaviour):
    (build,) = find_vmms([f"fake={{FAKES}}/{{behaviour}}"])
    vm = build.launch(VmConfig(None), testbed.fresh_launch())
    testbed.adopt_vm(vm)
    return vm

def failed_loop(end):
    deadline = time.monotonic() + 5
    while not end.failure and time.monotonic() < deadline:
        time.sleep(0.01)

class Broken:
    def decide(self, call, earlier):
        raise ZeroDivisionError("in a policy")
"""


class Fault(NamedTuple):
    """A fault by name, how it is made, and how the reason begins that its test gives (a pattern)."""

    name: str
    body: str
    reason: str


OF_THE_HOST = (
    Fault(
        "vmm_killed",
        "nic|ended(nic, signal.SIGKILL); nic.set_pairs(2)",
        r"qemu died \(killed by SIGKILL\) .*; no VMM",
    ),
    Fault(
        "vmm_killed_unseen",
        "nic|ended(nic, signal.SIGKILL)",
        r"qemu died \(killed by SIGKILL\) amid the test; no VMM",
    ),
    Fault(
        "vmm_killed_before_an_assertion",
        "nic|ended(nic, signal.SIGKILL); assert nic.max_pairs == 3",
        r"qemu died \(killed by SIGKILL\) amid the test; no VMM does that to itself",
    ),
    Fault(
        "back_end_thread",
        "vhost_nic|end = vhost_nic.backend.end; end._loop.later(0, lambda: 1 // 0); failed_loop(end);"
        "assert vhost_nic.max_pairs == 3",
        "the vhost-user back end failed: ZeroDivisionError: ",
    ),
    Fault(
        "back_end_descriptors",
        "vhost_nic|end = vhost_nic.backend.end; end._loop.later(0, lambda: os.close(-1)); failed_loop(end);"
        "assert vhost_nic.max_pairs == 3",
        r"the vhost-user back end failed: OSError: \[Errno 9\] Bad file descriptor",
    ),
    Fault(
        "supervisor",
        "testbed|testbed.surroundings = __import__('dataclasses').replace(testbed.surroundings, syscalls=Broken());"
        "testbed.nic(NicPlan(2), 'probe', 'tap').set_pairs(2)",
        r"the supervisor of .* failed.*: ZeroDivisionError: in a policy",
    ),
    Fault(
        "supervisor_not_to_be_had",
        "monkeypatch, testbed|from harness.host.syscalls import filter as f\n"
        "    def refuse(*_): raise Unavailable('seccomp is not to be had here: run again as root')\n"
        "    monkeypatch.setattr(f, 'install', refuse)\n"
        "    testbed.surroundings = __import__('dataclasses').replace(testbed.surroundings, syscalls=Trace())\n"
        "    testbed.nic(NicPlan(2), 'probe', 'tap')",
        "seccomp is not to be had here: run again as root",
    ),
    Fault(
        "own_thread",
        "vmm|t = threading.Thread(target=lambda: 1 // 0, name='own'); t.start(); t.join(); assert vmm.name == 'x'",
        "the suite's own thread own failed: ZeroDivisionError: ",
    ),
    Fault(
        "flood",
        "nic, monkeypatch|monkeypatch.setattr(nic.backend, 'inject', lambda frames: os.close(-1))\n"
        "    with nic.flooded(flows(1)): time.sleep(0.05)",
        r"OSError: \[Errno 9\] Bad file descriptor",
    ),
    Fault("key_error", "vmm|{}['base']", r"KeyError: 'base' \(test_key_error, test_it.py:\d+\)"),
    Fault("division", "vmm|1 // 0", "ZeroDivisionError: integer division or modulo by zero"),
    Fault(
        "assertion_of_the_suite",
        "testbed|testbed.linux_nics([NicPlan()], 'tap')",
        "the session has no Linux image",
    ),
    Fault(
        "no_descriptors",
        "testbed|soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))\n"
        "    try: kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(25)]\n"
        "    finally: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))",
        r"no more files may be opened \(ulimit -n is ",
    ),
    Fault(
        "full_disk",
        "vmm|with open('/dev/full', 'wb', 0) as full: full.write(b'x')",
        "there is no space left on the disk: make room",
    ),
    Fault(
        "full_disk_met_by_the_vmm",
        "testbed, monkeypatch|monkeypatch.setattr(trouble, '_room_mib', lambda folder: 0)\n"
        "    raise VmmError('qemu refused vm.snapshot (HTTP 500): No space left on device (os error 28)')",
        "there is no space left on the disk: make room",
    ),
    Fault(
        "kvm_gone",
        "testbed, monkeypatch|monkeypatch.setattr(kvm, 'KVM', '/dev/no-kvm')\n"
        "    raise VmmDied('ch died (exit status 1) at start', 1, 'Error: cannot open /dev/kvm: No such file')",
        "/dev/no-kvm is missing: load the module kvm_intel or kvm_amd",
    ),
    Fault(
        "kvm_forbidden",
        "testbed, monkeypatch|def refuse(*_): raise PermissionError(errno.EACCES, 'Permission denied')\n"
        "    monkeypatch.setattr(kvm, 'os', SimpleNamespace(open=refuse, O_RDWR=2, O_CLOEXEC=0))\n"
        "    raise VmmDied('ch died (exit status 1) at start', 1, 'Error: cannot open /dev/kvm: Permission denied')",
        "no permission for /dev/kvm: join the group kvm",
    ),
    Fault(
        "slow_dnsmasq",
        "testbed, monkeypatch|tap = testbed.backend('tap', 1); folder = testbed.fresh_folder('boot')\n"
        "    program = folder / 'dnsmasq'; program.write_text('#!/bin/sh\\nexec sleep 60\\n'); program.chmod(0o755)\n"
        "    monkeypatch.setattr(server, 'START_SECONDS', 0.1)\n"
        "    server.BootServer(program, tap.name, folder, 'a', 'b')",
        r"waited [\d.]+ s for dnsmasq to start; .*the host owed it, not the VMM: .*MQ_PACE=",
    ),
    Fault(
        "slow_back_end",
        "testbed, monkeypatch|monkeypatch.setattr(real, 'READY_WITHIN', 0.1)\n"
        "    class Slow(real.RealBackend):\n"
        "        name = 'testpmd'\n"
        "        def _words(self, folder): return ['sleep', '60']\n"
        "        inject = capture = sibling = lambda *_: None\n"
        "    Slow(testbed.fresh_folder('slow'), 2)",
        r"waited [\d.]+ s for testpmd to open its socket; .*the host owed it, not the VMM: .*MQ_PACE=",
    ),
    Fault(
        "dead_back_end",
        "nic|nic.backend.failure = lambda: 'testpmd ended (killed by SIGSEGV) amid the test'\n"
        "    assert nic.set_pairs(3)",
        r"testpmd ended \(killed by SIGSEGV\) amid the test",
    ),
    Fault(
        "damaged_image",
        "vmm, tmp_path, monkeypatch|monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))\n"
        "    image = cache.cached('linux', b'', lambda to: to.write_bytes(b'a kernel') and None)\n"
        "    image.write_bytes(b'a ker')\n"
        "    raise VmmDied('ch died (exit status 1) at start; it said: InvalidBzImage', 1, 'InvalidBzImage')",
        r"the cached image .*/linux-\w+ is damaged \(its checksum is not the one it was made with\): the next run",
    ),
    Fault(
        "lock_of_the_cache",
        "vmm, tmp_path, monkeypatch|monkeypatch.setattr(cache, 'BUILD_PATIENCE', 0.05)\n"
        "    monkeypatch.setattr(fcntl, 'flock', lambda *_: (_ for _ in ()).throw(BlockingIOError()))\n"
        "    cache.cached('x', b'', lambda to: None, root=tmp_path)",
        r"waited [\d.]+ s for another process to build .*the host owed it, not the VMM",
    ),
)
OF_THE_VMM = (
    Fault(
        "aborted",
        "nic|ended(nic, signal.SIGABRT); nic.set_pairs(2)",
        r"qemu died \(killed by SIGABRT\) while ",
    ),
    Fault(
        "crashed_unseen", "nic|ended(nic, signal.SIGSEGV)", r"qemu died \(killed by SIGSEGV\) amid the test; "
    ),
    Fault(
        "crashed_before_an_assertion",
        "nic|ended(nic, signal.SIGSEGV); assert nic.max_pairs == 3",
        r"qemu died \(killed by SIGSEGV\) amid the test; ",
    ),
    Fault(
        "crashed_before_an_error",
        "nic|ended(nic, signal.SIGBUS); {}['base']",
        r"qemu died \(killed by SIGBUS\) amid ",
    ),
    Fault(
        "ended",
        "nic|nic.vm.call('quit'); nic.vm.process.wait(5); assert nic.max_pairs == 3",
        r"qemu died \(exit status 0\) amid the test; ",
    ),
    Fault(
        "ended_at_start",
        "testbed|testbed.launch(VmConfig(None, extra_args=('--nonsense',)))",
        r"qemu died \(exit status 1\) while answering on its monitor; it said: qemu-system-x86_64: --nonsense: invalid",
    ),
    Fault(
        "forbidden_by_its_own_filter",
        "testbed|fake(testbed, 'api-forbidden').info()",
        r"fake died \(killed by SIGSYS\) while .*; thread http-server made the system call getpgid \(121\), which is",
    ),
    Fault(
        "forbidden_once",
        "testbed|runs.append(1); fake(testbed, 'api-forbidden' if len(runs) == 1 else 'api-panics').info()",
        r"fake died \(killed by SIGSYS\) while .*; it did not happen again when the test was run once more under a ",
    ),
    Fault("refused", "nic|nic.vm.call('no-such-command')", "qemu refused no-such-command: "),
    Fault(
        "frozen",
        "nic, monkeypatch|monkeypatch.setattr(monitor, 'ANSWER_PATIENCE', 0.3)\n"
        "    os.kill(nic.vm.pid, signal.SIGSTOP); nic.driver.net.device.status",
        r"waited [\d.]+ s for a batch of 1 operations; ",
    ),
    Fault(
        "silent_control_queue",
        "nic|nic.driver.net.post_control([b'\\x04\\x00', b'\\x01\\x00'])\n"
        "    assert nic.driver.net.await_control(within=0.05)[0]",
        r"VQ_PAIRS_SET 1 had no answer within [\d.]+ s",
    ),
    Fault("legal_count_refused", "nic|assert nic.set_pairs(3)", "VQ_PAIRS_SET 3 was refused"),
    Fault(
        "illegal_count_taken",
        "nic|assert not nic.set_pairs(2)",
        "VQ_PAIRS_SET 2 was acknowledged, and should have been refused",
    ),
    Fault(
        "host",
        "nic|assert nic.set_pairs(2); assert nic.host().pairs == {0}",
        "the host holds pairs 0-1: expected pair 0",
    ),
    Fault("host_count", "nic|assert nic.host().count == 2", "the host counts 1 active pair: expected 2"),
    Fault(
        "all_witnesses",
        "nic|assert nic.set_pairs(2); check(nic, 1)",
        "pair 0 should be active: the guest was told pairs 0-1, the host holds pairs 0-1, frames landed on pairs 0-1",
    ),
    Fault(
        "frames",
        "nic|assert nic.set_pairs(2); check_frames(nic, 1)",
        "frames should land on pair 0: frames landed on pairs 0-1",
    ),
    Fault(
        "guest_faulted",
        "nic|nic.driver.net.bus.run([read(4, 0xFFFFFFFFF000)])",
        "the probe guest faulted in a batch of 1 operations: ",
    ),
    Fault(
        "buffer_used_twice",
        "nic|queue = nic.driver.net.queues[0]; memory = queue.memory\n"
        "    memory.write(queue.used + 4, b'\\xff' * 8); memory.set16(queue.used + 2, 1); queue.reap()",
        "the device returned descriptor 4294967295 on virtqueue 0 at used index 0, which it does not hold",
    ),
    Fault(
        "no_control_queue",
        "nic|net = nic.driver.net; del net.queues[4]; net.queues.lacking[4] = net._position(4, 2); nic.set_pairs(2)",
        "the device has no control queue at index 4, 2 \u00d7 max_virtqueue_pairs of 2: its queue_size reads 0 there",
    ),
    Fault(
        "assertion_of_the_lifecycle",
        "vmm|records._recorded_at(None, SimpleNamespace(set_pairs=lambda n: Answer('VQ_PAIRS_SET 2', Ack.ERR)), 2)",
        "VQ_PAIRS_SET 2 was refused",
    ),
    Fault(
        "panicked_thread",
        "testbed, monkeypatch|monkeypatch.setattr(cloud_hypervisor, 'GLANCE', 0.1)\n"
        "    fake(testbed, 'api-panics').info()",
        r"waited \d+ s for fake to answer vm.info; its last words: thread 'vmm' panicked at src/vm.rs:1:1: index",
    ),
    Fault("rubbish", "testbed|fake(testbed, 'api-rubbish').info()", "fake answered rubbish to vm.info: "),
    Fault("no_refusal", "vmm|\n    with pytest.raises(VmmDied): pass", "DID NOT RAISE"),
)


def as_suite(fakes: str) -> str:
    """The suite's text; `fakes` is the folder of the fake VMMs."""
    parts = [PRELUDE.format(fakes=fakes)]
    for fault in (*OF_THE_HOST, *OF_THE_VMM):
        needs, _, body = fault.body.partition("|")
        needs = needs if "testbed" in needs or "vmm" in needs else f"{needs}, vmm"
        parts.append(f"def test_{fault.name}({needs}):\n    {body.lstrip()}\n")
    return "\n".join(parts)
