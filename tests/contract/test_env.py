"""`--env` and `[env]`: the cell has the value, and nothing else keeps it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelext.errors import ConnectError, OptionError
from kernelext.link.local import local_state_dir

from ..lab.lab import Lab
from .conftest import retire_local, wait_until
from .notebook import Notebook
from .test_cuts import Beside
from .test_daemon_restart import daemon_pid, docker_kill

SECRET = "zq7-" + hashlib.sha256(b"a secret of the tests").hexdigest()[:20]
MARK = "a-name-that-may-be-seen"
HOLD = """\
import hashlib, os, time
held = hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest()
print("it runs")
time.sleep(60)
"""
HELD = hashlib.sha256(SECRET.encode()).hexdigest()
SEEN = """\
for each in {folders}; do [ -e $each ] && grep -rlaF -f {pattern} $each; done
grep -laF -f {pattern} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
true
"""
INSPECT = "docker ps -aq | xargs -r docker inspect; docker ps -aq | xargs -rn1 docker logs 2>&1"
BARE = ["env", "-i", f"PATH={os.environ['PATH']}", "sh", "-c"]  # else it would find itself

Search = Callable[[str], list[str]]


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's environment has it."""
    monkeypatch.setenv("TOKEN", SECRET)


@pytest.fixture
def search(host: str, data_dir: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Search:
    """Say where on the host and at home a text is: files, command lines, containers."""

    def here(text: str) -> list[str]:
        pattern = tmp_path / "pattern"
        pattern.write_text(text)
        folders = f"{data_dir} /dev/shm/kernelext-* {os.environ.get('XDG_RUNTIME_DIR', '')}"
        script = SEEN.format(folders=folders, pattern=pattern)
        said = subprocess.run([*BARE, script], capture_output=True, text=True, check=True)
        return said.stdout.split()

    def there(text: str) -> list[str]:
        lab: Lab = request.getfixturevalue("lab")
        machine = lab.host(host)
        with tempfile.TemporaryFile() as pattern:
            pattern.write(text.encode())
            pattern.seek(0)
            machine.exec("sh", "-c", "umask 77; cat > /tmp/pattern", stdin=pattern)
        folders = "/var/lib/kernelext /var/lib/docker/containers /run/kernelext /var/log"
        script = SEEN.format(folders=folders, pattern="/tmp/pattern")
        found = machine.exec(*BARE, script).stdout.split()
        is_said = text in machine.exec(*BARE, INSPECT).stdout
        return [*here(text), *(f"{host}:{path}" for path in found), *["docker"] * is_said]

    return here if host == "local" else there


def test_value_is_nowhere_but_in_the_cell(
    notebook: Notebook, host: str, data_dir: Path, search: Search, token: None
) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    beside = Beside(notebook, data_dir)

    def look() -> None:
        beside.wait_printing()
        try:
            # Git is asked meanwhile, with the notebook's own environment.
            wait_until(lambda: not search(SECRET), "the claim, and Git's answer")
            assert search(MARK)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    shown = beside.run(f"%%remote {host} --env TOKEN --name {MARK}\n{HOLD}", look)
    assert isinstance(shown.error, KeyboardInterrupt)
    notebook.check(f"%%remote {host} --env TOKEN\n{HOLD.replace('60', '0')}")
    assert notebook.names["held"] == HELD
    assert search(SECRET) == []
    assert search(MARK)


@pytest.mark.parametrize("state", ["queued", "starting"])
def test_value_outlives_the_daemon_before_the_claim(
    notebook: Notebook,
    host: str,
    data_dir: Path,
    request: pytest.FixtureRequest,
    state: str,
    token: None,
) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    beside = Beside(notebook, data_dir)
    state_dir = local_state_dir(data_dir)

    def kill() -> None:
        def records() -> str:
            if host != "local":
                machine = request.getfixturevalue("lab").host(host)
                paths = "/var/lib/kernelext/runs/*/*/*/record.json"
                return machine.exec("sh", "-c", f"cat {paths}", check=False).stdout
            text = io.StringIO()
            for path in state_dir.glob("runs/*/*/*/record.json"):
                with contextlib.suppress(FileNotFoundError):  # its run has ended meanwhile
                    text.write(path.read_text())
            return text.getvalue()

        wait_until(lambda: f'"state": "{state}"' in records(), f"an attempt that is {state}")
        if host == "local":
            os.kill(daemon_pid(state_dir), signal.SIGKILL)
        else:
            docker_kill(request.getfixturevalue("lab").host(host))

    code = HOLD.replace("60", "0.3").replace("held =", "mine =")
    shown = beside.run(f"%%folds 0-5 --on {host} --env TOKEN\n{code}", kill)
    assert shown.error is None, shown.traceback
    assert notebook.names["mine"] == dict.fromkeys(range(6), HELD)


def test_daemon_of_local_does_not_inherit_the_notebooks_environment(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: None
) -> None:
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "other"))
    state_dir = local_state_dir(tmp_path / "other")
    with Notebook() as notebook:
        notebook.check("%%remote local\nimport os\nnames = dict(os.environ)")
        environ = Path(f"/proc/{daemon_pid(state_dir)}/environ").read_bytes()
    retire_local(state_dir)
    assert b"PATH=" in environ
    assert SECRET.encode() not in environ
    assert "TOKEN" not in notebook.names["names"]


def test_env_of_the_users_file(
    notebook: Notebook, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Path(os.environ["KERNELEXT_CONFIG"])
    config.write_text(
        config.read_text() + '[env]\nFIXED = "from the file"\nPASSED = true\nABSENT = true\n'
    )
    monkeypatch.setenv("PASSED", "from the notebook")
    monkeypatch.setenv("FIXED", "of the notebook")
    names = "import os\nfound = [os.environ.get(n) for n in ('FIXED', 'PASSED', 'ABSENT')]"
    notebook.check(f"%%remote {host}\n{names}")
    assert notebook.names["found"] == ["from the file", "from the notebook", None]
    notebook.check(f"%%folds 0 --on {host} --env FIXED\n{names}")
    assert notebook.names["found"][0][0] == "of the notebook"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--env NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE, which is not set here"),
        (f"--env TOKEN={SECRET}", "names of variables that are set here"),
    ],
)
def test_mistakes_in_env(notebook: Notebook, project: Path, line: str, said: str) -> None:
    shown = notebook.run(f"%%remote local {line}\nx = 1")
    assert isinstance(shown.error, OptionError)
    assert said in str(shown.error)
    assert SECRET not in str(shown.error)


def test_folder_for_secrets_of_somebody_else_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    (runtime / "kernelext").mkdir(parents=True)
    os.chown(runtime / "kernelext", 12345, 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "other"))
    with Notebook() as notebook:
        shown = notebook.run("%%remote local\nx = 1")
    assert isinstance(shown.error, ConnectError)
    assert "is not ours (user 12345): have its owner or root remove it" in str(shown.error)
