"""What a run asks of its hosts."""

from __future__ import annotations

import pytest

from kernelext.hosts.config import HostConfig
from kernelext.models import ALL_GPUS, Limits
from kernelext.runs import RunPlan


def plan(kind: str = "remote", **fields: object) -> RunPlan:
    return RunPlan("r", kind, "t", "x", "f", "me", (), {"0": {}}, **fields)


@pytest.mark.parametrize(
    ("kind", "limits", "whole"),
    [
        ("remote", Limits(), True),
        ("remote", Limits(timeout_s=5), True),
        ("remote", Limits(cpus=1), False),
        ("remote", Limits(memory_bytes=1), False),
        ("remote", Limits(gpus=1), False),
        ("remote", Limits(gpus=0), True),
        ("remote", Limits(gpus=ALL_GPUS), True),
        ("folds", Limits(), False),
    ],
)
def test_plain_cell_takes_the_whole_host_unless_it_says_less(
    kind: str, limits: Limits, whole: bool
) -> None:
    assert plan(kind, limits=limits).whole_host is whole


def test_image_is_the_cells_then_the_hosts_then_the_projects() -> None:
    plain, own = HostConfig("a", ssh="a"), HostConfig("b", ssh="b", image="host:1")
    assert plan(image="cell:1", project_image="project:1").image_on(own) == "cell:1"
    assert plan(project_image="project:1").image_on(own) == "host:1"
    assert plan(project_image="project:1").image_on(plain) == "project:1"
    assert plan(project_image="project:1").image_on(HostConfig("local")) == ""
