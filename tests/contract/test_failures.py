"""What goes wrong in a cell: said in one sentence, nothing left behind, no name changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.daemon.supervision import ask_supervisor, connect_supervisor
from kernelext.daemon.workdir import make_work
from kernelext.errors import EngineError, ImageNotFound, RemoteCellError, RunError
from kernelext.events import Event
from kernelext.models import (
    CONTROL_NAME,
    JOURNAL_NAME,
    AttemptEnd,
    EndCause,
    RunSpec,
    RunState,
    Task,
    to_json,
)
from kernelext.runs import Run
from kernelext.runs.journal import read_journal
from kernelext.verbs.celloptions import parse_cell_options
from kernelext.verbs.context import Context
from kernelext.verbs.submit import Cell, prepare_run

from ..lab.images import NO_PYTHON_TAG, PLAIN_TAG
from .conftest import wait_until
from .interrupts import CtrlC, printed
from .notebook import Notebook, Shown

MEGABYTE = 1024 * 1024

CELL_ERRORS = {
    "plain": ("int('no number')", ValueError, "no number"),
    "of_a_library": (
        "import numpy as np\nnp.linalg.inv(np.zeros((2, 2)))",
        None,
        "Singular matrix",
    ),
    "recursion": ("def down(n):\n    return down(n + 1)\ndown(0)", RecursionError, "recursion"),
    "group": (
        "raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])",
        Exception,
        "several",
    ),
    "class_of_the_cell": ("class Odd(KeyError): pass\nraise Odd('mine')", KeyError, "mine"),
    "broken_text": (
        "class Mute(ValueError):\n    def __str__(self): raise TypeError('no text')\nraise Mute",
        ValueError,
        "its text raised TypeError",
    ),
    "exit": ("import sys\nsys.exit(3)", None, "3"),
    "own_interrupt": ("raise KeyboardInterrupt('by the cell')", None, "by the cell"),
    "no_memory": ("bytearray(10 ** 17)", MemoryError, ""),
    "chained": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as exc:\n    raise OSError('then') from exc",
        OSError,
        "then",
    ),
}

DEATHS = {
    "exit": ("os._exit(3)", "ended itself with exit code 3"),
    "segfault": ("ctypes.string_at(0)", "died of SIGSEGV (signal 11)"),
    "abort": ("os.abort()", "died of SIGABRT (signal 6)"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "died of SIGKILL (signal 9)"),
    "unnamed_signal": ("os.kill(os.getpid(), 40)", "died of signal 40"),
}

HUNGRY = {
    "bytearray": "hoard = bytearray(10 ** 9)",
    "numpy": "import numpy as np\nhoard = np.ones(125_000_000)",
    "many": "hoard = [bytearray(MB) for _ in range(1000)]".replace("MB", "1024 * 1024"),
}

STUBBORN = """
import time
while True:
    try:
        print('busy', flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print('swallowed', flush=True)
"""

IN_C = "import itertools, collections\ncollections.deque(itertools.repeat(1), maxlen=0)"


def bindings(notebook: Notebook) -> dict[str, int]:
    """Return the names of the notebook and which objects they name."""
    names = notebook.names.items()
    return {name: id(value) for name, value in names if not name.startswith("_")}


def fail(notebook: Notebook, source: str) -> Shown:
    """Run a cell that has to fail and to leave the notebook as it was."""
    before = bindings(notebook)
    shown = notebook.run(source)
    assert shown.error is not None
    assert bindings(notebook) == before
    return shown


def sentence(shown: Shown) -> str:
    """Return the error's message, which has to be one line and all that is shown of it."""
    text = str(shown.error)
    assert text
    assert "\n" not in text
    assert shown.traceback.count("\n") == 0
    return text


def cause(shown: Shown) -> str:
    """Return why the run has ended, as its error says."""
    assert isinstance(shown.error, RunError), repr(shown.error)
    return shown.error.cause


# the cell raises


@pytest.mark.parametrize("name", CELL_ERRORS)
def test_cell_errors(notebook: Notebook, host: str, name: str) -> None:
    code, base, text = CELL_ERRORS[name]
    if base is None and name == "of_a_library":
        notebook.check("import numpy as np\nbase = np.linalg.LinAlgError")
        base = notebook.names["base"]
    shown = fail(notebook, f"%%remote {host}\nkept = 1\n{code}")
    error = shown.error
    assert isinstance(error, RemoteCellError)
    assert isinstance(error, base or RemoteCellError)
    assert error.cause == "cell_error"
    assert error.host == host
    assert text in str(error)
    assert "kernelext/" not in shown.traceback
    assert error.ename in shown.traceback or name in ("exit", "broken_text")


def test_remote_errors_are_caught_as_what_they_are(notebook: Notebook, host: str) -> None:
    notebook.check(
        "from IPython import get_ipython\ntry:\n"
        f"    get_ipython().run_cell_magic('remote', '{host}', 'int(\"x\")')\n"
        "except ValueError as error:\n    caught = type(error).__name__"
    )
    assert notebook.names["caught"] == "ValueError"


def test_tracebacks_lead_into_the_projects_files(
    notebook: Notebook, host: str, project: Path
) -> None:
    (project / "tools.py").write_text("def divide(n):\n    return n / 0\n")
    shown = fail(notebook, f"%%remote {host}\nfrom tools import divide\nx = 1\ndivide(x)")
    assert isinstance(shown.error, ZeroDivisionError)
    text = shown.traceback
    places = [text.find(part) for part in ("divide(x)", "tools.py", "return n / 0")]
    assert -1 not in places
    assert places == sorted(places)


def test_tracebacks_lead_into_the_notebooks_functions(notebook: Notebook, host: str) -> None:
    notebook.check("def divide(n):\n    return n / 0")
    shown = fail(notebook, f"%%remote {host}\nx = divide(1)")
    assert isinstance(shown.error, ZeroDivisionError)
    assert "x = divide(1)" in shown.traceback
    assert "in divide(n)" in shown.traceback


# the cell's process dies


@pytest.mark.parametrize("name", DEATHS)
def test_deaths_of_the_process(notebook: Notebook, host: str, name: str) -> None:
    death, text = DEATHS[name]
    code = f"import ctypes, os, signal\nprint('last words', end='')\n{death}\nkept = 1"
    shown = fail(notebook, f"%%remote {host}\n{code}")
    assert cause(shown) == "process_died"
    assert f"on {host} {text}; what it printed last may say why: %remote logs" in sentence(shown)
    assert shown.stdout == "last words"
    assert ("Segmentation fault" in shown.stderr) == (name == "segfault")


@pytest.mark.parametrize("name", HUNGRY)
def test_too_much_memory(notebook: Notebook, host: str, name: str) -> None:
    there_before = set(memory_cgroups())  # a daemon that was killed leaves its own
    shown = fail(notebook, f"%%remote {host} --memory 300m\nprint('before')\n{HUNGRY[name]}")
    assert cause(shown) == "out_of_memory"
    text = sentence(shown)
    held_mb = re.fullmatch(r"out of memory on .*: it held ([\d.]+) MB of 300\.0 MB .*", text)
    assert held_mb is not None, text
    assert 200 < float(held_mb[1]) < 400
    assert "allowed; allow more with --memory" in text
    assert shown.stdout == "before\n"
    wait_until(lambda: there_before.issuperset(memory_cgroups()), "the memory cgroup to go")


def memory_cgroups() -> list[Path]:
    """List the memory cgroups of attempts on `local`."""
    own = Path("/proc/self/cgroup").read_text().splitlines()
    folder = next((line.split(":", 2)[2] for line in own if ":memory:" in line), "/")
    return list(Path("/sys/fs/cgroup/memory", folder.lstrip("/")).glob("kernelext-*"))


def test_a_hungry_child_is_killed_alone(notebook: Notebook, host: str) -> None:
    code = "import subprocess, sys\nhungry = 'bytearray(10 ** 9)'\n"
    code += "code = subprocess.run([sys.executable, '-c', hungry]).returncode\nprint('after')"
    shown = notebook.check(f"%%remote {host} --memory 300m\n{code}")
    assert notebook.names["code"] == -signal.SIGKILL
    assert shown.stdout == "after\n"


def test_too_long(notebook: Notebook, host: str) -> None:
    shown = fail(notebook, f"%%remote {host} --timeout 1s\nimport time\nkept = time.sleep(60)")
    assert cause(shown) == "timeout"
    assert sentence(shown) == (
        f"stopped on {host} after 1 s, its --timeout; allow more with --timeout"
    )


@pytest.mark.parametrize("host", ["local"], indirect=True)  # the supervisor is the same
def test_too_long_for_an_interrupt(notebook: Notebook, host: str) -> None:
    """One fold swallows the interrupt, the other is in C code: both are killed after it."""
    bodies = [textwrap.indent(code.strip(), "    ") for code in (STUBBORN, IN_C)]
    code = "if fold == 0:\n{}\nelse:\n{}".format(*bodies)
    shown = fail(notebook, f"%%folds 0-1 --on {host} --timeout 1s\nkept = 1\n{code}")
    assert cause(shown) == "timeout"
    assert shown.tables[-1].count("failed (timeout)") == 2


# Ctrl-C


@pytest.mark.parametrize(
    "code",
    [
        "import time\nprint('started')\ntime.sleep(60)",
        "import subprocess\nprint('started')\nsubprocess.run(['sleep', '60'])",
        "import sys\nwhile True:\n    print('started')\n    print('e', file=sys.stderr)",
        "import time\ndef wait():\n    print('started')\n    time.sleep(60)\nwait()",
        "import asyncio\nprint('started')\nawait asyncio.sleep(60)",
    ],
    ids=["sleep", "child", "both_streams", "function", "await"],
)
def test_interrupt(notebook: Notebook, host: str, code: str) -> None:
    with CtrlC(printed("started")):
        shown = fail(notebook, f"%%remote {host}\n{code}")
    assert isinstance(shown.error, KeyboardInterrupt)
    assert str(shown.error) == f"interrupted; {host} confirmed that the cell has ended"


def test_second_interrupt_kills(notebook: Notebook, host: str) -> None:
    with CtrlC(printed("busy"), printed("swallowed")):
        shown = fail(notebook, f"%%remote {host}\n{STUBBORN}")
    assert isinstance(shown.error, KeyboardInterrupt)


def test_error_after_a_swallowed_interrupt_is_the_cells(notebook: Notebook, host: str) -> None:
    code = "import time\ntry:\n    print('started')\n    time.sleep(60)\n"
    code += "except KeyboardInterrupt:\n    pass\nint('x')"
    with CtrlC(printed("started")):
        shown = fail(notebook, f"%%remote {host}\n{code}")
    assert isinstance(shown.error, ValueError)


@pytest.mark.parametrize("delay_s", [0.02, 0.1, 0.25])
def test_interrupt_at_any_moment(notebook: Notebook, host: str, delay_s: float) -> None:
    """Before it is sent, while it starts, when it runs: the host is left clean."""
    timer = threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    shown = fail(notebook, f"%%remote {host}\nimport time\ntime.sleep(60)")
    timer.join()
    assert isinstance(shown.error, KeyboardInterrupt)
    notebook.check(f"%%remote {host}\nfollows = True")


class Occupant:
    """A run that holds all of a host in a thread, from a client of its own."""

    def __init__(self, folder: Path, host: str) -> None:
        self._context = Context(folder)
        cell = Cell("import time\nprint('on')\ntime.sleep(300)", "Cell", None, {}, {})
        self.run: Run = prepare_run(self._context, cell, parse_cell_options("remote", host))
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Occupant:
        """Return when the cell runs."""
        self._thread.start()
        assert self._has_begun.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.run.interrupt()
        self._thread.join()
        self._context.close()

    def _follow(self) -> None:
        self.run.start()
        for update in self.run.updates():
            event = getattr(update, "event", None)
            if event is not None and event.kind == "stream":
                self._has_begun.set()


@pytest.fixture
def occupant(project: Path, host: str) -> Iterator[Occupant]:
    """A host that is busy."""
    with Occupant(project, host) as run:
        yield run


def test_interrupt_in_the_queue(notebook: Notebook, host: str, occupant: Occupant) -> None:
    def is_queued() -> bool:
        shown = list(notebook.shell.display_pub.outputs)
        return any("queued" in str(each["data"].get("text/plain")) for each in shown)

    with CtrlC(is_queued):
        shown = fail(notebook, f"%%remote {host}\nkept = 1")
    assert isinstance(shown.error, KeyboardInterrupt)
    assert not occupant.run.results


# folds


@pytest.mark.parametrize(
    ("code", "kind"),
    [("int('no number')", ValueError), ("import os; os._exit(3)", RunError)],
    ids=["raises", "dies"],
)
def test_one_fold_fails(
    notebook: Notebook, host: str, code: str, kind: type[BaseException]
) -> None:
    source = f"%%folds 0-2 --on {host}\nprint('fold', fold, 'speaks')\nif fold == 1:\n    {code}\n"
    shown = notebook.run(source + "score = fold * 10")
    assert isinstance(shown.error, kind)
    assert isinstance(shown.error, RunError)
    assert shown.error.fold == "1"
    assert notebook.names["score"] == {0: 0, 2: 20}
    assert "1 of 3 folds failed: 1; 2 ended well and are bound" in shown.stderr
    log = notebook.check(f"%remote logs {shown.error.run} --fold 1").stdout
    assert "fold 1 speaks" in log
    assert "fold 0 speaks" not in log


# images


def test_images_are_refused_where_there_are_no_containers(notebook: Notebook) -> None:
    shown = fail(notebook, f"%%remote local --image {PLAIN_TAG}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert "leave --image out or choose a host with Docker by --on" in sentence(shown)


has_images = pytest.mark.parametrize(
    "host", [pytest.param("host01", marks=pytest.mark.lab)], indirect=True
)


@has_images
@pytest.mark.parametrize("image", ["absent:1", "registry.invalid:5000/team/absent"])
def test_absent_image(notebook: Notebook, host: str, image: str) -> None:
    shown = fail(notebook, f"%%remote {host} --image {image}\nkept = 1")
    assert isinstance(shown.error, ImageNotFound)
    text = sentence(shown)
    assert text.startswith(f"the image {image} is not on the host and cannot be pulled there")
    assert text.endswith("load it (docker load) or name another with --image")


@has_images
def test_image_without_python(notebook: Notebook, host: str) -> None:
    shown = fail(notebook, f"%%remote {host} --image {NO_PYTHON_TAG}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert sentence(shown) == (
        f"the image {NO_PYTHON_TAG} has no python3; name one that has with --image"
    )


@has_images
def test_plain_python_image(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host} --image {PLAIN_TAG}\nx = [1]\nprint('a')\nx")
    assert (shown.stdout, shown.results[0]["text/plain"]) == ("a\n", "[1]")
    assert notebook.names["x"] == [1]
    shown = fail(notebook, f"%%remote {host} --image {PLAIN_TAG}\nx.append(2)\nint('no')")
    assert isinstance(shown.error, ValueError)
    assert "int('no')" in shown.traceback


@has_images
def test_open_needs_no_ipython_there(notebook: Notebook, host: str) -> None:
    """IPython puts a function of its own into every notebook under this name."""
    cell = "with open('made', 'w') as file:\n    kept = file.write('abc')"
    notebook.check(f"%%remote {host} --image {PLAIN_TAG}\n{cell}")
    assert notebook.names["kept"] == 3


@has_images
def test_arrays_are_refused_by_an_image_without_numpy(notebook: Notebook, host: str) -> None:
    notebook.check("import numpy as np\nX = np.zeros((3, 4))")
    shown = fail(notebook, f"%%remote {host} --image {PLAIN_TAG}\ny = X.sum()")
    text = sentence(shown)
    assert "X" in text
    assert "numpy" in text
    assert "--image" in text


# what needs no notebook


@pytest.mark.parametrize("name", HUNGRY)
def test_memory_is_watched_where_no_cgroup_limits_it(tmp_path: Path, name: str) -> None:
    events = supervise(tmp_path / "work", f"print('before')\n{HUNGRY[name]}", 200 * MEGABYTE)
    end = AttemptEnd.from_json(events[-1].header)
    assert (end.state, end.cause) == (RunState.FAILED, EndCause.OUT_OF_MEMORY)
    assert 200 * MEGABYTE < (end.peak_bytes or 0) < 1500 * MEGABYTE
    assert b"".join(event.body for event in events if event.kind == "stream") == b"before\n"


def supervise(work: Path, code: str, watch_bytes: int) -> list[Event]:
    """Run code under a supervisor without a daemon and return its journal."""
    os.close(make_work(work, None))
    command = "import sys; from kernelext.runner.main import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", command, "--work", str(work), "--poke", str(work / "poke")]
    spec = RunSpec("run", "owner", "title", code, "Cell")
    claim = {"op": "claim", "spec": to_json(spec), "task": to_json(Task("0", 1))}
    claim |= {"run": "run", "fold": "0", "attempt": 1}
    with subprocess.Popen([*argv, "--watch-bytes", str(watch_bytes)]) as supervisor:
        wait_until(lambda: (work / CONTROL_NAME).exists(), "the supervisor to listen")
        with connect_supervisor(work) as control:
            ask_supervisor(control, claim)
            assert supervisor.wait(30) == 0
    return list(read_journal(work / JOURNAL_NAME))
