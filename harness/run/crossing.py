"""Crosses tests with builds, drivers and backends."""

from __future__ import annotations

import pytest

from harness.run.session import SESSION


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cross each test with the builds, and with the drivers and backends that it declares.

    One that has a `writer` is crossed with every pair of builds of one kind.
    """
    session = metafunc.config.stash[SESSION]
    if "writer" in metafunc.fixturenames:
        legacy = metafunc.definition.get_closest_marker("legacy") is not None
        crossed = session.writers(legacy=legacy)
        names = [f"{vmm}-from-{writer or 'none'}" for vmm, writer in crossed]
        metafunc.parametrize(("vmm", "writer"), crossed, indirect=True, ids=names)
    elif "vmm" in metafunc.fixturenames:
        metafunc.parametrize("vmm", [vmm.name for vmm in session.vmms], indirect=True)
    for dimension, default in (("driver", "probe"), ("backend", "tap")):
        if dimension in metafunc.fixturenames:
            mark = metafunc.definition.get_closest_marker(f"{dimension}s")
            metafunc.parametrize(dimension, mark.args if mark else (default,), indirect=True)
