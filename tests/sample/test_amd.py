"""AMD's GPUs, on a tree of files as the amdgpu driver makes it (docs.kernel.org/gpu/amdgpu, …/gpu/drm-usage-stats)."""

from __future__ import annotations

from pathlib import Path

from penstock.sample.amd import Amd

GIB = 2**30
ADDRESS = "0000:03:00.0"


def write(root: Path, **files: object) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def card(tmp_path: Path, number: int = 0, address: str = ADDRESS, vendor: str = "0x1002") -> Path:
    """A card whose `device` is a link to its place on the bus, as in sysfs."""
    device = tmp_path / "devices" / address
    write(
        device,
        vendor=vendor,
        gpu_busy_percent=42,
        mem_info_vram_total=16 * GIB,
        mem_info_vram_used=3 * GIB,
        hwmon__hwmon4__power1_average=98_000_000,
        hwmon__hwmon4__temp1_input=54_000,
        hwmon__hwmon4__freq1_input=2_100_000_000,
    )
    folder = tmp_path / "drm" / f"card{number}"
    folder.mkdir(parents=True)
    (folder / "device").symlink_to(device)
    (tmp_path / "drm" / f"card{number}-DP-1").mkdir()
    return device


def descriptor(tmp_path: Path, pid: int, number: int, text: str, *, at: str = "/dev/dri/renderD128") -> None:
    folder = tmp_path / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    (folder / "fdinfo").mkdir(exist_ok=True)
    (folder / "fd" / str(number)).symlink_to(at)
    (folder / "fdinfo" / str(number)).write_text(text)


def amd(tmp_path: Path) -> Amd:
    return Amd(drm=tmp_path / "drm", proc=tmp_path / "proc")


def test_a_card_tells_its_figures_in_our_units(tmp_path: Path) -> None:
    card(tmp_path)
    [reading] = amd(tmp_path).read([])
    sample = reading.sample
    assert (sample.name, sample.use_pct, sample.temperature_c, sample.clock_mhz) == ("gpu0", 42.0, 54.0, 2100.0)
    assert (sample.power_w, sample.memory_used_bytes, sample.memory_total_bytes) == (98.0, 3 * GIB, 16 * GIB)
    assert reading.use_by_pid is None


def test_a_file_that_is_missing_or_empty_is_unknown(tmp_path: Path) -> None:
    device = card(tmp_path)
    (device / "gpu_busy_percent").write_text("\n")
    (device / "hwmon" / "hwmon4" / "power1_average").unlink()
    [reading] = amd(tmp_path).read([])
    assert (reading.sample.use_pct, reading.sample.power_w) == (None, None)
    (device / "hwmon" / "hwmon4" / "power1_input").write_text("55000000\n")
    [reading] = amd(tmp_path).read([])
    assert reading.sample.power_w == 55.0


def test_cards_are_counted_in_their_order_and_those_of_others_left_out(tmp_path: Path) -> None:
    card(tmp_path, 10, "0000:0a:00.0")
    card(tmp_path, 2, "0000:02:00.0")
    card(tmp_path, 1, "0000:01:00.0", vendor="0x8086")
    (tmp_path / "devices" / "0000:02:00.0" / "mem_info_vram_used").write_text("7")
    readings = amd(tmp_path).read([])
    assert [(each.sample.name, each.sample.memory_used_bytes) for each in readings] == [("gpu0", 7), ("gpu1", 3 * GIB)]


def test_memory_is_told_by_process_each_client_once(tmp_path: Path) -> None:
    card(tmp_path)
    facts = f"drm-driver:\tamdgpu\ndrm-pdev:\t{ADDRESS}\ndrm-client-id:\t%d\ndrm-memory-vram:\t%d KiB\n"
    descriptor(tmp_path, 7, 3, facts % (1, 2048))
    descriptor(tmp_path, 7, 4, facts % (1, 2048))  # the same, held twice
    descriptor(tmp_path, 7, 5, facts % (2, 1024))
    descriptor(tmp_path, 7, 6, "pos:\t0\n", at="/tmp/a-file")
    descriptor(tmp_path, 8, 3, "drm-driver:\tamdgpu\ndrm-memory-vram:\tnonsense\n")
    [reading] = amd(tmp_path).read([7, 8, 9])
    assert reading.memory_by_pid == {7: 3 * 2**20}


def test_a_machine_without_such_cards_has_none(tmp_path: Path) -> None:
    assert amd(tmp_path).read([1]) == []
