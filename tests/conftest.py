"""What all tests share: how skips count, how properties are tried, and networks of their own."""

import logging
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from support.network import LoopbackNetwork, claim_network
from support.postgres import DATABASES, PostgresServer, needs_postgres, running_server

# The same examples in every run, and no verdict by the clock: a busy machine is no failure.
settings.register_profile("opx", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("opx")
# Hypothesis also tries constants that it finds in those of the project's modules that are loaded at the moment: what a
# test tries would hang on the tests that the same process has run before.
providers._get_local_constants = lambda: providers._local_constants


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With OPX_NO_SKIPS=1 a skipped test has failed: what it needs was to be there."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that is skipped as a whole."""
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("OPX_NO_SKIPS") == "1" and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped where no test may be: {reason}"


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """A test that runs a program in this process sets the log's level; the next one finds it as it was."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture
def loopback() -> Iterator[LoopbackNetwork]:
    """A /16 of the loopback network that no other test uses."""
    network = claim_network()
    yield network
    network.release()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of the run, fast and forgetful."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres())])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs on each kind of database that `support.postgres.DATABASES` gives places of."""
    if request.param == "sqlite":
        yield request.param
        return
    with DATABASES.on(request.getfixturevalue("postgres")):
        yield request.param
