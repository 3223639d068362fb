"""GPUs: given to one fold at a time, refused in a sentence where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from kernelext.daemon.gpus import process_gpus
from kernelext.errors import EngineError

from ..lab.host import Host
from .conftest import check_nothing_left, wait_until
from .notebook import Notebook
from .test_failures import fail, sentence
from .test_hosts import remove_daemons

pytestmark = pytest.mark.faults

ENGINE_FILE = "/etc/docker/daemon.json"
HOOK_FILE = "/usr/bin/nvidia-container-runtime-hook"
UUIDS = ["GPU-aaaa", "GPU-bbbb"]

# What NVIDIA's toolkit adds to a container, less the devices: a hook that the engine calls
# before the start, with the GPUs in the container's environment.
HOOK = r"""#!/bin/sh
bundle=$(sed -n 's/.*"bundle":"\([^"]*\)".*/\1/p')
root=$(sed -n 's/.*"root":{"path":"\([^"]*\)".*/\1/p' "$bundle/config.json")
chosen=$(grep -o 'NVIDIA_VISIBLE_DEVICES=[^"]*' "$bundle/config.json" | tail -n 1)
chosen=${chosen#*=}
if [ "$chosen" = all ]; then chosen=UUIDS; fi
program=$root/usr/bin/nvidia-smi
echo '#!/bin/sh' > "$program"
IFS=,
number=0
for uuid in $chosen; do
    echo "echo 'GPU $number: NVIDIA L4 (UUID: $uuid)'" >> "$program"
    number=$((number + 1))
done
chmod 755 "$program"
""".replace("UUIDS", ",".join(UUIDS))

READ = "import os, subprocess\nseen = os.environ.get('NVIDIA_VISIBLE_DEVICES')\n"
LISTED = READ + "listed = subprocess.check_output(['nvidia-smi', '-L'], text=True)"


@pytest.mark.parametrize("line", ["%%remote {} --gpus 9999", "%%folds 0-1 --on {} --gpus 9999"])
def test_more_gpus_than_there_are(notebook: Notebook, host: str, line: str) -> None:
    shown = fail(notebook, f"{line.format(host)}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert sentence(shown).startswith(f"{host} has ")
    assert ", and --gpus asks for 9999; " in sentence(shown)
    assert "by --on" in sentence(shown)


@pytest.mark.gpu
@pytest.mark.parametrize("host", ["local"], indirect=True)
def test_cells_of_local_see_their_gpus_and_no_other(notebook: Notebook) -> None:
    count = len(process_gpus(None))
    code = "import os, subprocess\nseen = os.environ['CUDA_VISIBLE_DEVICES']\n"
    code += "listed = subprocess.check_output(['nvidia-smi', '-L'], text=True)"
    notebook.check(f"%%remote local\n{code}")
    assert notebook.names["seen"] == ",".join(str(number) for number in range(count))
    assert notebook.names["listed"].startswith("GPU 0: ")
    notebook.check(f"%%folds 0-{count} --on local --gpus 1\n{code}")
    assert set(notebook.names["seen"].values()) == {str(number) for number in range(count)}
    notebook.check(f"%%folds 0-1 --on local\n{code}")
    assert notebook.names["seen"] == {0: "", 1: ""}


def restart_engine(host: Host) -> None:
    """Have dockerd read its files and look for its helpers again."""
    before = host.exec("pgrep", "-x", "dockerd").stdout
    host.exec("pkill", "-x", "dockerd")

    def is_another() -> bool:
        now = host.exec("pgrep", "-x", "dockerd", check=False).stdout
        return bool(now) and now != before

    wait_until(is_another, "another dockerd")
    host.wait_docker()


def reload_engine(host: Host, *, runtime: bool) -> None:
    """Have dockerd read its file again."""
    host.exec("pkill", "-HUP", "-x", "dockerd")
    argv = ("docker", "info", "--format", "{{.Runtimes}}")
    wait_until(lambda: ("nvidia" in host.exec(*argv).stdout) == runtime, "the engine's runtimes")


@pytest.fixture
def spare(lab_names: list[Host]) -> Iterator[Host]:
    """A host whose engine may be restarted, with an engine that was told of a runtime `nvidia`."""
    host = lab_names[-1]
    remove_daemons(host)
    runtimes = json.dumps({"runtimes": {"nvidia": {"path": "runc"}}})
    host.exec("sh", "-c", f"mkdir -p /etc/docker; echo '{runtimes}' > {ENGINE_FILE}")
    reload_engine(host, runtime=True)
    yield host
    host.exec("rm", "-f", HOOK_FILE)
    host.exec("sh", "-c", f"echo '{{\"runtimes\": {{}}}}' > {ENGINE_FILE}")
    check_nothing_left(host)
    remove_daemons(host)
    reload_engine(host, runtime=False)
    host.exec("rm", ENGINE_FILE)


def add_toolkit(host: Host) -> None:
    """Give a host a stand-in of NVIDIA's toolkit."""
    host.exec("sh", "-c", f"printf '%s' \"$0\" > {HOOK_FILE}; chmod 755 {HOOK_FILE}", HOOK)
    restart_engine(host)


def test_engine_without_nvidia_runtime(lab_notebook: Notebook, spare: Host) -> None:
    notebook, host = lab_notebook, spare.name
    restart_engine(spare)  # it looks for the toolkit when it starts
    shown = fail(notebook, f"%%remote {host} --gpus 1\nkept = 1")
    assert isinstance(shown.error, EngineError)
    text = sentence(shown)
    assert text.startswith(f"{host} cannot give the cell GPUs: Docker there has no NVIDIA runtime")
    assert "install nvidia-container-toolkit there, run `nvidia-ctk runtime configure" in text
    shown = notebook.check(f"%%remote {host}\nran = True")
    assert shown.stderr.startswith(f"{host}: Docker there has no NVIDIA runtime")
    assert notebook.check(f"%%remote {host}\nran = True").stderr == ""
    assert "has no NVIDIA runtime" in notebook.check(f"%remote hosts {host}").stdout
    add_toolkit(spare)
    notebook.check(f"%%remote {host} --gpus 1\n{READ}")
    assert notebook.names["seen"] == "GPU-aaaa"


def test_gpus_of_a_docker_host(lab_notebook: Notebook, spare: Host) -> None:
    notebook, host = lab_notebook, spare.name
    add_toolkit(spare)
    notebook.check(f"%%remote {host}\n{LISTED}")
    assert notebook.names["seen"] == "GPU-aaaa,GPU-bbbb"
    assert notebook.names["listed"].count("NVIDIA L4") == 2
    notebook.check(f"%%remote {host} --gpus 0\n{READ}")
    assert notebook.names["seen"] == "void"
    notebook.check(f"%%folds 0-3 --on {host}\n{READ}")
    assert set(notebook.names["seen"].values()) == {"void"}
    assert "2 x NVIDIA L4" in notebook.check(f"%remote hosts {host}").stdout

    code = f"import time\nbegan = time.time()\n{READ}time.sleep(0.5)\nended = time.time()"
    notebook.check(f"%%folds 0-3 --on {host} --gpus 1\n{code}")
    names = notebook.names
    for uuid in UUIDS:  # both were in use, neither by two folds at a time
        folds = [fold for fold in range(4) if names["seen"][fold] == uuid]
        spans = sorted((names["began"][fold], names["ended"][fold]) for fold in folds)
        assert spans
        assert all(first[1] <= then[0] for first, then in pairwise(spans))
    shown = fail(notebook, f"%%remote {host} --gpus 3\nkept = 1")
    assert sentence(shown).startswith(f"{host} has 2 GPUs, and --gpus asks for 3; ask for fewer")


def test_attempt_keeps_its_gpu_when_the_daemon_restarts(
    lab_notebook: Notebook, spare: Host
) -> None:
    notebook, host = lab_notebook, spare.name
    add_toolkit(spare)
    code = f"import time\nbegan = time.time()\n{READ}"
    code += "print('on', flush=True)\ntime.sleep(5 if fold == 0 else 0.1)\nended = time.time()"
    # Its restart policy brings the daemon back.
    kill = "docker ps -q --filter label=kernelext.daemon | xargs docker kill --signal KILL"
    cell = "docker ps --format '{{.Names}}' | grep -Eq '^kernelext-[0-9a-f]{12}$'"
    spare.exec(
        "sh", "-c", f"(until {cell}; do sleep 0.1; done; sleep 1; {kill}) > /dev/null 2>&1 &"
    )
    notebook.check(f"%%folds 0-2 --on {host} --gpus 2 --cpus 0.5 --memory 300m\n{code}")
    names = notebook.names
    spans = sorted((names["began"][fold], names["ended"][fold]) for fold in range(3))
    assert all(first[1] <= then[0] for first, then in pairwise(spans))
