# SPDX-License-Identifier: MIT
"""build/lookaside.iso: every entry of its menu starts what it says."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pexpect
import pytest
from conftest import PATIENCE, ROOT, driver
from lookaside_cli import machine, media

ISO = ROOT / "build" / "lookaside.iso"
ENTRIES = {
    "n": "rtc.sys at 0x",
    "o": "rtc.sys at 0x",
    "s": "Type help",
    "k": "rtc.sys at 0x",
}


def boot(key, *arguments, emulator="qemu-system-x86_64"):
    """Starts the medium, presses a key at the menu, returns the serial line."""
    child = pexpect.spawn(emulator, ["-nodefaults", "-accel", "tcg", "-cpu", "max", "-m", "256",
                                     "-vga", "std", "-display", "none", "-serial", "stdio",
                                     "-no-reboot", *arguments],
                          timeout=PATIENCE, encoding="utf-8", codec_errors="replace")
    child.expect("Wait for gdb")
    child.send(key)
    return child


def cdrom():
    """The medium as a CD."""
    return ["-drive", "media=cdrom,format=raw,readonly=on,file=%s" % ISO]


def stick():
    """The medium as a USB stick."""
    return ["-drive", "if=none,id=stick,format=raw,snapshot=on,file=%s" % ISO,
            "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"]


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_starts(key):
    child = boot(key, *cdrom())
    try:
        # GRUB that finds fault with the menu says so and waits for a key before it starts anything.
        assert child.expect_exact([ENTRIES[key], "Press any key"]) == 0, child.before[-500:]
        child.expect(r"> ")
    finally:
        child.close(force=True)


@pytest.mark.parametrize("key,size", [("n", b"1024 768"), ("s", b"720 400")])
def test_the_safe_entry_alone_has_a_text_screen(key, size):
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "screen.ppm"
        child = boot(key, "-chardev", "pipe,id=monitor,path=%s" % pipes(folder),
                     "-mon", "monitor", *cdrom())
        try:
            child.expect_exact("Type help")
            (Path(folder) / "monitor.in").write_text("screendump %s\nquit\n" % picture)
            child.expect(pexpect.EOF)
            assert picture.read_bytes().split(b"\n", 3)[1] == size
        finally:
            child.close(force=True)


def pipes(folder):
    """The two pipes of QEMU's monitor. What it answers is thrown away: nobody reads it."""
    path = Path(folder) / "monitor"
    os.mkfifo(str(path) + ".in")
    Path(str(path) + ".out").touch()
    return path


def test_the_gdb_entry_waits_for_a_key():
    child = boot("g", *cdrom())
    try:
        child.expect_exact("stopped by /BREAK")
        child.send(" ")
        child.expect(r"> ")
    finally:
        child.close(force=True)


def test_the_self_test_entry_ends_with_a_verdict():
    child = boot("t", "-device", "edu", *cdrom())
    try:
        child.expect(r"verdict: (\d+) ")
        assert child.match.group(1) == "0", child.before[-2000:]
    finally:
        child.close(force=True)


def test_a_32_bit_processor_gets_the_32_bit_kernel():
    child = boot("n", *cdrom(), emulator="qemu-system-i386")
    try:
        child.expect_exact("rtc.sys at 0x")
    finally:
        child.close(force=True)


def test_the_medium_written_to_a_stick_boots_by_bios_and_uefi():
    with tempfile.TemporaryDirectory() as folder:
        for firmware in ([], machine.firmware_arguments("uefi", Path(folder))):
            child = boot("n", *firmware, *stick())
            try:
                child.expect_exact("rtc.sys at 0x")
            finally:
                child.close(force=True)


def test_the_medium_holds_no_file_of_this_machine():
    listing = subprocess.run(["xorriso", "-indev", str(ISO), "-find", "/", "-type", "f"], text=True,
                             capture_output=True, check=True).stdout
    for name in ("amd64/lookaside.elf", "i386/lookaside.elf", "amd64/checked.elf", "edu.sys"):
        assert name in listing


def own_stick(folder, files):
    """A copy of the medium with these files in its data partition."""
    image = Path(folder) / "stick.img"
    shutil.copyfile(ISO, image)
    partition = "%s@@%d" % (image, media.data_offset(image))
    for place, source in files.items():
        subprocess.run(["mcopy", "-o", "-i", partition, str(source), "::" + place], check=True)
    return ["-drive", "if=none,id=stick,format=raw,file=%s" % image,
            "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"]


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_driver_dropped_onto_the_stick_runs_with_the_options_beside_it(firmware):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "options.txt").write_bytes(b"# mine\r\n/SOS\r\n/MONITOR=\"run rtc; !vm\"\r\n")
        flash = [] if firmware == "bios" else machine.firmware_arguments(firmware, folder)
        child = boot("y", *flash, *own_stick(folder, {
            "drivers/RTC.SYS": driver("amd64", "rtc"), "options.txt": folder / "options.txt"}))
        try:
            child.expect_exact('options: /SOS /MONITOR="run rtc; !vm"')
            child.expect("rtc: ticking at")
            child.expect("> !vm")
        finally:
            child.close(force=True)


def test_without_options_the_stick_runs_every_driver_on_it():
    with tempfile.TemporaryDirectory() as folder:
        child = boot("y", "-device", "edu", *own_stick(folder, {
            "drivers/rtc.sys": driver("amd64", "rtc"), "drivers/edu.sys": driver("amd64", "edu")}))
        try:
            child.expect("Type help")  # which of the two is first is the directory's order
            assert "edu.sys: 0x00000000" in child.before and "rtc: ticking at" in child.before
        finally:
            child.close(force=True)


def test_files_of_any_name_are_taken_and_a_broken_one_is_refused_in_words():
    """Long, with blanks, in mixed case; beside them an empty options.txt."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "broken").write_bytes(b"not a driver" * 400)
        (folder / "empty").write_bytes(b"")
        child = boot("y", "-device", "edu", *own_stick(folder, {
            "drivers/the driver with a long name.sys": driver("amd64", "rtc"),
            "drivers/Mixed.Sys": driver("amd64", "edu"),
            "drivers/broken.sys": folder / "broken", "drivers/notes.txt": folder / "broken",
            "options.txt": folder / "empty"}))
        try:
            child.expect("Type help")
            for words in ("the_driver_with_a_long_name.sys: 0x00000000", "Mixed.Sys: 0x00000000",
                          "broken.sys refused: it is not a PE file"):
                assert words in child.before
            assert "notes.txt" not in child.before
        finally:
            child.close(force=True)


def test_a_stick_whose_data_partition_is_garbage_starts_the_samples():
    with tempfile.TemporaryDirectory() as folder:
        drive = own_stick(folder, {})
        with open(Path(folder) / "stick.img", "r+b") as image:
            image.seek(media.data_offset(Path(folder) / "stick.img"))
            image.write(os.urandom(1 << 20))
        child = boot("n", *drive)
        try:
            assert child.expect_exact(["rtc.sys at 0x", "Press any key"]) == 0, child.before[-500:]
        finally:
            child.close(force=True)


def test_the_stick_has_the_data_partition_first_and_then_the_efi_system_partition():
    mbr = ISO.read_bytes()[:512]
    assert [mbr[at + 4] for at in range(446, 510, 16)] == [media.DATA_TYPE, media.EFI_TYPE, 0, 0]
    listing = subprocess.run(["mdir", "-b", "-i", "%s@@%d" % (ISO, media.data_offset(ISO)), "::"],
                             text=True, capture_output=True, check=True).stdout
    assert "README.txt" in listing and "options.txt" in listing
