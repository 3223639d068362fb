"""The doctor: what it finds on this machine and on hosts, and that it changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelext import cli

from ..lab.host import Host
from .conftest import IMAGE
from .notebook import Notebook

HEADINGS = (
    "name",
    "address",
    "reach",
    "host key",
    "login",
    "Docker",
    "forwarding",
    "disk",
    "clock",
    "daemon image",
    "cell image",
    "GPUs",
    "containers",
)


def examine(capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, str]:
    """Run the doctor on a console: its exit code and its lines."""
    capsys.readouterr()
    code = cli.main(["doctor", *names])
    return code, capsys.readouterr().out


def test_this_machine_is_well(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = examine(capsys, "local")
    assert code == 0
    assert text.startswith("this machine\n  ok       Python: ")
    assert text.endswith("All is well.\n")


def test_nothing_is_made_where_there_is_nothing(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "none"))
    code, text = examine(capsys)
    assert code == 0
    assert "history: none yet" in text
    assert not (tmp_path / "none").exists()


def test_problems_of_this_machine(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "history.sqlite").write_bytes(b"no database at all, " * 100)
    monkeypatch.setenv("KERNELEXT_DATA", str(data))
    Path(os.environ["KERNELEXT_CONFIG"]).write_text("[hosts\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, text = examine(capsys, "local", "nowhere")
    assert code == 1
    for what in ("kernelext.toml", "history", "ssh program"):
        assert f"PROBLEM  {what}: " in text
    assert "move the file away" in text
    assert "nowhere\n  PROBLEM  name: " in text
    assert text.endswith("4 problems\n")


@pytest.mark.lab
def test_healthy_host(
    lab_notebook: Notebook, lab_names: list[Host], capsys: pytest.CaptureFixture[str]
) -> None:
    host = lab_names[0]
    listed = host.exec("docker", "ps", "-aq").stdout
    code, text = examine(capsys, host.name)
    assert code == 0
    found = [line.split(":")[0].removeprefix("  ok       ") for line in text.splitlines()[1:-1]]
    assert tuple(found) == HEADINGS
    assert f"{IMAGE}: Python 3.11" in text
    assert "numpy" in text
    assert host.exec("docker", "ps", "-aq").stdout == listed


@pytest.mark.lab
def test_host_with_problems(
    lab_notebook: Notebook, lab_names: list[Host], capsys: pytest.CaptureFixture[str]
) -> None:
    name = lab_names[0].name
    config = Path(os.environ["KERNELEXT_CONFIG"])
    config.write_text(f'[hosts.{name}]\nimage = "absent:1"\ndaemon_image = "absent:2"\n')
    code, text = examine(capsys, name, "root@nowhere.invalid")
    assert code == 1
    assert "PROBLEM  daemon image: absent:2 is not there" in text
    assert "PROBLEM  cell image: absent:1 is not there" in text
    assert "PROBLEM  reach: no address is known for nowhere.invalid" in text
    assert text.endswith("3 problems\n")


@pytest.mark.lab
def test_host_that_refuses_the_login(
    lab_notebook: Notebook, lab_names: list[Host], capsys: pytest.CaptureFixture[str]
) -> None:
    host = lab_names[0]
    Path(os.environ["KERNELEXT_CONFIG"]).write_text(f'[hosts.other]\nssh = "nobody@{host.ip}"\n')
    _, text = examine(capsys, "other")
    assert "ok       host key: " in text
    assert "PROBLEM  login: other refuses the login" in text
