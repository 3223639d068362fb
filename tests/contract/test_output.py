"""What a cell prints: all of it, in order, while it runs, whoever writes it and however it ends."""

from __future__ import annotations

import hashlib
import itertools
import re
from pathlib import Path

import pytest

from kernelext.events import Event
from kernelext.runs.journal import read_journal

from .interrupts import CtrlC, printed
from .notebook import Notebook

ALTERNATING = """
import sys
for number in range(1000):
    print(number, 'out')
    print(number, 'err', file=sys.stderr)
"""
DISPLAYS = """
import sys
for number in range(50):
    print('before', number)
    display(number)
    print('after', number, file=sys.stderr)
    display(number, display_id=f'd{number}')
"""
CHILDREN = """
import os, subprocess, sys
print('first')
os.system('echo second; echo aside >&2')
print('third')
subprocess.run([sys.executable, '-c', 'print("fourth")'])
os.write(1, b'fifth\\n')
print('sixth')
"""
C_CODE = """
import ctypes
libc = ctypes.CDLL(None)
print('first')
libc.printf(b'second %d\\n', 2)
print('third')
libc.printf(b'no line end')
"""
BIG_CHILD = """
import hashlib, subprocess, sys
code = "import os; line = bytes(range(32, 127)) * 11; [os.write(1, line) for _ in range(19139)]"
subprocess.run([sys.executable, '-c', code], check=True)
"""
SHELL_STDERR = """
import os
os.system('echo one > /dev/stderr; echo two > /dev/stdout; echo three > /dev/stderr')
"""
SPLIT_CHARACTERS = """
import os, time
for byte in 'grüße €'.encode():
    os.write(1, bytes([byte]))
    os.write(2, bytes([byte]))
    time.sleep(0.02)
"""
THREADS = """
import sys, threading

def work(name):
    for number in range(500):
        sys.stdout.write(f'<{name}.{number}>')
        sys.stderr.write(f'<{name}.{number}>')

threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
LINES = """
import multiprocessing, threading

def speak(number):
    for turn in range(200):
        print('speaker', number, turn)

threads = [threading.Thread(target=speak, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with multiprocessing.get_context('fork').Pool(2) as pool:
    pool.map(speak, range(4, 8))
"""
FORKED = """
import multiprocessing, os, sys
print('before')
pid = os.fork()
if pid == 0:
    print('of the child')
    print('aside of the child', file=sys.stderr)
    display('shown by the child')
    os._exit(0)
os.waitpid(pid, 0)

def speak(number):
    print('worker', number)
    return number

context = multiprocessing.get_context('fork')
with context.Pool(2) as pool:
    total = sum(pool.map(speak, range(4)))
print('after', file=sys.stderr)
print('after')
"""
FORKED_FROM_THREADS = """
import os, sys, threading
stop = threading.Event()

def chatter():
    while not stop.is_set():
        print('.', end='')
        print('.', end='', file=sys.stderr)

threads = [threading.Thread(target=chatter) for _ in range(2)]
[thread.start() for thread in threads]
for number in range(100):
    pid = os.fork()
    if pid == 0:
        print(f'<child {number}>', end='')
        print(f'<child {number}>', end='', file=sys.stderr)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
[thread.join() for thread in threads]
"""
JOBLIB = """
import joblib, math

def root(number):
    print('root of', number, flush=True)
    return math.sqrt(number)

found = joblib.Parallel(n_jobs=2)(joblib.delayed(root)(n * n) for n in range(6))
"""


@pytest.fixture
def journal(data_dir: Path, notebook: Notebook) -> Journal:
    """The journal at home of the notebook's last run."""
    return Journal(data_dir / "runs", notebook)


class Journal:
    """Reads what the last run said."""

    def __init__(self, runs: Path, notebook: Notebook) -> None:
        self._runs = runs
        self._notebook = notebook

    def events(self) -> list[Event]:
        """Return all events of the last run's first fold."""
        table = self._notebook.check("%remote runs --limit 1").stdout
        run = table.splitlines()[1].split()[0]
        return list(read_journal(self._runs / run / "0" / "1" / "journal"))

    def stream(self, name: str) -> bytes:
        """Return all that went to one stream."""
        events = self.events()
        return b"".join(event.body for event in events if event.header.get("name") == name)

    def said(self) -> list[tuple[str, str]]:
        """Return streams and displays in order, neighbours of one stream joined."""
        told = [
            (str(event.header["name"]), event.body.decode())
            if event.kind == "stream"
            else (event.kind, str(event.content()["data"]["text/plain"]))
            for event in self.events()
            if event.kind in ("stream", "display", "result")
        ]
        return [
            (kind, "".join(text for _, text in group))
            for kind, group in itertools.groupby(told, key=lambda each: each[0])
        ]


def test_prints_to_both_streams_keep_their_order(
    notebook: Notebook, host: str, journal: Journal
) -> None:
    notebook.check(f"%%remote {host}\n{ALTERNATING}")
    expected = [
        pair
        for number in range(1000)
        for pair in (("stdout", f"{number} out\n"), ("stderr", f"{number} err\n"))
    ]
    assert journal.said() == expected


def test_displays_keep_their_place_among_prints(
    notebook: Notebook, host: str, journal: Journal
) -> None:
    shown = notebook.check(f"%%remote {host}\n{DISPLAYS}")
    expected = [
        pair
        for number in range(50)
        for pair in (
            ("stdout", f"before {number}\n"),
            ("display", f"{number}"),
            ("stderr", f"after {number}\n"),
            ("display", f"{number}"),
        )
    ]
    assert journal.said() == expected
    assert shown.tables == [str(n) for n in range(50) for _ in range(2)]


def test_children_write_between_prints(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{CHILDREN}")
    assert shown.stdout.split() == ["first", "second", "third", "fourth", "fifth", "sixth"]
    assert shown.stderr == "aside\n"


def test_c_code_writes_between_prints(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{C_CODE}")
    assert shown.stdout == "first\nsecond 2\nthird\nno line end"


def test_a_hundred_thousand_prints_arrive(notebook: Notebook, host: str, journal: Journal) -> None:
    notebook.check(f"%%remote {host}\nfor number in range(100_000): print(number)")
    assert journal.stream("stdout") == "".join(f"{n}\n" for n in range(100_000)).encode()


def test_twenty_megabytes_of_a_child_arrive(
    notebook: Notebook, host: str, journal: Journal
) -> None:
    notebook.check(f"%%remote {host}\n{BIG_CHILD}")
    expected = bytes(range(32, 127)) * 11 * 19139
    assert len(expected) > 19_999_000
    assert hashlib.sha256(journal.stream("stdout")).digest() == hashlib.sha256(expected).digest()


@pytest.mark.parametrize(
    "ending",
    [
        "os._exit(0)",
        "os._exit(3)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.abort()",
        "ctypes.string_at(0)",
    ],
)
def test_nothing_printed_is_lost_by_a_sudden_end(
    notebook: Notebook, host: str, ending: str
) -> None:
    code = "import ctypes, os, signal, sys\nprint('all', 'of', end=' ')\n"
    code += f"print('aside', end='', file=sys.stderr)\nprint('it', end='')\n{ending}"
    shown = notebook.run(f"%%remote {host}\n{code}")
    assert getattr(shown.error, "cause", None) == "process_died"
    assert shown.stdout == "all of it"
    assert shown.stderr.startswith("aside")


def test_threads_that_print_do_not_hide_a_sudden_end(notebook: Notebook, host: str) -> None:
    code = "import os, sys, threading, time\ndef chatter():\n    while True:\n"
    code += "        print('.', end='')\n        print('.', end='', file=sys.stderr)\n"
    code += "for _ in range(3): threading.Thread(target=chatter).start()\n"
    code += "time.sleep(0.2)\nos._exit(3)"
    shown = notebook.run(f"%%remote {host}\n{code}")
    assert getattr(shown.error, "cause", None) == "process_died", shown.error
    assert "exit code 3" in str(shown.error)


def test_a_line_arrives_before_the_cell_ends(notebook: Notebook, host: str) -> None:
    """The cell ends only by the signal that answers the line it has printed."""
    code = "import time\ntry:\n    print('ready')\n    time.sleep(300)\n"
    code += "except KeyboardInterrupt:\n    answered = True"
    with CtrlC(printed("ready")):
        notebook.check(f"%%remote {host}\n{code}")
    assert notebook.names["answered"] is True


def test_shells_write_to_dev_stderr(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{SHELL_STDERR}")
    assert shown.stderr == "one\nthree\n"
    assert shown.stdout == "two\n"


def test_characters_may_come_in_pieces(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{SPLIT_CHARACTERS}")
    assert shown.stdout == "grüße €"
    assert shown.stderr == "grüße €"


def test_lines_stay_whole(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host} --out none\n{LINES}")
    lines = sorted(shown.stdout.splitlines())
    assert lines == sorted(f"speaker {n} {turn}" for n in range(8) for turn in range(200))


def test_print_is_pythons_own_on_any_other_stream(notebook: Notebook, host: str) -> None:
    code = "import io, contextlib\nbuffer = io.StringIO()\nprint('a', 1, sep='-', file=buffer)\n"
    code += (
        "with contextlib.redirect_stdout(buffer): print('b', end='.')\ntext = buffer.getvalue()\n"
    )
    code += "say = print\nprint(1, 2, sep=None, end=None)\ntry:\n    print(1, sep=2)\n"
    code += "except TypeError:\n    refused = True"
    shown = notebook.check(f"%%remote {host} --out text,say,refused\n{code}")
    assert notebook.names["text"] == "a-1\nb."
    assert notebook.names["say"] is print
    assert notebook.names["refused"]
    assert shown.stdout == "1 2\n"


def test_threads_lose_nothing(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{THREADS}")
    expected = sorted(f"<{name}.{number}>" for name in range(4) for number in range(500))
    for text in (shown.stdout, shown.stderr):
        assert sorted(re.findall(r"<\d+\.\d+>", text)) == expected


def test_forked_children_print(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host} --out total\n{FORKED}")
    assert notebook.names["total"] == 6
    lines = shown.stdout.splitlines()
    assert lines[:2] == ["before", "of the child"]
    assert sorted(lines[2:-1]) == [f"worker {n}" for n in range(4)]
    assert lines[-1] == "after"
    assert shown.stderr == "aside of the child\nafter\n"


def test_children_forked_while_threads_print_can_print(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host} --timeout 30s\n{FORKED_FROM_THREADS}")
    for text in (shown.stdout, shown.stderr):
        assert re.findall(r"<child (\d+)>", text) == [str(n) for n in range(100)]


def test_joblib_works(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n{JOBLIB}")
    assert notebook.names["found"] == [float(n) for n in range(6)]
    assert sorted(shown.stdout.splitlines()) == sorted(f"root of {n * n}" for n in range(6))
    assert shown.stderr == ""
