# SPDX-License-Identifier: MIT
"""./lookaside flash: what it refuses, and that what it writes is there. By loop devices."""
import errno
import os
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT, lookaside

IMAGE_SIZE = 3 << 20
needs_loop = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("losetup") or not os.path.exists("/dev/loop-control")
    or not os.path.exists("/sys/dev/block"),
    reason="loop devices need root and /sys")


@pytest.fixture(name="image")
def fixture_image(tmp_path):
    """An image to write: no two pieces of it are alike."""
    path = tmp_path / "image"
    path.write_bytes(b"".join(number.to_bytes(8, "little") for number in range(IMAGE_SIZE // 8)))
    return path


@pytest.fixture(name="disk")
def fixture_disk(tmp_path):
    """A file that pretends to be a stick, with something old on it."""
    path = tmp_path / "disk"
    path.write_bytes(b"\xa5" * (8 << 20))
    return path


@pytest.fixture(name="loop")
def fixture_loop(disk):
    """The same as a block device."""
    done = subprocess.run(["losetup", "--show", "-f", str(disk)], text=True, capture_output=True,
                          check=False)
    if done.returncode:
        pytest.skip("no loop device: " + done.stderr.strip())
    yield done.stdout.strip()
    subprocess.run(["losetup", "-d", done.stdout.strip()], check=True)


def flash(*arguments):
    return lookaside("flash", *arguments)


def test_what_was_written_is_there_and_the_old_partition_tables_are_gone(image, disk):
    done = flash(disk, "--image", image, "--any-disk", "--yes")
    assert done.status == 0, done.err
    assert "written and verified" in done.out
    now = disk.read_bytes()
    assert now[:IMAGE_SIZE] == image.read_bytes()
    assert now[-(1 << 20):] == bytes(1 << 20)
    assert now[IMAGE_SIZE:IMAGE_SIZE + 16] == b"\xa5" * 16


def test_a_file_is_not_written_unless_asked_for(image, disk):
    done = flash(disk, "--image", image, "--yes")
    assert done.status == 2
    assert "is a file, no disk" in done.err
    assert disk.read_bytes()[:4] == b"\xa5" * 4


def test_nothing_is_written_when_nobody_can_be_asked(image, disk):
    done = flash(disk, "--image", image, "--any-disk")
    assert done.status == 2
    assert disk.read_bytes()[:4] == b"\xa5" * 4


@pytest.mark.parametrize("answer,status", [("yes", 130), ("", 130), (None, 0)])
def test_only_the_disks_own_name_is_a_yes(image, disk, answer, status):
    child = pexpect.spawn(str(ROOT / "lookaside"), [
        "flash", str(disk), "--image", str(image), "--any-disk"], timeout=60, encoding="utf-8",
        dimensions=(25, 400))
    child.expect("Everything on it will be lost. Type .* to go on: ")
    child.sendline(str(disk) if answer is None else answer)
    if status == 0:
        child.expect(r"\[#+\] 100%")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == status
    assert (disk.read_bytes()[:4] == b"\xa5" * 4) == (status != 0)


def test_a_disk_that_is_too_small_is_refused(image, disk):
    os.truncate(disk, IMAGE_SIZE - 1)
    done = flash(disk, "--image", image, "--any-disk", "--yes")
    assert done.status == 2
    assert "holds 3.1 MB" in done.err


def test_what_is_no_disk_is_refused(image, tmp_path):
    for path, words in ((tmp_path / "nothing", "no such file"), (tmp_path, "is no disk"),
                        ("/dev/null", "is no disk")):
        done = flash(path, "--image", image, "--any-disk", "--yes")
        assert done.status == 2
        assert words in done.err


def test_without_an_image_it_says_how_to_make_one(disk, tmp_path):
    done = flash(disk, "--image", tmp_path / "none.iso", "--any-disk", "--yes")
    assert done.status == 2
    assert "make iso" in done.err


@needs_loop
def test_a_disk_that_is_not_removable_is_refused(image, disk, loop):
    done = flash(loop, "--image", image, "--yes")
    assert done.status == 2
    assert "is not removable" in done.err
    assert disk.read_bytes()[:4] == b"\xa5" * 4


@needs_loop
def test_a_block_device_is_written_and_verified(image, disk, loop):
    done = flash(loop, "--image", image, "--any-disk", "--yes")
    assert done.status == 0, done.err
    subprocess.run(["sync", loop], check=True)
    assert disk.read_bytes()[:IMAGE_SIZE] == image.read_bytes()


@needs_loop
def test_a_disk_that_is_mounted_is_refused(image, loop, tmp_path):
    subprocess.run(["mformat", "-T", "16384", "-i", loop, "-v", "OLD", "::"], check=True)
    where = tmp_path / "mounted"
    where.mkdir()
    if subprocess.run(["mount", "-t", "vfat", loop, str(where)], capture_output=True,
                      check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = flash(loop, "--image", image, "--any-disk", "--yes")
    finally:
        subprocess.run(["umount", str(where)], check=True)
    assert done.status == 2
    assert "is mounted on %s" % where in done.err


@needs_loop
def test_a_disk_that_is_write_protected_is_refused(image, disk):
    made = subprocess.run(["losetup", "-r", "--show", "-f", str(disk)], text=True,
                          capture_output=True, check=True).stdout.strip()
    try:
        done = flash(made, "--image", image, "--any-disk", "--yes")
    finally:
        subprocess.run(["losetup", "-d", made], check=True)
    assert done.status == 2
    assert "is write-protected" in done.err


@needs_loop
def test_a_disk_that_is_swapped_to_is_refused(image, loop):
    subprocess.run(["mkswap", loop], capture_output=True, check=True)
    if subprocess.run(["swapon", loop], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be swapped to here")
    try:
        done = flash(loop, "--image", image, "--any-disk", "--yes")
    finally:
        subprocess.run(["swapoff", loop], check=True)
    assert done.status == 2
    assert "is swapped to" in done.err


@needs_loop
def test_a_partition_is_refused_and_its_disk_named(image, disk):
    with open(disk, "r+b") as file:  # one partition, from 1 MiB on
        file.seek(446)
        file.write(bytes([0, 0xFE, 0xFF, 0xFF, 0x0E, 0xFE, 0xFF, 0xFF]))
        file.write((2048).to_bytes(4, "little") + (4096).to_bytes(4, "little") + bytes(48))
        file.write(b"\x55\xaa")
    made = subprocess.run(["losetup", "-P", "--show", "-f", str(disk)], text=True,
                          capture_output=True, check=True).stdout.strip()
    try:
        if not os.path.exists(made + "p1"):
            pytest.skip("loop devices have no partitions here")
        done = flash(made + "p1", "--image", image, "--any-disk", "--yes")
    finally:
        subprocess.run(["losetup", "-d", made], check=True)
    assert done.status == 2
    assert "is a partition; the whole disk is " + made in done.err


@needs_loop
def test_a_stick_that_is_pulled_out_in_the_middle_is_named(image, loop, monkeypatch):
    from lookaside_cli import flash as module  # pylint: disable=import-outside-toplevel
    target = module.find_target(module.Path(loop), True)
    pwrite = os.pwrite

    def pulled_out(handle, data, at):
        if at >= 1 << 20:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return pwrite(handle, data, at)
    monkeypatch.setattr(module.os, "pwrite", pulled_out)
    with pytest.raises(module.ToolError, match="no such device.*write it again"):
        module.flash(target, image)


def test_writes_that_take_less_than_all_are_continued(image, disk, monkeypatch):
    from lookaside_cli import flash as module  # pylint: disable=import-outside-toplevel
    target = module.find_target(module.Path(disk), True)
    pwrite = os.pwrite
    monkeypatch.setattr(module.os, "pwrite", lambda handle, data, at:
                        pwrite(handle, data[:300001], at))
    module.flash(target, image)
    assert disk.read_bytes()[:IMAGE_SIZE] == image.read_bytes()


@needs_loop
def test_a_disk_that_lies_about_what_it_keeps_is_found_out(image, loop, monkeypatch):
    from lookaside_cli import flash as module  # pylint: disable=import-outside-toplevel
    target = module.find_target(module.Path(loop), True)
    pwrite = os.pwrite
    monkeypatch.setattr(module.os, "pwrite", lambda handle, data, at:
                        len(data) if at == 2 << 20 else pwrite(handle, data, at))
    with pytest.raises(module.ToolError, match="differs at byte %d" % (2 << 20)):
        module.flash(target, image)
