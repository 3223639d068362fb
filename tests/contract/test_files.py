"""Files that a cell reads and writes, on any host: what travels, what comes home, what is kept."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from kernelext.history import History, history_path
from kernelext.link.local import local_state_dir
from kernelext.models import CHUNK_BYTES, RunState

from ..lab.host import Host
from .conftest import wait_until
from .interrupts import CtrlC, printed
from .notebook import Notebook
from .test_daemon_restart import daemon_pid

WRITE = (
    "import pathlib\nout = pathlib.Path('data/output')\nout.mkdir(parents=True, exist_ok=True)\n"
)


END_CONNECTIONS = """
ended=
for each in /proc/[0-9]*; do
    if grep -qs '^sshd: [a-z]' $each/cmdline; then kill ${each#/proc/} && ended=1; fi
done
test $ended
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(project: Path, name: str) -> str:
    return (project / "data" / "output" / name).read_text(encoding="utf-8")


def names(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "data" / "output").iterdir())


def test_written_files_come_home_and_others_stay(
    notebook: Notebook, host: str, project: Path
) -> None:
    write(project / "data" / "output" / "old.txt", "old")
    write(project / "data" / "working" / "gone.txt", "kept at home")
    write(project / "code.py", "x = 1\n")
    shown = notebook.check(
        f"%%remote {host}\n{WRITE}"
        "(out / 'größe 1.txt').write_text('new', encoding='utf-8')\n"
        "(out / 'deep').mkdir()\n(out / 'deep' / 'empty').touch()\n"
        "(out / 'old.txt').write_text('changed')\n"
        "pathlib.Path('data/working/gone.txt').unlink()\n"
        "pathlib.Path('code.py').write_text('x = 2')\n"
        "pathlib.Path('other.txt').write_text('stays')\n"
        "tool = out / 'tool.sh'\ntool.write_text('true')\ntool.chmod(0o755)"
    )
    assert read(project, "größe 1.txt") == "new"
    assert read(project, "old.txt") == "changed"
    assert read(project, "deep/empty") == ""
    assert os.access(project / "data" / "output" / "tool.sh", os.X_OK)
    assert (project / "data" / "working" / "gone.txt").exists()
    assert (project / "code.py").read_text() == "x = 1\n"
    assert not (project / "other.txt").exists()
    assert shown.stderr == ""


def test_input_is_read_only(notebook: Notebook, host: str, project: Path) -> None:
    write(project / "data" / "input" / "deep" / "a.csv", "1,2")
    notebook.check(
        f"%%remote {host}\nimport os, stat\npath = 'data/input/deep/a.csv'\n"
        "text, mode = open(path).read(), stat.S_IMODE(os.stat(path).st_mode)\n"
        "refused = []\n"
        "for act in (lambda: open(path, 'w'), lambda: os.chmod(path, 0o666),\n"
        "            lambda: os.remove(path)):\n"
        "    try:\n        act()\n    except PermissionError:\n        refused.append(1)"
    )
    assert (notebook.names["text"], notebook.names["mode"] & 0o222) == ("1,2", 0)
    if host != "local":  # there it belongs to another user
        assert notebook.names["refused"] == [1, 1, 1]
    assert (project / "data" / "input" / "deep" / "a.csv").read_text() == "1,2"


def test_file_of_a_cell_that_failed_comes_home(
    notebook: Notebook, host: str, project: Path
) -> None:
    shown = notebook.run(f"%%remote {host}\n{WRITE}(out / 'checkpoint').write_text('3')\n1 / 0")
    assert isinstance(shown.error, ZeroDivisionError)
    assert read(project, "checkpoint") == "3"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        ("--timeout 1s", "import time\ntime.sleep(60)"),
        ("--memory 300m", "held = [bytearray(50_000_000) + b'1' for _ in range(100)]"),
    ],
    ids=["killed", "timeout", "out of memory"],
)
def test_file_of_a_cell_that_was_ended_comes_home(
    notebook: Notebook, host: str, project: Path, options: str, code: str
) -> None:
    shown = notebook.run(
        f"%%remote {host} {options}\n{WRITE}(out / 'checkpoint').write_text('3')\n{code}"
    )
    assert shown.error is not None
    assert read(project, "checkpoint") == "3"


WAIT = (
    "import time\ntry:\n    print('begun', flush=True)\n    time.sleep(60)\n"
    "except KeyboardInterrupt:\n    pass\n"
)


def test_file_changed_on_both_sides_is_kept_beside(
    notebook: Notebook, host: str, project: Path
) -> None:
    here = write(project / "data" / "output" / "table.csv", "1")

    def change_here() -> bool:
        has_begun = printed("begun")()
        if has_begun:
            here.write_text("changed here")
        return has_begun

    with CtrlC(change_here):
        shown = notebook.check(
            f"%%remote {host}\n{WAIT}{WRITE}(out / 'table.csv').write_text('there')"
        )
    assert read(project, "table.csv") == "changed here"
    assert read(project, "table.csv.remote") == "there"
    assert "both are kept: data/output/table.csv (the host's is table.csv.remote)" in shown.stderr


def test_files_of_an_interrupted_cell_come_home(
    notebook: Notebook, host: str, project: Path
) -> None:
    with CtrlC(printed("begun")):
        shown = notebook.run(
            f"%%remote {host}\n{WRITE}(out / 'checkpoint').write_text('3')\n"
            "import time\nprint('begun', flush=True)\ntime.sleep(60)"
        )
    assert isinstance(shown.error, KeyboardInterrupt)
    assert read(project, "checkpoint") == "3"


def test_folds_write_side_by_side(notebook: Notebook, host: str, project: Path) -> None:
    shown = notebook.check(
        f"%%folds 0-2 --on {host} --out none\n{WRITE}"
        "(out / f'part{fold}').write_text(str(fold))\n"
        "(out / 'same').write_text('equal')\n"
        "(out / 'model').write_text(f'of {fold}')"
    )
    assert names(project) == [
        "model",
        "model.fold1",
        "model.fold2",
        "part0",
        "part1",
        "part2",
        "same",
    ]
    assert [read(project, name) for name in ("model", "model.fold1", "model.fold2")] == [
        "of 0",
        "of 1",
        "of 2",
    ]
    assert "folds 0, 1, 2 wrote different data/output/model" in shown.stderr.lower()
    notebook.check(
        f"%%folds 0-2 --on {host} --out none\n{WRITE}(out / 'model').write_text(f'again {{fold}}')"
    )
    assert read(project, "model.fold2") == "again 2"
    assert len(names(project)) == 7


def test_links_and_odd_files_stay_and_are_said(
    notebook: Notebook, host: str, project: Path
) -> None:
    shown = notebook.check(
        f"%%remote {host}\nimport os\n{WRITE}"
        "os.symlink('/etc/passwd', out / 'link')\nos.mkfifo(out / 'pipe')\n"
        "(out / 'good').write_text('1')"
    )
    assert names(project) == ["good"]
    assert "data/output/link" in shown.stderr
    assert "data/output/pipe" in shown.stderr


def test_output_folder_that_leads_elsewhere_is_not_written_through(
    notebook: Notebook, host: str, project: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project / "data").mkdir()
    (project / "data" / "output").symlink_to(elsewhere)
    shown = notebook.check(f"%%remote {host}\n{WRITE}(out / 'a').write_text('1')")
    assert list(elsewhere.iterdir()) == []
    assert "leads elsewhere by a symbolic link" in shown.stderr


def test_sync_says_which_way_files_go(notebook: Notebook, host: str, project: Path) -> None:
    write(project / "words.txt", "here")
    cell = (
        f"%%remote {host} --sync {{}}\nimport os\nhad = os.path.exists('words.txt')\n"
        f"{WRITE}(out / '{{}}').write_text('1')"
    )
    for way, is_sent, is_brought in [
        ("in", True, False),
        ("out", False, True),
        ("both", True, True),
        ("none", False, False),
    ]:
        notebook.check(cell.format(way, way))
        assert notebook.names["had"] is is_sent, way
        assert (project / "data" / "output" / way).exists() is is_brought, way


def test_links_and_names_of_all_letters_travel(
    notebook: Notebook, host: str, project: Path, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"caf\xe9")
    write(project / "runs" / "one" / "größe 1.txt", "here")
    (project / "runs" / "latest").symlink_to("one")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "loop").symlink_to(".")
    write(tmp_path / "disk" / odd, "odd")
    (project / "data").mkdir()
    (project / "data" / "working").symlink_to(tmp_path / "disk")
    shown = notebook.check(
        f"%%remote {host}\nimport os\ntext = open('runs/latest/größe 1.txt').read()\n"
        "link = os.readlink('runs/latest')\n"
        "odd = open(b'data/working/caf\\xe9').read()\n"
        f"{WRITE}(out / os.fsdecode(b'o\\xe9')).write_text('1')\n(out / 'a\\nb').write_text('2')"
    )
    assert [notebook.names[name] for name in ("text", "link", "odd")] == ["here", "one", "odd"]
    assert names(project) == sorted(["a\nb", os.fsdecode(b"o\xe9")])
    assert "data/working/loop" in shown.stderr


def test_file_above_the_limit_is_named_with_the_setting(
    notebook: Notebook, host: str, project: Path
) -> None:
    os.truncate(write(project / "model.bin", ""), 3 * 10**9)
    shown = notebook.run(f"%%remote {host}\nx = 1")
    assert "file model.bin (2.8 GB)" in str(shown.error) + shown.stderr
    assert "upload_limit (2.0 GB)" in str(shown.error) + shown.stderr
    notebook.check(f"%%remote {host} --sync none\nx = 1")


def test_secrets_behind_links_do_not_travel(
    notebook: Notebook, host: str, project: Path, tmp_path: Path
) -> None:
    write(tmp_path / ".kube" / "config", "token")
    write(project / ".git" / "config", "token")
    (project / "notes.txt").symlink_to(".git/config")
    cell = f"%%remote {host}\nimport os\nfound = sorted(os.listdir())"
    shown = notebook.check(cell)
    assert "notes.txt does not travel: it links to .git/config, which stays" in shown.stderr
    assert "notes.txt" not in notebook.names["found"]
    (project / "stuff").symlink_to(tmp_path / ".kube")
    shown = notebook.run(cell)
    assert "nothing was sent: stuff/config (links to" in str(shown.error) + shown.stderr


def test_run_that_changes_nothing_moves_nothing(
    notebook: Notebook, host: str, project: Path
) -> None:
    large = project / "data" / "output" / "large"
    large.parent.mkdir(parents=True)
    large.write_bytes(os.urandom(CHUNK_BYTES + 10))
    before = large.stat()
    cell = f"%%remote {host} --out none\nimport os, shutil\n"
    for code, received in [
        ("os.utime('data/output/large')", 20_000),
        ("with open('data/output/large', 'ab') as out:\n    out.write(b'more')", 40_000),
        ("shutil.copy('data/output/large', 'data/working/copy')", 20_000),
    ]:
        (project / "data" / "working").mkdir(exist_ok=True)
        write(project / "data" / "working" / "here", "1")
        notebook.check(cell + code)
        with History.open(history_path(os.environ)) as history:
            assert history.run("last").received_bytes < received
        if "utime" in code:
            assert large.stat() == before
    assert large.stat().st_size == CHUNK_BYTES + 14
    assert (project / "data" / "working" / "copy").read_bytes() == large.read_bytes()


def test_files_come_home_over_a_cut(
    lab_notebook: Notebook, lab_names: list[Host], project: Path
) -> None:
    host = lab_names[0]
    lab_notebook.check(f"%%remote {host.name}\nx = 1")
    code = (
        f"%%remote {host.name} --out none\n{WRITE}import os\n"
        "for n in range(40):\n    (out / str(n)).write_bytes(os.urandom(1_000_000))\n"
        "print('begun', flush=True)"
    )

    host.slow(rate="100mbit")

    def cut() -> None:
        wait_until(lambda: any((project / "data").glob("output/*")), "the first file")
        host.exec("sh", "-c", END_CONNECTIONS)

    thread = threading.Thread(target=cut)
    thread.start()
    lab_notebook.check(code)
    thread.join()
    assert {path.stat().st_size for path in (project / "data" / "output").iterdir()} == {1_000_000}
    assert len(names(project)) == 40


def test_files_are_found_by_a_daemon_that_did_not_place_them(project: Path, data_dir: Path) -> None:
    write(project / "data" / "output" / "same", "unchanged")
    state_dir = local_state_dir(data_dir)

    def kill() -> bool:
        has_begun = printed("begun")()
        if has_begun:
            os.kill(daemon_pid(state_dir), signal.SIGKILL)
        return has_begun

    with Notebook() as notebook:
        notebook.check("%%remote local\nx = 1")
        with CtrlC(kill):
            notebook.check(f"%%remote local\n{WAIT}{WRITE}(out / 'new').write_text('1')")
        with History.open(history_path(os.environ)) as history:
            assert history.run("last").state is RunState.DONE
    assert (read(project, "new"), read(project, "same")) == ("1", "unchanged")
