"""Fixtures that boot the lab's Docker hosts once a session."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator

import pytest

from kernelext.daemon.gpus import process_gpus

from .lab.host import Host
from .lab.lab import Lab, default_cache, default_state
from .lab.statefiles import locked

HOST_COUNT = 3


def obstacle() -> str | None:
    """Say why this machine cannot boot hosts."""
    if not sys.platform.startswith("linux"):
        return "the lab needs Linux"
    return "the lab needs root" if os.geteuid() else None


def pytest_configure() -> None:
    """Have Ctrl-C work, here and in what is started: a shell's background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the lab, through whichever fixture; leave GPUs out if none."""
    if not process_gpus(None):
        away = [item for item in items if item.get_closest_marker("gpu")]
        if away:
            items[0].config.hook.pytest_deselected(items=away)
            items[:] = [item for item in items if item not in away]
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.lab)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let two sessions have a lab each."""
    help_ = "which of this machine's labs to use, each with hosts of its own"
    parser.addoption("--lab", type=int, choices=range(10), default=0, help=help_)


def lab_of(config: pytest.Config) -> Lab:
    """Return the lab that the session uses."""
    number: int = config.getoption("--lab")
    if not number:
        return Lab(default_state(), default_cache())
    state = default_state().with_name(f"lab{number}")
    return Lab(state, default_cache(), bridge=f"lab{number}", subnet=f"10.8{number}.0.0/24")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Wait for other sessions and build the images, which no test's timeout allows."""
    wanted = any(item.get_closest_marker("lab") for item in session.items)
    if not wanted or obstacle() or session.config.option.collectonly:
        return (yield)
    lab = lab_of(session.config)
    with locked(lab.state / "session.lock"):  # two would break each other's hosts
        lab.build_images()
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI runs, a skipped test is a failed one: it would be skipped for ever."""
    report = yield
    if report.skipped and os.environ.get("CI") and "gpu" not in report.keywords:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Lab]:
    """The lab with host01 to host03 running; hosts that ran before stay up after."""
    if reason := obstacle():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    lab = lab_of(pytestconfig)
    ran_before = any(host.running for host in lab.hosts())
    if not ran_before:
        lab.down(purge=True)  # disks of an earlier session
    lab.up(HOST_COUNT)
    for host in lab.hosts():
        mend(host)
    yield lab
    if not ran_before:
        lab.down(purge=True)


@pytest.fixture(scope="session")
def lab_environment(lab: Lab) -> dict[str, str]:
    """The HOME and PATH with which clients reach the hosts."""
    return lab.environment()


@pytest.fixture
def lab_hosts(lab: Lab) -> Iterator[list[Host]]:
    """The hosts, for a test that breaks some; they are whole again after it."""
    yield lab.hosts()
    for host in lab.hosts():
        mend(host)


def mend(host: Host) -> None:
    """Boot a host that is down, and heal one that is cut off or slow."""
    if not host.running:
        host.boot()
        host.wait_ssh()
    elif host.faults:
        host.heal()
        host.wait_ssh()
