# SPDX-License-Identifier: MIT
"""From a RunPlan to a QEMU command line: the machine, how it boots, what the kernel is told."""
import math
import os
import re
import shutil
from pathlib import Path
from typing import List

from . import media
from .arguments import RunPlan, memory_bytes, safe_name
from .status import ToolError

EXIT_PORT = 0xF4
EXIT_BASE = 0x10     # the kernel writes EXIT_BASE + status; QEMU ends with 2 * value + 1

FIRMWARE_FOLDERS = ("/usr/share/OVMF", "/usr/share/edk2/ovmf", "/usr/share/edk2-ovmf/x64",
                    "/usr/share/edk2/x64", "/usr/share/edk2/ia32", "/usr/share/qemu")
# Code and variable store belong together. The ia32 build in Debian wants SMM, keys not enrolled.
FIRMWARE = {
    "uefi": (("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.fd", "OVMF_VARS.fd"),
             ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"), ("edk2-x86_64-code.fd", "edk2-i386-vars.fd")),
    "uefi32": (("OVMF32_CODE_4M.secboot.fd", "OVMF32_VARS_4M.fd"),
               ("OVMF32_CODE_4M.fd", "OVMF32_VARS_4M.fd"),
               ("edk2-i386-code.fd", "edk2-i386-vars.fd")),
}
FIRMWARE_PACKAGES = {"uefi": "ovmf", "uefi32": "ovmf-ia32"}


def merge_monitor(options: str, commands: List[str]) -> str:
    """Puts monitor commands in front of those the user gave by /MONITOR."""
    match = re.search(r'/MONITOR=(?:"([^"]*)"|(\S+))', options, re.I)
    if match:
        commands = commands + [match.group(1) or match.group(2)]
        options = options[:match.start()] + options[match.end():]
    if commands:
        options = '/MONITOR="%s" %s' % ("; ".join(commands), options)
    return options.strip()


def watching_options(plan: RunPlan) -> List[str]:
    """What the kernel is told about whose allocations to watch or to fail."""
    given = (("VERIFIER", plan.verifier and "%#x" % plan.verifier),
             ("SPECIALPOOL", plan.special_pool), ("POOLGUARD", plan.pool_guard),
             ("FAULTS", plan.faults), ("FAILALLOCATION", plan.fail_allocation))
    return ["/%s=%s" % pair for pair in given if pair[1]]


def kernel_options(plan: RunPlan) -> str:
    """The kernel's command line."""
    words = ["/RUN", "/EXITPORT=%#x" % EXIT_PORT] if plan.batch else []
    if plan.run_for is not None:
        words.append("/RUNFOR=%d" % math.ceil(plan.run_for))
    if plan.imports == "trap":
        words.append("/IMPORTS=TRAP")
    words += watching_options(plan)
    if plan.kgdb is not None:
        words += ["/DEBUG", "/DEBUGPORT=COM2", "/BREAK"]
    options = plan.options
    if plan.interactive:
        options = merge_monitor(options, ["run " + safe_name(driver) for driver in plan.drivers])
    return " ".join(words + [options]).strip()


def host_has_kvm() -> bool:
    """Whether KVM works here: a device node alone does not say so."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\b(vmx|svm)\b", flags, re.M) is not None


def accelerator(plan: RunPlan) -> str:
    """kvm or tcg."""
    if plan.accel == "kvm" and not host_has_kvm():
        raise ToolError("--accel kvm: this host offers no KVM; --accel tcg works everywhere")
    if plan.accel == "auto":
        return "kvm" if host_has_kvm() else "tcg"
    return plan.accel


def accelerator_argument(plan: RunPlan) -> str:
    """With several processors, each emulated one gets a thread of the host's. Counting instructions
    (-icount) needs them in one."""
    several = plan.smp > 1 and "-icount" not in plan.qemu_arguments
    name = accelerator(plan)
    return name + ",thread=multi" if name == "tcg" and several else name


def qemu_binary(plan: RunPlan) -> str:
    """The emulator: i386 kernels get a processor without long mode unless the firmware needs it, or
    RAM lies above 4 GiB: qemu-system-i386 cuts the addresses of page tables to 32 bits."""
    wide = (plan.arch == "amd64" or plan.boot in ("uefi", "usb-uefi") or
            memory_bytes(plan.memory) > 3 << 30)
    name = "qemu-system-x86_64" if wide else "qemu-system-i386"
    if not shutil.which(name):
        raise ToolError("%s is not installed: run tools/setup" % name)
    return name


def firmware_pair(boot: str) -> tuple:
    """Paths of UEFI's code and of a fresh variable store."""
    for folder in map(Path, FIRMWARE_FOLDERS):
        for code, variables in FIRMWARE[boot]:
            if (folder / code).is_file() and (folder / variables).is_file():
                return folder / code, folder / variables
    raise ToolError("no firmware for --boot %s: install %s" % (boot, FIRMWARE_PACKAGES[boot]))


def firmware_arguments(boot: str, folder: Path) -> List[str]:
    """Machine and flash for UEFI; the variable store is a copy that this run may write."""
    code, variables = firmware_pair(boot)
    shutil.copyfile(variables, folder / "vars.fd")
    machine = ["-machine", "q35"]
    if "secboot" in code.name:
        machine = ["-machine", "q35,smm=on",
                   "-global", "driver=cfi.pflash01,property=secure,value=on"]
    return machine + ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=%s" % code,
                      "-drive", "if=pflash,format=raw,unit=1,file=%s" % (folder / "vars.fd")]


def stage(plan: RunPlan, folder: Path) -> List[Path]:
    """Links the drivers into the run's own folder, under names that every loader can carry."""
    staged = []
    for driver in plan.drivers:
        link = folder / safe_name(driver)
        link.symlink_to(driver.absolute())
        staged.append(link)
    if plan.pooltag:
        link = folder / "pooltag.txt"
        link.symlink_to(plan.pooltag.absolute())
        staged.append(link)
    return staged


def escape(path: Path) -> str:
    """A path within one of QEMU's comma-separated lists."""
    return str(path).replace(",", ",,")


def boot_arguments(plan: RunPlan, folder: Path) -> List[str]:
    """How the machine starts: the kernel directly, or a medium built for this run."""
    options = kernel_options(plan)
    drivers = stage(plan, folder)
    if plan.boot == "kernel":
        kernel = folder / "lookaside.boot"
        kernel.symlink_to(plan.kernel.with_suffix(".boot").absolute())
        modules = ["-initrd", ",".join(map(escape, drivers))] if drivers else []
        return ["-machine", "pc", "-kernel", str(kernel), "-append", options] + modules
    image = folder / "boot.iso"
    files = {"boot/lookaside.elf": plan.kernel}
    files.update(("drivers/" + driver.name, driver) for driver in drivers)
    media.write_iso(image, files, media.run_grub_cfg(options, [driver.name for driver in drivers]))
    firmware = {"uefi": "uefi", "usb-uefi": "uefi", "uefi32": "uefi32"}.get(plan.boot)
    start = firmware_arguments(firmware, folder) if firmware else ["-machine", "pc"]
    if plan.boot.startswith("usb"):
        return start + ["-drive", "if=none,id=stick,format=raw,file=%s" % escape(image),
                        "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0"]
    return start + ["-drive", "media=cdrom,format=raw,readonly=on,file=%s" % escape(image)]


def memory_arguments(size: str) -> List[str]:
    """RAM; a machine larger than the host gets it without reservation, since little is touched."""
    count = memory_bytes(size)
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count < host // 2:
        return ["-m", size]
    return ["-m", "%dM" % (count >> 20), "-machine", "memory-backend=ram",
            "-object", "memory-backend-ram,id=ram,size=%d,reserve=off" % count]


def console_arguments(plan: RunPlan) -> List[str]:
    """COM1: this terminal, with QEMU's keys, when interactive; else a stream that only we read."""
    if not plan.interactive:
        return ["-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"]
    log = ",logfile=%s" % escape(plan.log.absolute()) if plan.log else ""
    return ["-chardev", "stdio,id=com1,mux=on,signal=off" + log, "-serial", "chardev:com1",
            "-mon", "chardev=com1"]


def listen_on(place: str) -> str:
    """Options of a QEMU socket that waits for gdb there."""
    if place.startswith(":"):
        where = "host=127.0.0.1,port=%s" % place[1:]
    else:
        where = "path=%s" % escape(Path(place))
    return "socket,%s,server=on,wait=off" % where


def debugger_arguments(plan: RunPlan) -> List[str]:
    """QEMU's gdb server, and the line to the kernel's own: COM2."""
    arguments = []
    if plan.gdb is not None:
        arguments += ["-S", "-chardev", listen_on(plan.gdb) + ",id=gdb", "-gdb", "chardev:gdb"]
    if plan.kgdb is not None:
        arguments += ["-chardev", listen_on(plan.kgdb) + ",id=kgdb", "-serial", "chardev:kgdb"]
    return arguments


def qemu_command(plan: RunPlan, folder: Path) -> List[str]:
    """The whole command line; files the run needs are put into `folder`."""
    command = [qemu_binary(plan), "-nodefaults", "-no-user-config", "-vga", "std", "-cpu", "max",
               "-accel", accelerator_argument(plan), "-smp", str(plan.smp)]
    command += boot_arguments(plan, folder) + memory_arguments(plan.memory)
    command += console_arguments(plan)
    command += ["-qmp", "unix:%s,server=on,wait=off" % escape(folder / "qmp")]
    if not plan.display:
        command += ["-display", "none"]
    if plan.batch:
        command += ["-no-reboot", "-device", "isa-debug-exit,iobase=%#x,iosize=4" % EXIT_PORT]
    for device in plan.devices:
        command += ["-device", device]
    command += debugger_arguments(plan)
    return command + plan.qemu_arguments


def guest_status(code: int) -> int:
    """The kernel's status from QEMU's exit code, -1 when the kernel did not end the run."""
    status = (code >> 1) - EXIT_BASE
    return status if code & 1 and 0 <= status <= 5 else -1
