"""The pytest plugin: the builds that a run crosses, and what is made of the verdicts.

It is loaded by conformance/conftest.py. Under xdist the main process prepares and reports, the workers test.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import cache, interrupts
from harness.deadline import check_pace
from harness.errors import BadInput, HarnessError, Lacks, Unavailable
from harness.evidence.collect import ATTRIBUTE, Collector
from harness.evidence.judge import Judge
from harness.evidence.junit import annotate
from harness.evidence.rerun import Rerun
from harness.evidence.threads import forget_threads, watch_threads
from harness.expected.baseline import FOLDER, load_about
from harness.expected.causes import Expected
from harness.guest import answer
from harness.host import namespace
from harness.host.real_backends.find import given_programs
from harness.host.syscalls import missing
from harness.mutants import find_mutant
from harness.printable import is_text, printable
from harness.process.tether import end_with_parent
from harness.record import pairs, runs
from harness.record.ongoing import Records
from harness.record.results import NotRun, Shard, VmmInfo, from_dict
from harness.record.selection import Selection
from harness.run import options, park, schedule, second_look
from harness.run.case import case_of, name_of
from harness.run.fixtures import LINUX, SCRATCH, TESTBED
from harness.run.narrowed import is_narrowed
from harness.run.session import SESSION, Session, prepare
from harness.run.shard import deal, parse_shard
from harness.run.workers import Announcing, Watching
from harness.scratch import Scratch
from harness.testbed.linux_machines import LinuxMachines

pytest.register_assert_rewrite("harness.lifecycle")  # its assertions are the tests' own
pytest_plugins = (
    "harness.run.options",
    "harness.run.schedule",
    "harness.run.crossing",
    "harness.run.fixtures",
)

MARKERS = (
    "requirement(*ids): rows of conformance/requirements.toml that a test proves",
    "issue_8306: reproduces cloud-hypervisor issue 8306 (VQ_PAIRS_SET acknowledged but ignored)",
    "issue_8307: reproduces cloud-hypervisor issue 8307 (all pairs active before the driver asked)",
    "drivers(*names): the guest drivers that a test is crossed with: probe, linux, firmware (default: probe)",
    "slow: takes seconds, not a fraction of one",
    "needs(*what): what the VMM must be able to do for the test (harness.vmm.needs); else it is skipped, and says so",
    "legacy: the writers that a test is crossed with are the older builds (--legacy-vmm)",
    "backends(*names): the network backends that a test is crossed with (default: tap)",
)

GARBAGE = 50_000
"""Objects after which Python looks for garbage (gc.set_threshold): its own 700 cost a tenth of a run."""

_session = SESSION
_collector = pytest.StashKey[Collector]()
_judge = pytest.StashKey[Judge]()
_expected = pytest.StashKey[Expected]()
_left_out = pytest.StashKey[int]()
_shard = pytest.StashKey[Shard]()
_broken_off = pytest.StashKey[list[str]]()


# Start and end of a run


def _is_worker(config: pytest.Config) -> bool:
    """Whether the session is handed to this process: under xdist, and in the lab."""
    return hasattr(config, "workerinput")


def _xdist_worker(config: pytest.Config) -> bool:
    return "workerid" in getattr(config, "workerinput", {})


def _mains_folder(config: pytest.Config) -> Path | None:
    """The scratch folder of the main process, for a worker."""
    told = getattr(config, "workerinput", {}).get("scratch")
    return Path(told) if told else None


def _say_at_once(config: pytest.Config, what: str) -> None:
    """To people, before the run has a header: pytest holds back what is printed by then."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        print(what, file=sys.stderr, flush=True)


def _require_text(config: pytest.Config) -> None:
    """Raise BadInput for a path with bytes that are no UTF-8: results are, and could not be written at the end."""
    for text in (str(Path.cwd()), str(config.rootpath), *map(str, config.invocation_params.args)):
        if not is_text(text):
            raise BadInput(
                f"{printable(text)!r} holds a byte that is no UTF-8, and results.json is UTF-8: choose another path"
            )


def _expected_of(session: Session) -> Expected:
    """What the baselines expect of the run's builds."""
    columns = [VmmInfo(vmm.name, vmm.kind, vmm.version) for vmm in session.vmms]
    return Expected(load_about(FOLDER, columns), columns)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Find the builds, and learn what this host can run."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if config.option.help or config.option.version:
        return
    gc.set_threshold(GARBAGE)
    try:
        check_pace()
        options.check(config.option)
        _require_text(config)
        if not _is_worker(config):
            namespace.prepare()  # workers inherit what it takes
            cache.announce = partial(_say_at_once, config)
        config.stash[SCRATCH] = scratch = Scratch(_mains_folder(config))
        config.add_cleanup(scratch.close)
        if config.option.basetemp is None:
            # pytest would name its folder by who LOGNAME or USER say that we are, and may find it to be another's
            config.option.basetemp = str(scratch.folder() / "pytest")
        if _is_worker(config):
            config.stash[_session] = session = Session.unpack(config.workerinput["conformance"])  # type: ignore[attr-defined]
            config.stash[_expected] = _expected_of(session)
            if _xdist_worker(config) and session.evidence is not None:
                interrupts.are_for_others()
                end_with_parent()
                worker = str(config.workerinput["workerid"])  # type: ignore[attr-defined]
                config.pluginmanager.register(_Recorder(Records(session.evidence, worker)))
        else:
            option = config.option
            session = prepare(
                option.vmm,
                option.seed,
                scratch,
                option.guest_kernel,
                option.guest_image,
                option.legacy_vmm,
                lab=option.lab != "never",
            )
            config.stash[_expected] = expected = _expected_of(session)
            if not config.option.collectonly:
                interrupts.as_interrupts()
                config.stash[_broken_off] = list(runs.recover(Path(option.report)))
                runs.keep(Path(option.report), *options.kept(option.keep))
                collector = Collector(
                    Path(option.report), config.invocation_params.args, session.vmms, session.facts()
                )
                config.stash[_collector] = collector
                config.pluginmanager.register(_Listener(collector))
                config.pluginmanager.register(_Recorder(Records(collector.store.folder, "main")))
                from harness.run.screen import Screen  # slow to import, and workers need none

                config.pluginmanager.register(Screen(config, collector, expected, brief=option.brief))
                if option.park:
                    config.pluginmanager.register(park.Parking(config, collector.store.folder))
                session = replace(session, evidence=collector.store.folder, times=_spread(config, session))
            config.stash[_session] = session
        if config.option.shard is not None:
            parse_shard(config.option.shard)
        given_programs(config.option.backend_binary)
        if config.option.trace_syscalls and (why := missing()) is not None:
            raise Unavailable(f"--trace-syscalls: {why}")
        if config.option.mutant is not None:
            find_mutant(config.option.mutant)  # an unknown one is said now, not by every test
        if config.option.park:
            config.pluginmanager.register(park)
        elif not config.option.usepdb:  # a process has one tracer: whoever looks at it has a debugger
            config.pluginmanager.register(second_look)
        session = config.stash[_session]
        rerun = Rerun(
            session.vmm,
            session.seed,
            [vmm.name for vmm in session.legacy],
            options.words_of_the_test(config.option),
        )
        full = config.option.bundle == "full"
        config.stash[_judge] = judge = Judge(rerun, session.evidence, full=full)
        if session.evidence is not None and _xdist_worker(config):
            worker = config.workerinput["workerid"]  # type: ignore[attr-defined]
            config.pluginmanager.register(Announcing(session.evidence, worker, scratch.path, judge))
        elif (
            session.evidence is not None
            and not _is_worker(config)
            and getattr(config.option, "dist", "no") != "no"
        ):
            watching = Watching(session.evidence, parks=option.park)
            config.pluginmanager.register(watching)
            config.add_cleanup(watching.close)
        if (image := session.linux) is not None:
            config.stash[LINUX] = LinuxMachines(image, scratch.folder)
            config.add_cleanup(config.stash[LINUX].close)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def _spread(config: pytest.Config, session: Session) -> schedule.Times | None:
    """Where tests are spread over workers: the times by which the longest come first, each handed out alone.

    Guests of Linux serve many tests of one worker, and those of the lab wait for each other: they stay in their order.
    """
    option = config.option
    if getattr(option, "dist", "no") != "load" or session.linux is not None:
        return None
    if option.lab != "never" and session.needs_lab():
        return None
    if option.maxschedchunk is None:
        option.maxschedchunk = 1
    return schedule.last_times(Path(option.report))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without looking for garbage, and never look through what is kept for the whole run."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the run sets out to do, so that gaps can be named, and enter a network namespace of one's own.

    The lab, which outlives the run, is under way by now.
    """
    config = session.config
    if not config.option.collectonly:
        _note_selection(config, session.items)
        watch_threads()
        try:
            namespace.enter()
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the session to an xdist worker."""
    node.workerinput["conformance"] = node.config.stash[_session].pack()
    node.workerinput["scratch"] = str(node.config.stash[SCRATCH].path)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is judged, what this host can do, and how to repeat the run."""
    if _session not in config.stash:
        return []
    session = config.stash[_session]
    lines = [*config.stash.get(_broken_off, []), f"seed: {session.seed}"]
    for vmm in session.vmms:
        lines.append(f"vmm {vmm.name}: {vmm.kind} {vmm.version}")
        lines += [f"    {line}" for line in session.capabilities[vmm.name].lines()]
    return lines


@pytest.hookimpl(
    wrapper=True, trylast=True
)  # inside pytest's own, whose last screen needs what is written here
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None]:
    """Write the results. Nothing breaks that off, from when the tests are over."""
    if session.config.stash.get(_collector, None) and not session.config.option.park:
        interrupts.are_for_others()
    yield
    _save(session, exitstatus)


def _save(session: pytest.Session, exitstatus: int) -> None:
    collector = session.config.stash.get(_collector, None)
    if collector is None:
        return
    if not collector.anything:
        collector.discard()
    else:
        stopped = session.shouldstop or session.shouldfail
        complete = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not stopped
        interrupts.are_for_others()
        try:
            collector.save(complete=complete)
        except HarnessError as error:  # what was found is shown all the same
            collector.unsaved = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


# What a run sets out to do


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the shard that was asked for, and put the longest first where that helps."""
    times = config.stash[_session].times
    if times is not None and not config.option.collectonly:
        items[:] = schedule.long_ones_first(items, times)
    if config.option.shard is not None:
        items[:], config.stash[_shard] = deal(items, name_of, *parse_shard(config.option.shard))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what was left out on request."""
    if items:
        stash = items[0].config.stash
        stash[_left_out] = stash.get(_left_out, 0) + len(items)


def _note_selection(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Under xdist the workers collect, each of them everything: any of them tells the main process by a file."""
    folder = config.stash[_session].evidence
    ours = config.stash.get(_collector, None) is not None or _xdist_worker(config)
    if folder is None or not ours:
        return
    tests = tuple(NotRun(**msgspec.structs.asdict(case)) for item in items if (case := case_of(item)))
    selection = Selection(
        tests, config.stash.get(_left_out, 0), config.stash.get(_shard, None), is_narrowed(config)
    )
    if tests:
        with suppress(OSError):  # a full disk costs the names of what was not run, not the verdicts
            selection.write(folder)
    if (collector := config.stash.get(_collector, None)) is not None:
        collector.selection = selection


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Learn what the run sets out to do, from the first worker that knows it."""
    collector = node.config.stash.get(_collector, None)
    if collector is not None and not collector.selection.tests:
        collector.selection = Selection.read(collector.store.folder) or collector.selection


# Verdicts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """What a VMM does not claim to have is none of its failures."""
    with _skipping():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A VMM that turns out to lack what the test needs is a skip here too."""
    with _skipping():
        yield


@contextmanager
def _skipping() -> Iterator[None]:
    try:
        yield
    except Lacks as lacking:
        pytest.skip(str(lacking))


def pytest_runtest_logstart() -> None:
    """A new test begins: what failed before is not its."""
    forget_threads()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase while the VM is still there to be looked at."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    testbed = item.stash.get(TESTBED, None)
    if testbed is not None and error is not None:
        testbed.mark_failed()
    plain = item.config.stash[_judge].judge(item, case_of(item), report, error, testbed)
    if testbed is not None and error is not None and item.config.option.park:
        setattr(report, park.ATTRIBUTE, park.looked_at(testbed, item.nodeid))
    if plain is not None:
        setattr(report, ATTRIBUTE, plain)
        result = from_dict(plain)
        cause = item.config.stash[_expected].cause_of(result)
        told = {"standing": cause.standing.value, "cause": cause.text} if cause else {}
        annotate(item, report, result, item.config.stash[_session].evidence, told)
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Let pairs say whose they are, and acks what they mean, where a test compares them in vain."""
    return pairs.explained(op, left, right) or answer.explained(op, left, right)


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item) -> None:
    """Before the prompt of --pdb: how the pairs stand, and how to get at the VM."""
    testbed = node.stash.get(TESTBED, None)
    reporter = node.config.pluginmanager.get_plugin("terminalreporter")
    if node.config.option.usepdb and testbed is not None and reporter is not None:
        reporter.ensure_newline()
        reporter.write_line("\n".join(park.looked_at(testbed, node.nodeid)))


class _Listener:
    """Hears of every report in the main process; the hook itself is not told of the configuration."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict that a report carries."""
        self._collector.add(report)


class _Recorder:
    """Writes down each verdict in the process that came to it, at once."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down the verdict that a report carries, but for one that a worker sent: it is written down there."""
        plain = getattr(report, ATTRIBUTE, None)
        if plain is not None and not hasattr(report, "node"):
            self._records.append(from_dict(plain))
