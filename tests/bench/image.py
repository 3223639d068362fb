"""The project's image: a first cell on a plain host, one package more, nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelext.link.client import DaemonClient
from kernelext.recipe import NAMESPACE

from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .report import Row, Section
from .scene import Scene
from .timing import Sample

PACKAGES = ("scikit-learn", "xgboost-cpu")
SMALL = "humanize"
CELL = "%%remote {}\nimport sklearn, xgboost"
SMALL_CELL = "%%remote {}\nimport humanize"
PLAIN_CELL = "%%remote {} --image " + PLAIN_TAG + "\npass"
IDLE_CELL = "%%remote {}\npass"
WIRE_BYTES_S = 1e9 / 8
FIRST_S, MORE_S = 60.0, 6.0


def measure(scene: Scene) -> Section:
    """Build on hosts that have the plain image alone, then add a package, then change nothing."""
    project = _write_project(scene)
    one, other = scene.hosts[:2]
    rows = [_first(scene, one, "from the index"), _first(scene, other, "wheels here already")]
    _write_requirements(project, *PACKAGES, SMALL)
    more = [_time(scene, SMALL_CELL, host) for host in (one, other)]
    rows.append(Row("one small package more", Sample(tuple(more)), "s", at_most=MORE_S))
    rows.append(_requests(scene, one))
    same = _newest(one) == _newest(other)
    scene.settle(2)
    for host in (one, other):
        images = host.exec("docker", "images", "-q", f"{NAMESPACE}/*").stdout.split()
        host.exec("docker", "rmi", "-f", *set(images))
    remark = f"{' and '.join(PACKAGES)} over {PLAIN_TAG}; the images of two hosts are "
    return Section(
        "9. The project's image", rows, [remark + ("the same" if same else "NOT THE SAME")]
    )


def _write_project(scene: Scene) -> Path:
    project = scene.enter_project(100, "image")
    (project / "kernelext.toml").write_text(
        f'[image]\nbase = "{PLAIN_TAG}"\nfrom = "requirements.txt"\n'
    )
    _write_requirements(project, *PACKAGES)
    return project


def _write_requirements(project: Path, *packages: str) -> None:
    (project / "requirements.txt").write_text("\n".join([*packages, "blosc2", "ipython"]))


def _first(scene: Scene, host: Host, what: str) -> Row:
    scene.notebook.check(PLAIN_CELL.format(host.name))  # connects
    before = host.wire_bytes()
    took_s = _time(scene, CELL, host)
    size_bytes = sum(host.wire_bytes()) - sum(before)
    beyond_s = took_s - size_bytes / WIRE_BYTES_S
    note = f"{took_s:.1f} s, {size_bytes / 1e6:.0f} MB; without their time at 1 Gbit/s"
    return Row(f"first cell, {what}", Sample((beyond_s,)), "s", note, FIRST_S)


def _time(scene: Scene, cell: str, host: Host) -> float:
    scene.settle(2)
    began_s = time.perf_counter()
    scene.notebook.check(cell.format(host.name))
    return time.perf_counter() - began_s


def _requests(scene: Scene, host: Host) -> Row:
    """Count what daemons are asked by an unchanged cell, with the image and with a plain one."""
    plain = _count(lambda: scene.notebook.check(PLAIN_CELL.format(host.name)))
    built = _count(lambda: scene.notebook.check(IDLE_CELL.format(host.name)))
    note = f"a ready image asks for {plain}"
    return Row("nothing changed", Sample((float(built),)), "requests", note, float(plain))


def _count(run: Callable[[], object]) -> int:
    requests: list[str] = []
    send = DaemonClient.send

    def counted(self: DaemonClient, header: dict[str, Any], body: bytes = b"") -> Any:
        requests.append(header["op"])
        return send(self, header, body)

    run()  # what is asked once a session
    DaemonClient.send = counted  # type: ignore[method-assign]
    try:
        run()
    finally:
        DaemonClient.send = send  # type: ignore[method-assign]
    return len(requests)


def _newest(host: Host) -> str:
    form = ["--format", "{{.ID}}", "--no-trunc"]
    return host.exec("docker", "images", *form, f"{NAMESPACE}/*").stdout.split()[0]
