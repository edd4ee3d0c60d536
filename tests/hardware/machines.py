# SPDX-License-Identifier: MIT
"""Machines that stand in for hardware: what each is, and what its screen must say in the end.

A row is one machine. What a machine lacks is what it is in the table for. Most rows start the very
image that goes onto a stick: options and menu settings are written into its data partition, as its
owner would. Rows with firmware "none" are started by QEMU's own loader.
"""
from typing import List, NamedTuple, Tuple

AMD64, I386 = "amd64", "i386"
STICK = {
    "uhci": ["-device", "ich9-usb-uhci1,id=usb"],   # by UEFI alone: see int13.py
    "ohci": ["-device", "pci-ohci,id=usb"],
    "ehci": ["-device", "usb-ehci,id=usb"],
    "xhci": ["-device", "qemu-xhci,id=usb"],
}
MODERN = ["-machine", "q35", "-device", "qemu-xhci,id=usb"]
# What hwinfo shows of a driver that found its device and runs.
DRIVEN = r"GSI 8 edge high(, APIC \d+)?: rtc\.sys|8259 input 8 edge: rtc\.sys"


class Machine(NamedTuple):
    """One row."""
    name: str
    what: str                       # for the printed table
    arch: str = AMD64
    firmware: str = "bios"          # none, bios, uefi, uefi32 or bochs
    qemu: Tuple[str, ...] = ()      # the machine, its controllers, what it lacks
    cpu: str = "max"
    memory: str = "128M"
    console: str = "screen"         # where the result is read: screen, serial or none
    commands: str = "run rtc; hwinfo"   # for the monitor
    options: str = ""               # for the kernel
    menu: str = ""                  # for GRUB
    says: Tuple[str, ...] = ()      # regular expressions that the console must match
    grid: Tuple[int, int] = ()      # columns and rows of the screen, where they matter
    stops: bool = False             # it runs a driver that breaks a rule
    tests: Tuple[str, ...] = ()     # test drivers that its stick carries, beside rtc
    ends: str = ""                  # why QEMU says that it went away; "": it stays at the prompt
    quick: bool = False             # also part of make test


def row(name: str, what: str, qemu: List[str], **others) -> Machine:
    """A machine with its QEMU arguments as a list."""
    return Machine(name, what, qemu=tuple(qemu), **others)


def stick_on(controller: str, *machine: str) -> List[str]:
    """A machine with its stick on a USB controller of one kind."""
    return [*machine, *STICK[controller]]


PC = ["-machine", "pc"]
Q35 = ["-machine", "q35"]

FIRMWARE = [
    row("pc-bios-ehci", "2005: BIOS, EHCI", stick_on("ehci", *PC), cpu="core2duo", quick=True,
        says=(r"COM1 at 3f8", r"framebuffer 128x48", r"PS/2 keyboard")),
    row("pc-bios-ohci", "1999: BIOS, USB 1.1, 32-bit", stick_on("ohci", *PC), arch=I386,
        cpu="pentium3", says=(r"no NX",)),
    row("q35-bios-xhci", "2012: BIOS, xHCI", stick_on("xhci", *Q35), cpu="Nehalem",
        says=(r"\d+ by _PRT, 0 by register",)),
    row("q35-uefi", "2020: UEFI x64, xHCI", MODERN, firmware="uefi", cpu="EPYC", memory="512M",
        says=(r"framebuffer 128x48",), quick=True),
    row("q35-uefi-ehci", "UEFI x64, EHCI", stick_on("ehci", *Q35), firmware="uefi",
        cpu="Haswell-noTSX", memory="256M", says=(r"from UEFI",)),
    row("q35-uefi-uhci", "UEFI x64, USB 1.1", stick_on("uhci", *Q35), firmware="uefi",
        memory="256M", says=(r"from UEFI",)),
    row("q35-uefi-i386", "UEFI x64, the 32-bit kernel", MODERN, firmware="uefi", arch=I386,
        memory="256M", says=(r"from UEFI",)),
    row("q35-uefi32", "tablet: UEFI ia32 on a 64-bit processor", MODERN, firmware="uefi32",
        memory="256M", says=(r"from UEFI",)),
    row("q35-uefi32-i386", "UEFI ia32, the 32-bit kernel", MODERN, firmware="uefi32", arch=I386,
        memory="256M", says=(r"from UEFI",)),
]

PROCESSORS = [
    row("qemu64", "a plain 64-bit processor", PC, firmware="none", cpu="qemu64",
        says=(r"^cpu +QEMU Virtual CPU", r"not invariant")),
    row("core2duo", "Core 2 Duo", PC, firmware="none", cpu="core2duo",
        says=(r"^cpu +Intel\(R\) Core\(TM\)2 Duo",)),
    row("epyc", "EPYC", Q35, firmware="none", cpu="EPYC-Rome", says=(r"^cpu +AMD EPYC-Rome",)),
    row("pentium3", "Pentium III: no NX, no long mode", PC, firmware="none", arch=I386,
        cpu="pentium3", says=(r"no NX: ",)),
    row("athlon", "Athlon", PC, firmware="none", arch=I386, cpu="athlon",
        says=(r"^cpu +QEMU Virtual CPU|^cpu .*Athlon|^cpu +AuthenticAMD",)),
    row("n270", "Atom N270", PC, firmware="none", arch=I386, cpu="n270",
        says=(r"^cpu +Intel\(R\) Atom",)),
    row("two-sockets", "2 sockets of 3 cores: gaps in the APIC ids", [
        *Q35, "-smp", "6,sockets=2,cores=3"], firmware="none", says=(r"processors 6",)),
    row("smp-16", "16 processors", [*Q35, "-smp", "16"], firmware="none",
        says=(r"processors 16",)),
    row("smp-4-i386", "4 processors, 32-bit", [*PC, "-smp", "4"], firmware="none", arch=I386,
        says=(r"processors 4",)),
]

MEMORY = [
    row("16m", "16 MiB", PC, firmware="none", memory="16M", quick=True,
        says=(r"memory +1[56] MiB",)),
    row("16m-i386", "16 MiB, 32-bit", PC, firmware="none", arch=I386, memory="16M",
        says=(r"memory +1[56] MiB",)),
    row("3g-hole", "6 GiB around the hole below 4 GiB", Q35, firmware="none", memory="6G",
        says=(r"memory +614\d MiB up to 200000000",)),
    row("64g", "64 GiB", Q35, firmware="none", memory="64G", says=(r"memory +65[45]\d\d MiB",)),
    row("64g-i386", "64 GiB by PAE", Q35, firmware="none", arch=I386, memory="62G",
        says=(r"memory +6348\d MiB",)),
    row("64g-uefi", "64 GiB, UEFI", MODERN, firmware="uefi", memory="64G",
        says=(r"memory +65[45]\d\d MiB",)),
]

WITHOUT = [
    row("no-serial", "no serial port", [*PC, "-serial", "none"], firmware="none",
        says=(r"VGA text 80x25", r"^> hwinfo$")),  # all of it on 25 rows
    row("no-i8042", "no PS/2 controller", ["-machine", "q35,i8042=off"], firmware="none",
        says=(r"no PS/2 controller",)),
    row("no-hpet", "no HPET", ["-machine", "q35,hpet=off"], firmware="none",
        says=(r"HPET: no,",)),
    row("no-acpi", "no ACPI", ["-machine", "pc,acpi=off"], firmware="none",
        says=(r"ACPI: none",)),
    row("no-acpi-i386", "no ACPI, 32-bit", ["-machine", "pc,acpi=off"], firmware="none",
        arch=I386, cpu="pentium3", says=(r"ACPI: none",)),
    row("no-apic", "no local APIC: 8259s alone", PC, firmware="none", arch=I386,
        cpu="pentium3,-apic", says=(r"8259",)),
    row("isapc", "no PCI: an ISA PC", ["-machine", "isapc"], firmware="none", arch=I386,
        cpu="pentium3", memory="64M", says=(r"PCI +none",)),
    row("no-vga", "no display, serial port only", [*Q35, "-vga", "none"], firmware="none",
        console="serial", says=(r"COM1 at 3f8",)),
    row("no-console", "neither display nor serial port nor keyboard",
        ["-machine", "q35,i8042=off", "-vga", "none", "-serial", "none"], firmware="none",
        console="none", quick=True),
    row("no-console-uefi", "the same by UEFI, from a stick",
        ["-machine", "q35,i8042=off", "-vga", "none", "-serial", "none", "-device",
         "qemu-xhci,id=usb", "-device", "edu"],
        firmware="uefi", console="none", memory="256M"),
    row("legacy-free", "UEFI, no i8042, no serial port, no HPET", [
        "-machine", "q35,i8042=off,hpet=off", "-serial", "none", "-device", "qemu-xhci,id=usb"],
        firmware="uefi", memory="256M",
        says=(r"framebuffer", r"no PS/2 controller", r"HPET: no,")),
    row("safe", "/SAFE: 8259s, no ACPI", stick_on("ehci", *PC), options="/SAFE",
        says=(r"8259",)),
]


def picture(mode: str, columns: int, rows: int, *qemu: str, **others) -> Machine:
    """A machine whose display GRUB leaves in a mode."""
    settings = {"what": "framebuffer %s" % mode, "menu": "set display=%s\n" % mode,
                "says": (r"framebuffer %dx%d" % (columns, rows),), "grid": (columns, rows)}
    settings.update(others)
    name = settings.pop("name", "fb-" + mode)
    return row(name, settings.pop("what"), [*stick_on("ehci", *PC), *qemu], **settings)


# GRUB 2.06's multiboot2 has no room for the palette that it passes, and dies. The mode is set when
# the kernel is started, so it is said behind the kernel, whose header asks for another.
COLOURS_256 = """\
insmod multiboot
multiboot /boot/amd64/lookaside.elf "/MONITOR=run rtc; hwinfo"
set gfxpayload=640x480x8
module /drivers/amd64/rtc.sys rtc.sys
boot
"""

DISPLAYS = [
    picture("640x480x8", 80, 30, what="256 colours, by multiboot 1", menu=COLOURS_256),
    picture("640x480x15", 80, 30),
    picture("640x480x16", 80, 30, quick=True),
    picture("640x480x24", 80, 30),
    picture("640x480x32", 80, 30),
    picture("800x600x16", 100, 37, arch=I386),
    picture("1280x1024x24", 160, 64),
    picture("1920x1080x32", 240, 67),
    picture("2560x1440x32", 160, 45),
    picture("800x600x24", 100, 37, "-vga", "cirrus", name="fb-cirrus", what="Cirrus, 24 bits"),
]

# The screen of a bugcheck: everything at once, on the smallest screens there are.
STOP_SAYS = (r"^  STOP 0x000000D1  DRIVER_IRQL_NOT_LESS_OR_EQUAL$",
             r"^  driver     read_at_dispatch\.sys\+0x[0-9a-f]+ DriverEntry(@8)?\+0x[0-9a-f]+$",
             r"IRQL 2 \(DISPATCH_LEVEL\)$", r"^  parameters 0x0+18, 0x0+2, 0x0+,",
             r"^  backtrace  #0  read_at_dispatch\.sys\+0x", r"^ +#1  ntoskrnl Ldr")
STOPS = [
    row("stop-text", "bugcheck on VGA text", [*PC, "-serial", "none"], firmware="none",
        stops=True, says=STOP_SAYS, quick=True),
    row("stop-text-i386", "the same, 32-bit", [*PC, "-serial", "none"], firmware="none",
        arch=I386, stops=True, says=STOP_SAYS),
    picture("640x480x16", 80, 30, name="stop-640x480", what="bugcheck on 640x480", stops=True,
            says=STOP_SAYS, quick=True),
    picture("1024x768x32", 128, 48, name="stop-1024x768", what="bugcheck on 1024x768",
            stops=True, says=STOP_SAYS),
]

# The machine goes away as it should, or says why not.
ENDS = [
    row("off-pc", "power off by ACPI", PC, firmware="none", commands="poweroff",
        ends="guest-shutdown"),
    row("off-q35-i386", "power off by ACPI, 32-bit", Q35, firmware="none", arch=I386,
        commands="poweroff", ends="guest-shutdown"),
    row("off-no-acpi", "no ACPI: it says that it cannot be switched off", [
        "-machine", "pc,acpi=off"], firmware="none", commands="run rtc; hwinfo; poweroff",
        says=(r"^This machine has no way to be switched off",)),
    row("reset-q35", "reset by the register that the FADT names", Q35, firmware="none",
        commands="reboot", ends="guest-reset"),
    row("reset-no-acpi", "reset by the chipset or the keyboard controller", [
        "-machine", "pc,acpi=off"], firmware="none", commands="reboot", ends="guest-reset"),
    row("reset-isapc", "reset by the keyboard controller alone", ["-machine", "isapc"],
        firmware="none", arch=I386, cpu="pentium3", memory="64M", commands="reboot",
        ends="guest-reset"),
    row("reset-nothing", "reset by a triple fault alone", ["-machine", "isapc,i8042=off"],
        firmware="none", arch=I386, cpu="pentium3", memory="64M", commands="reboot",
        ends="guest-reset"),
]

BOCHS = [
    Machine("bochs", "Bochs: a second opinion", firmware="bochs", console="serial",
            menu="set display=text\n", says=(r"64 Hz by TSC deadline",)),
    Machine("bochs-i386", "Bochs, Pentium III", arch=I386, firmware="bochs", cpu="p3_katmai",
            console="serial", menu="set display=text\n"),
    # What QEMU's own emulation lacks: x2APIC mode, and the timer by TSC deadline (above as well).
    row("bochs-x2apic", "Bochs: x2APIC mode, 4 processors and their tests", ["-smp", "4"],
        firmware="bochs", cpu="corei7_haswell_4770", console="serial", tests=("smp",),
        commands="run rtc; run smp; hwinfo", menu="set display=text\n",
        options="/X2APICPOLICY=enable",
        says=(r"smp: 0x0+ STATUS_SUCCESS", r"x2APIC \d+ version", r"running 4;",
              r"64 Hz by TSC deadline")),
    row("bochs-x2apic-i386", "the same, 32-bit, 2 processors", ["-smp", "2"], firmware="bochs",
        arch=I386, cpu="corei7_haswell_4770", console="serial", menu="set display=text\n",
        options="/X2APICPOLICY=enable",
        says=(r"x2APIC \d+ version", r"running 2;", r"64 Hz by TSC deadline")),
]

MACHINES: List[Machine] = FIRMWARE + PROCESSORS + MEMORY + WITHOUT + DISPLAYS + STOPS + ENDS + BOCHS
