"""A trivial cell in a fresh container, beside the shortest other ways to the same container."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from .report import Row, Section
from .scene import IMAGE, Scene
from .timing import Action, seconds, take_turns

ROUNDS = 20
TRIAL_ROUNDS = 4
FILE_COUNT = 100
HOST = "host01"
ASKED_RATIO = 1.3
CELL = f"%%remote {HOST}\ny = x + 1"
ARGV = ["python3", "-c", "x=1; y=x+1; print(y)"]


def measure(scene: Scene) -> Section:
    """Time the three ways, turn by turn."""
    scene.enter_project(FILE_COUNT)
    notebook = scene.notebook
    notebook.check(CELL)  # connects
    with kept_connection() as client:
        way, run_by_docker = faster(client, scene.settle)
        contenders: dict[str, Action] = {
            "ours": lambda: notebook.check(CELL),
            "docker": run_by_docker,
            "unremoved": lambda: without_removal(client.api),
            "ssh": lambda: subprocess.run(
                ["ssh", HOST, "docker", "run", "--rm", IMAGE, *_quoted()],
                check=True,
                capture_output=True,
            ),
        }
        taken = take_turns(ROUNDS, contenders, scene.settle)
    ratio = taken["ours"].per(taken["docker"])
    harder = taken["ours"].per(taken["unremoved"])
    return Section(
        f"1. {CELL.splitlines()[1]!r} in a fresh container, {FILE_COUNT} files in the project",
        [
            Row(f"%%remote {HOST}", taken["ours"]),
            Row(f"docker-py over its kept paramiko connection: {way}", taken["docker"]),
            Row("docker-py step by step, its removal not counted", taken["unremoved"]),
            Row(f"ssh {HOST} docker run --rm, a process", taken["ssh"]),
            Row("%%remote / docker-py, round by round", ratio, "x", at_most=ASKED_RATIO),
            Row("%%remote / docker-py without its removal", harder, "x"),
        ],
        ["%%remote has its container removed when the cell has ended: nobody waits for that"],
    )


@contextmanager
def kept_connection() -> Iterator[docker.DockerClient]:
    """Connect docker-py as one who wants speed would: once, without ssh processes."""
    client = docker.DockerClient(base_url=f"ssh://root@{HOST}", use_ssh_client=False)
    try:
        yield client
    finally:
        client.close()


def faster(client: docker.DockerClient, settle: Action) -> tuple[str, Action]:
    """Try docker-py's two ways and return the faster one with its name."""
    ways: dict[str, Action] = {
        "containers.run(remove=True)": lambda: client.containers.run(IMAGE, ARGV, remove=True),
        "create, start, wait, logs, remove": lambda: step_by_step(client.api),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TRIAL_ROUNDS):
        for name, action in ways.items():
            settle()
            times[name].append(seconds(action))
    best = min(times, key=lambda name: statistics.median(times[name]))
    return best, ways[best]


def step_by_step(api: docker.APIClient) -> str:
    """Run a container by as few calls as there can be, and remove it."""
    container = start_and_wait(api)
    api.remove_container(container)
    return container


def without_removal(api: docker.APIClient) -> float:
    """Return the seconds until a container's output is here; it is removed after that."""
    began_s = time.perf_counter()
    container = start_and_wait(api)
    taken_s = time.perf_counter() - began_s
    api.remove_container(container)
    return taken_s


def start_and_wait(api: docker.APIClient) -> str:
    """Run a container to its end and fetch its output."""
    container: str = api.create_container(IMAGE, ARGV)["Id"]
    api.start(container)
    api.wait(container)
    assert api.logs(container) == b"2\n"
    return container


def _quoted() -> list[str]:
    return [*ARGV[:2], f"'{ARGV[2]}'"]
