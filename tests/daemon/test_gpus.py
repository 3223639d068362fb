"""GPUs as the driver, `nvidia-smi` and CUDA name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.daemon.gpus import Gpu, driver_gpus, listed_gpus, process_gpus, usable_ids

INFORMATION = """\
Model: \t\t NVIDIA H200
IRQ:   \t\t 18
GPU UUID: \t {uuid}
Video BIOS: \t 96.00.af.00.03
Bus Type: \t PCIe
Device Minor: \t {minor}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's `driver` and `dev`: three GPUs, the devices of two can be opened."""
    for address, uuid, minor in [
        ("0000:3b:00.0", "GPU-bbb", 1),
        ("0000:1a:00.0", "GPU-aaa", 0),
        ("0000:86:00.0", "GPU-????????-????-????-????-????????????", 2),
    ]:
        folder = tmp_path / "driver" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(INFORMATION.format(uuid=uuid, minor=minor))
    (tmp_path / "dev").mkdir()
    for minor in (0, 1):
        (tmp_path / "dev" / f"nvidia{minor}").touch()
    return tmp_path


def found(machine: Path, allowed: str | None) -> list[str]:
    return [gpu.id for gpu in process_gpus(allowed, machine / "driver", machine / "dev")]


def test_driver_is_read_in_the_order_of_the_bus(machine: Path) -> None:
    ids = [gpu.id for gpu in usable_ids(driver_gpus(machine / "driver"))]
    assert ids == ["GPU-aaa", "GPU-bbb", "2"]  # the third was never opened: by its number


def test_machine_without_driver_has_none(tmp_path: Path) -> None:
    assert driver_gpus(tmp_path / "absent") == []


def test_devices_that_cannot_be_opened_do_not_count(machine: Path) -> None:
    gpus = process_gpus(None, machine / "driver", machine / "dev")
    assert gpus == (Gpu("0", "NVIDIA H200"), Gpu("1", "NVIDIA H200"))


@pytest.mark.parametrize(
    ("allowed", "ids"),
    [
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-bb", ["1"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["0"]),
        ("GPU-", []),
    ],
)
def test_notebooks_own_choice_is_kept(machine: Path, allowed: str, ids: list[str]) -> None:
    assert found(machine, allowed) == ids


def test_listing_leaves_parts_of_a_gpu_out() -> None:
    text = (
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-12ab)\n"
        "  MIG 1g.5gb      Device  0: (UUID: MIG-34cd)\n"
        "GPU 1: NVIDIA L4 (UUID: GPU-56ef)\n"
    )
    assert listed_gpus(text) == [
        Gpu("GPU-12ab", "NVIDIA A100-SXM4-40GB"),
        Gpu("GPU-56ef", "NVIDIA L4"),
    ]
    assert listed_gpus("NVIDIA-SMI has failed because it couldn't communicate") == []
