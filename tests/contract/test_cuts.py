"""The network fails in the middle: a run ends right, or says truly how it ended."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kernelext.errors import RunError
from kernelext.events import Event
from kernelext.history import History, history_path
from kernelext.models import RunState
from kernelext.runs.journal import read_journal

from ..lab.host import Host
from .conftest import check_nothing_left, wait_until
from .interrupts import CtrlC, told
from .notebook import Notebook, Shown

pytestmark = pytest.mark.faults

SAID_WITHIN_S = 15.0
LIVE_WITHIN_S = 6.0
LARGE_BYTES = 64_000_000
CHUNK_BYTES = 8 * 1024 * 1024

COUNT = """\
import time
n, until = 0, time.monotonic() + {seconds}
while time.monotonic() < until:
    print("line", n)
    n += 1
    time.sleep(0.005)
"""


class Beside:
    """Does things to hosts while the notebook runs a cell, in a thread beside it."""

    def __init__(self, notebook: Notebook, data_dir: Path) -> None:
        self.notebook = notebook
        self.runs = data_dir / "runs"
        self.known = set(self.runs.glob("*"))
        self.cut_s = self.healed_s = 0.0
        self.said_after_s = self.live_after_s = -1.0
        self.failure: BaseException | None = None

    def run(self, source: str, trouble: Callable[[], None]) -> Shown:
        """Run a cell, and `trouble` beside it; both have ended when this returns."""

        def act() -> None:
            try:
                trouble()
            except BaseException as exc:
                self.failure = exc

        self.known = set(self.runs.glob("*"))
        thread = threading.Thread(target=act)
        thread.start()
        shown = self.notebook.run(source)
        thread.join(60)
        if self.failure is not None:
            raise AssertionError(f"beside the cell: {self.failure!r}") from self.failure
        return shown

    def directory(self, fold: str = "0") -> Path:
        """The newest run's first attempt, at home."""
        new = set(self.runs.glob("*")) - self.known
        return next(iter(new)) / fold / "1" if new else self.runs / "none"

    def events(self, fold: str = "0") -> list[Event]:
        """What is at home of its journal."""
        return [e for e in read_journal(self.directory(fold) / "journal") if e.kind != "journal"]

    def printed(self, fold: str = "0") -> int:
        """How many bytes of output are at home."""
        return sum(len(event.body) for event in self.events(fold) if event.kind == "stream")

    def wait_printing(self, fold: str = "0") -> None:
        """Wait until the run has printed something more."""
        before = self.printed(fold)
        wait_until(lambda: self.printed(fold) > before, "output", 30)

    def cut(self, host: Host, mode: str) -> None:
        """Cut a host off."""
        host.partition(mode)
        self.cut_s = time.monotonic()

    def heal(self, host: Host) -> None:
        """Mend it."""
        self.healed_s = time.monotonic()
        host.heal()

    def status(self) -> str:
        """The status line of the cell, as it is now."""
        shown = self.notebook.shell.display_pub.outputs
        return str(shown[-1]["data"].get("text/plain", "")) if shown else ""

    def wait_unreachable(self, host: Host) -> None:
        """Wait until the notebook says that the host does not answer."""
        wait_until(lambda: self.status().startswith(f"{host.name}: unreachable"), "unreachable", 30)
        self.said_after_s = time.monotonic() - self.cut_s
        assert self.said_after_s <= SAID_WITHIN_S

    def wait_reachable(self, host: Host) -> None:
        """Wait until it no longer says so."""
        wait_until(lambda: not self.status(), "the host to be reached again", 30)
        self.live_after_s = time.monotonic() - self.healed_s
        assert self.live_after_s <= LIVE_WITHIN_S


@pytest.fixture
def beside(
    lab_notebook: Notebook, data_dir: Path, request: pytest.FixtureRequest
) -> Iterator[Beside]:
    """What a test does beside a cell; the first connection is made and the daemon is up."""
    made = Beside(lab_notebook, data_dir)
    lab_notebook.check("%%remote host01\nn = 0")
    yield made
    if made.said_after_s > 0:
        print(
            f"said {made.said_after_s:.1f} s after the cut, live {made.live_after_s:.1f} s after it"
        )


@contextlib.contextmanager
def open_history() -> Iterator[History]:
    """The history, beside the notebook's own view of it."""
    with History.open(history_path(os.environ)) as history:
        yield history


def check_count(beside: Beside, shown: Shown, n: int) -> None:
    """Assert that every line came once, in its order, here and in the journal."""
    assert shown.stdout.splitlines() == [f"line {i}" for i in range(n)]
    events = beside.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    text = b"".join(event.body for event in events if event.kind == "stream").decode()
    assert text == shown.stdout


def large_array(seed: int) -> np.ndarray:
    """Bytes that no codec makes smaller."""
    return np.random.default_rng(seed).integers(0, 256, LARGE_BYTES, dtype=np.uint8)


def test_cut_in_a_run_loses_no_line(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]
    states = []

    def trouble() -> None:
        beside.wait_printing()
        beside.cut(host, "link")
        beside.wait_unreachable(host)
        with open_history() as history:
            states.append(history.run(beside.directory().parts[-3]).state)
        beside.heal(host)
        beside.wait_reachable(host)
        beside.wait_printing()

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=15), trouble)
    assert shown.error is None, shown.traceback
    assert states == [RunState.RUNNING]
    check_count(beside, shown, lab_notebook.names["n"])


def test_cut_in_an_upload_sends_nothing_twice(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]
    large = large_array(time.time_ns())  # a host of an earlier session holds what it was sent
    lab_notebook.names["large"] = large
    host.slow(rate="100mbit")
    before, _ = host.wire_bytes()

    def trouble() -> None:
        wait_until(lambda: host.wire_bytes()[0] - before > LARGE_BYTES / 3, "a third of it", 30)
        beside.cut(host, "drop")
        beside.wait_unreachable(host)
        beside.heal(host)
        wait_until(lambda: host.wire_bytes()[0] - before > LARGE_BYTES * 0.6, "the upload", 30)
        beside.live_after_s = time.monotonic() - beside.healed_s

    shown = beside.run(
        "%%remote host01\nimport hashlib\nd = hashlib.sha256(large).hexdigest()", trouble
    )
    assert shown.error is None, shown.traceback
    assert lab_notebook.names["d"] == hashlib.sha256(large).hexdigest()
    sent = host.wire_bytes()[0] - before
    assert sent < LARGE_BYTES * 1.06 + 2 * CHUNK_BYTES


def test_cut_in_a_download(beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]) -> None:
    host = lab_hosts[0]
    host.slow(rate="100mbit")
    _, before = host.wire_bytes()

    def trouble() -> None:
        wait_until(lambda: host.wire_bytes()[1] - before > LARGE_BYTES / 3, "a third of it", 30)
        beside.cut(host, "drop")
        beside.wait_unreachable(host)
        beside.heal(host)
        beside.wait_reachable(host)

    source = "import numpy as np\nlarge = np.random.default_rng(7).integers(0, 256, "
    shown = beside.run(f"%%remote host01\n{source}{LARGE_BYTES}, dtype=np.uint8)", trouble)
    assert shown.error is None, shown.traceback
    assert np.array_equal(lab_notebook.names["large"], large_array(7))
    assert host.wire_bytes()[1] - before < LARGE_BYTES * 1.06 + 2 * CHUNK_BYTES


def test_interrupt_while_results_come_home(lab_notebook: Notebook, lab_hosts: list[Host]) -> None:
    host = lab_hosts[0]
    host.slow(rate="100mbit")
    _, before = host.wire_bytes()
    source = f"import numpy as np\nlarge = np.frombuffer(np.random.bytes({LARGE_BYTES}), 'u1')"
    with CtrlC(lambda: host.wire_bytes()[1] - before > LARGE_BYTES / 4):
        shown = lab_notebook.run(f"%%remote host01\n{source}")
    assert isinstance(shown.error, KeyboardInterrupt)
    assert "its results have not come home" in str(shown.error)
    assert "large" not in lab_notebook.names
    assert host.wire_bytes()[1] - before < LARGE_BYTES * 0.8
    lab_notebook.check("%remote fetch last large")
    assert len(lab_notebook.names["large"]) == LARGE_BYTES
    assert host.wire_bytes()[1] - before < LARGE_BYTES * 1.06 + 2 * CHUNK_BYTES


def test_cut_host_of_three_comes_home(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[1]
    seen = []

    def trouble() -> None:
        for fold in "012":
            wait_until(lambda fold=fold: beside.printed(fold) > 0, "output", 30)  # type: ignore[misc]
        beside.cut(host, "link")
        run = beside.directory().parts[-3]
        with open_history() as history:

            def others_done() -> bool:
                folds = {fold.fold: fold.state for fold in history.folds(run)}
                seen.append(folds["1"])
                return folds["0"] is folds["2"] is RunState.DONE

            wait_until(others_done, "the other folds", 30)
        beside.heal(host)

    code = COUNT.format(seconds=4) + "mine = fold * 10"
    shown = beside.run(f"%%folds 0-2 --on host01,host02,host03\n{code}", trouble)
    assert shown.error is None, shown.traceback
    assert lab_notebook.names["mine"] == {0: 0, 1: 10, 2: 20}
    assert set(seen) == {RunState.RUNNING}
    for fold in "012":
        numbers = [event.number for event in beside.events(fold)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_host_silent_for_too_long_is_lost(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host], tmp_path: Path
) -> None:
    host = lab_hosts[0]
    config = tmp_path / "config" / "kernelext.toml"
    config.write_text('lost_after = "3s"\n' + config.read_text())

    def trouble() -> None:
        beside.wait_printing()
        beside.cut(host, "drop")

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=90), trouble)
    assert isinstance(shown.error, RunError)
    assert shown.error.cause == "host_lost"
    assert "host01 is lost: it has not answered for" in str(shown.error)
    with open_history() as history:
        assert history.run(beside.directory().parts[-3]).state is RunState.LOST
    host.heal()
    began_s = time.monotonic()
    lab_notebook.check("%%remote host01\nafter = 1")  # the first thing said is: end the other one
    assert time.monotonic() - began_s < 15
    check_nothing_left(host)


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_of_an_unreachable_host_waits_for_it(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]

    def trouble() -> None:
        beside.wait_printing()
        beside.cut(host, "drop")
        beside.wait_unreachable(host)
        interrupt()
        beside.heal(host)

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=90), trouble)
    assert isinstance(shown.error, KeyboardInterrupt)
    assert "confirmed that the cell has ended" in str(shown.error)
    assert "will be interrupted when host01 answers again" in shown.stderr
    check_nothing_left(host)


def test_third_interrupt_leaves_and_the_cell_ends_later(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]
    left_s = []

    def trouble() -> None:
        beside.wait_printing()
        beside.cut(host, "link")
        for word in ("interrupt", "kill"):  # two at once would be one signal
            interrupt()
            wait_until(told(word), f"the word {word}")
        interrupt()
        left_s.append(time.monotonic())

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=90), trouble)
    assert time.monotonic() - left_s[0] < 2
    assert isinstance(shown.error, KeyboardInterrupt)
    assert "has not confirmed" in str(shown.error)
    host.heal()
    check_nothing_left(host)


@pytest.mark.parametrize("is_cut", [False, True])
def test_interrupt_of_an_upload_takes_effect_at_once(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host], *, is_cut: bool
) -> None:
    host = lab_hosts[0]
    lab_notebook.names["large"] = large_array(time.time_ns())
    host.slow(rate="10mbit")
    before, _ = host.wire_bytes()
    pressed_s = []

    def trouble() -> None:
        wait_until(lambda: host.wire_bytes()[0] - before > CHUNK_BYTES / 4, "a part of it", 30)
        if is_cut:
            beside.cut(host, "drop")
        pressed_s.append(time.monotonic())
        interrupt()

    shown = beside.run("%%remote host01\nn = len(large)", trouble)
    assert time.monotonic() - pressed_s[0] < 5
    assert isinstance(shown.error, KeyboardInterrupt)
    assert str(shown.error) == "interrupted before the cell was submitted to host01"
    host.heal()
    lab_notebook.check("%%remote host01\nafter = 1")


def kill_sessions(host: Host) -> None:
    """Kill the sshd processes of all sessions, and only these."""
    host.exec("sh", "-c", "kill $(pgrep -f '[s]shd: root')")


def test_closed_ssh_session_in_a_run(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]

    def trouble() -> None:
        beside.wait_printing()
        kill_sessions(host)
        beside.wait_printing()

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=2), trouble)
    assert shown.error is None, shown.traceback
    check_count(beside, shown, lab_notebook.names["n"])
    kill_sessions(host)
    assert lab_notebook.check("%%remote host01\nprint(n)").stdout.strip().isdigit()


def test_power_cut_in_a_run_is_lost(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    host = lab_hosts[0]

    def trouble() -> None:
        beside.wait_printing()
        host.kill(silent=True)
        host.boot()

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=90), trouble)
    assert isinstance(shown.error, RunError)
    assert shown.error.cause == "host_lost"
    assert "restarted; run the cell again" in str(shown.error)
    assert beside.printed() > 0
    check_nothing_left(host)
    host.restart()
    again = lab_notebook.check("%%remote host01\nagain = 1")
    assert again.stdout == again.stderr == ""
    assert lab_notebook.names["again"] == 1


def test_slow_link_costs_one_round_trip(
    beside: Beside, lab_notebook: Notebook, lab_hosts: list[Host]
) -> None:
    def median_s() -> float:
        taken = []
        for _ in range(7):
            began_s = time.monotonic()
            lab_notebook.check("%%remote host01\nn = 1")
            taken.append(time.monotonic() - began_s)
        return sorted(taken)[3]

    near_s = median_s()
    lab_hosts[0].slow(delay="200ms")
    far_s = median_s()
    print(f"a trivial cell takes {near_s:.3f} s, {far_s:.3f} s with 0.2 s there and back")
    assert far_s - near_s < 2 * 0.2
