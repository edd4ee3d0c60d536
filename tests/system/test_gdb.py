# SPDX-License-Identifier: MIT
"""Real gdb on a running kernel: everything that docs/DEBUGGING.md promises, asserted.

Two servers answer gdb: QEMU's, and the kernel's own on a serial line. What both can do is tested on
both. The driver tests/guest/debug/debuggee.c is what gdb looks at: it stops in Ready and does what
its variable Scenario says, then comes back. Sessions are kept from test to test; one that a test
left in an unknown state is thrown away.
"""
import re

import pytest
from conftest import PASSED, ROOT, driver
from debugger import Debugger

SERVERS = ("gdb", "kgdb")
SESSIONS = {}


@pytest.fixture(params=SERVERS)
def server(request) -> str:
    """QEMU's gdb server, and the kernel's own."""
    return request.param


def open_session(arch: str, server: str, **options) -> Debugger:
    """A machine that stands in Ready, and gdb on it."""
    debugger = Debugger(arch, server, [driver(arch, "debuggee", "debug")], **options)
    try:
        debugger.connect()
        if server == "gdb":
            debugger("thbreak KiSystemStartup")
            debugger.resume()
        debugger("break Ready")
        assert debugger.resume().function == "Ready", debugger.log()
    except BaseException:
        debugger.close()
        raise
    return debugger


@pytest.fixture
def at_ready(request, arch, server):
    """A session that stands in Ready, and will be left there."""
    yield from lend_session(request, arch, server)


@pytest.fixture
def kernel_at_ready(request, arch):
    """The same, by the kernel's own server only."""
    yield from lend_session(request, arch, "kgdb")


def lend_session(request, arch, server):
    """Takes a session from the shelf; puts it back if the test passed and came back to Ready."""
    debugger = SESSIONS.pop((arch, server), None)
    if not debugger:
        debugger = open_session(arch, server)
    elif server == "kgdb":
        debugger.qemu("cont")
    yield debugger
    if request.node.stash.get(PASSED, False) and debugger.stopped_in == "Ready":
        debugger("delete")
        debugger("break Ready")
        if server == "kgdb":
            debugger.qemu("stop")  # the kernel's server listens without a pause
        SESSIONS[arch, server] = debugger
    else:
        debugger.close()


@pytest.fixture(scope="module", autouse=True)
def clear_shelf():
    """Ends the machines when the last test is done."""
    yield
    while SESSIONS:
        SESSIONS.popitem()[1].close()


def run(debugger: Debugger, scenario: str, *settings: str):
    """Has the driver do a scenario, until the first stop."""
    start(debugger, scenario, *settings)
    return debugger.wait()


def start(debugger: Debugger, scenario: str, *settings: str) -> None:
    """Has the driver begin a scenario."""
    for setting in ("Scenario = Scenario" + scenario, *settings):
        debugger("set var " + setting)
    debugger.go()


def back(debugger: Debugger) -> None:
    """Lets the scenario end."""
    debugger("set var Go = 1")
    assert debugger.resume().function == "Ready", debugger.log()


# ---- where it is ---------------------------------------------------------------------------------
def test_break_stops_at_the_first_instruction_of_the_kernel(arch):
    debugger = Debugger(arch, "kgdb")
    try:
        debugger.connect()
        assert debugger.value("$pc") == debugger.value("&KiSystemStartup")
    finally:
        debugger.close()


def test_the_stack_of_a_driver_reads_down_to_the_threads_first_frame(at_ready):
    stack = at_ready("backtrace")
    for function in ("Ready", "DriverEntry", "LdrLoadDriver", "KiSystemThread", "KiThreadEntry"):
        assert function in stack, stack
    assert "debuggee.c" in stack, stack


def test_the_stack_reads_through_an_interrupt_into_what_it_interrupted(at_ready):
    at_ready("tbreak KiClockInterrupt")
    assert run(at_ready, "Idle").function == "KiClockInterrupt"
    stack = at_ready("backtrace")
    assert stack.index("KiInterrupt") < stack.index("DriverEntry") < stack.index("KiThreadEntry")
    back_or_spin(at_ready)


def test_a_drivers_symbols_are_there_by_themselves(at_ready):
    assert "debuggee.c" in at_ready("info line Ready")
    assert "ScenarioIdle" in at_ready("ptype SCENARIO")
    assert at_ready.value("Constant") == 0x12345678


def test_the_server_lists_the_drivers(kernel_at_ready):
    assert "debuggee.sys" in kernel_at_ready("info sharedlibrary")


def test_symbols_go_with_the_driver(arch, server):
    debugger = open_session(arch, server)
    try:
        debugger("break KdEndRun")
        assert debugger.resume().function == "KdEndRun"
        debugger("info line Ready", fails=True)
    finally:
        debugger.close()


# ---- registers -----------------------------------------------------------------------------------
GENERAL = {"amd64": "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip",
           "i386": "eax ebx ecx edx esi edi ebp esp eip"}
OTHERS = "eflags cs ss ds es fs gs cr0 cr2 cr3 cr4 efer mxcsr fs_base gs_base"
DEBUG = "dr0 dr1 dr2 dr3 dr6 dr7"


def test_every_kind_of_register_can_be_read(at_ready, arch, server):
    names = GENERAL[arch].split() + OTHERS.split()
    names += DEBUG.split() if server == "kgdb" else []
    for name in names + (["cr8"] if arch == "amd64" else []):
        at_ready.value("$" + name)
    for i in range(16 if arch == "amd64" else 8):
        at_ready("p $xmm%d.v4_int32" % i)
    assert at_ready.value("$pc") == at_ready.value("&Ready")
    assert at_ready.value("$cr0") & 0x80010001 == 0x80010001
    base = at_ready.value("$gs_base" if arch == "amd64" else "$fs_base")
    assert at_ready.value("*(PVOID *)%#x" % (base + 0x20)) == at_ready.value("KiProcessorBlock[0]")


def test_registers_that_gdb_changes_are_what_the_code_goes_on_with(at_ready):
    at_ready("break RegistersLoaded")
    run(at_ready, "Registers")
    assert at_ready.value("$ebx & 0xffffffff") == 0x55555555
    for name in ("xmm3", "xmm7"):
        assert at_ready.value("$%s.v4_int32[3]" % name) == 0x44444444
    at_ready("set var $ebx = 0x66666666")
    at_ready("set var $xmm3.v4_int32[0] = 0x777")
    at_ready("set var $xmm7.v4_int32[1] = 0x888")
    assert at_ready.resume().function == "Ready"
    assert at_ready.value("RegisterBx") == 0x66666666
    assert at_ready.value("RegistersLow[0]") == 0x777
    assert at_ready.value("RegistersHigh[1]") == 0x888
    assert at_ready.value("RegistersHigh[2]") == 0x33333333


def test_registers_of_the_processor_itself_can_be_written(at_ready, arch, server):
    """Those that hold still while the machine stands: what is written is what is read."""
    words = ["cr2"] + (["fs_base", "k_gs_base", "cr8"] if arch == "amd64" else [])
    words += ["dr0", "dr3"] if server == "kgdb" else []
    for name in words:
        before = at_ready.value("$" + name)
        at_ready("set var $%s = 13" % name)
        assert at_ready.value("$" + name) == 13, name
        at_ready("set var $%s = %#x" % (name, before))
        assert at_ready.value("$" + name) == before, name
    for name in ("ds", "es", "fs", "gs") if server == "kgdb" else ():
        before, base = at_ready.value("$" + name), at_ready.value("$gs_base")
        other = at_ready.value("$ss")
        at_ready("set var $%s = %d" % (name, other))
        assert at_ready.value("$" + name) == other
        if arch == "amd64":
            assert at_ready.attempt("set var $%s = 0x7ff8" % name)[0]   # names no segment
            assert at_ready.value("$gs_base") == base
        at_ready("set var $%s = %d" % (name, before))
    for name in ("cr0", "cr3", "cr4", "efer"):     # what they hold is what they can hold
        before = at_ready.value("$" + name)
        at_ready("set var $%s = $%s" % (name, name))
        assert at_ready.value("$" + name) == before, name


# ---- memory --------------------------------------------------------------------------------------
def test_memory_that_is_not_there_is_an_answer_and_no_fault(at_ready):
    for address in ("0", "0x10", "-1", "0x7ffffff0"):
        assert "Cannot access" in at_ready("x/4bx %s" % address, fails=True)
    assert at_ready.value("Target") == 0x600DF00D


def test_read_only_memory_can_be_written(at_ready):
    for place in ("Constant", "*(ULONG *)&Add", "*(ULONG *)&KeBugCheckEx"):
        before = at_ready.value(place)
        at_ready("set var %s = 0x11223344" % place)
        assert at_ready.value(place) == 0x11223344
        at_ready("set var %s = %#x" % (place, before))
        assert at_ready.value(place) == before


def test_large_pieces_of_memory_arrive_as_they_are(at_ready):
    """Many packets each way; every byte value, those that need an escape among them."""
    written, seen = at_ready.folder / "written", at_ready.folder / "read"
    data = bytes(range(256)) * 64 + bytes(5000) + b"}$#*" * 333
    written.write_bytes(data)
    size = at_ready.value("sizeof(Large)")
    assert len(data) <= size
    at_ready("restore %s binary &Large" % written)
    place = at_ready.value("&Large")
    at_ready("dump binary memory %s %#x %#x" % (seen, place, place + len(data)))
    assert seen.read_bytes() == data


# ---- breakpoints ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["break", "hbreak", "tbreak", "thbreak"])
def test_breakpoints(at_ready, kind):
    at_ready(kind + " Add if Right == 50")
    stop = run(at_ready, "Count", "Counter = 0")
    assert stop.function == "Add", stop
    assert at_ready.value("Counter") == sum(range(50))
    at_ready("delete")
    at_ready("break Ready")
    assert at_ready.resume().function == "Ready"
    assert at_ready.value("Counter") == sum(range(100))


def test_a_hundred_hits_of_one_breakpoint(kernel_at_ready):
    kernel_at_ready("break Add")
    kernel_at_ready("ignore $bpnum 99")
    assert run(kernel_at_ready, "Count", "Counter = 0").function == "Add"
    assert kernel_at_ready.value("Counter") == sum(range(99))
    assert kernel_at_ready.resume().function == "Ready"


def test_gdb_never_sees_its_own_breakpoints(kernel_at_ready):
    before = kernel_at_ready("x/8bx &Add")
    kernel_at_ready("break *Add")
    kernel_at_ready("set breakpoint always-inserted on")
    assert kernel_at_ready("x/8bx &Add") == before
    kernel_at_ready("set breakpoint always-inserted off")


def test_the_fifth_hardware_breakpoint_is_refused_with_a_word(kernel_at_ready):
    for offset in range(5):
        kernel_at_ready("hbreak *((char *)Add+%d)" % offset)
    assert "hardware breakpoint" in kernel_at_ready.refused("continue")
    kernel_at_ready.stopped_in = "Ready"


def test_dbgbreakpoint_stops_in_gdb(kernel_at_ready):
    stop = run(kernel_at_ready, "Break")
    assert (stop.signal, stop.function) == ("SIGTRAP", "DbgBreakPoint"), stop
    assert "debuggee.c" in kernel_at_ready("backtrace 3")
    assert kernel_at_ready.resume().function == "Ready"


# ---- watchpoints ---------------------------------------------------------------------------------
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 16)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_watchpoint_of_any_length_sees_every_write_inside_and_none_beside(at_ready, arch, length):
    # Four registers: 4 x 4 or 4 x 8 bytes, fewer at odd addresses.
    offset = 16 if length in (8, 16) else 17
    if arch == "i386" and length == 11:
        offset = 20
    at_ready("watch *(unsigned char (*)[%d])&Area[%d]" % (length, offset))
    stop = run(at_ready, "Access", "Offset = %d" % offset, "Length = %d" % length, "Reads = 0")
    assert stop.reason == "watchpoint-trigger", stop
    assert stop.function in ("AccessOne", "AccessInside"), stop
    assert at_ready.value("Inside") == 1
    assert at_ready.resume().function == "Ready"


@pytest.mark.parametrize("length", (1, 2, 4))
def test_an_access_watchpoint_sees_a_read(at_ready, length):
    at_ready("awatch *(unsigned char (*)[%d])&Area[20]" % length)
    stop = run(at_ready, "Access", "Offset = 20", "Length = %d" % length, "Reads = 1")
    assert stop.reason == "access-watchpoint-trigger", stop
    assert at_ready.value("Inside") == 1
    assert at_ready.resume().function == "Ready"


def test_a_watchpoint_that_needs_more_registers_than_there_are_is_refused(kernel_at_ready):
    kernel_at_ready("watch *(unsigned char (*)[40])&Area[1]")
    assert "watchpoint" in kernel_at_ready.refused("continue")
    kernel_at_ready.stopped_in = "Ready"


# ---- stepping ------------------------------------------------------------------------------------
def test_single_steps_stay_in_the_code_that_is_stepped(at_ready):
    """Whatever interrupts are due meanwhile: the clock alone ticks 64 times a second."""
    at_ready("tbreak Count")
    assert run(at_ready, "Count", "Counter = 0").function == "Count"
    assert set(at_ready.steps(80)) == {"Count", "Add"}
    assert at_ready.resume().function == "Ready"
    assert at_ready.value("Counter") == sum(range(100))


def test_next_finish_until_and_advance(at_ready):
    at_ready("tbreak Add")
    run(at_ready, "Count", "Counter = 0")
    assert at_ready.resume("finish").function == "Count"
    for _ in range(6):
        assert at_ready.resume("next").function == "Count"
    assert at_ready.resume("advance Add").function == "Add"
    at_ready("delete")
    at_ready("break Ready")
    assert at_ready.resume().function == "Ready"
    assert at_ready.value("Counter") == sum(range(100))


def test_a_stepped_instruction_never_sees_that_it_is_stepped(kernel_at_ready):
    """pushf, cli, sti, popf: the flags are the code's own."""
    kernel_at_ready("tbreak Flags")
    run(kernel_at_ready, "Flags")
    interrupts = []
    while True:
        stop = kernel_at_ready.resume("stepi")
        if stop.function != "Flags":
            break
        interrupts.append(kernel_at_ready.value("$eflags") >> 9 & 1)
    assert kernel_at_ready.value("FlagsSeen") & 0x300 == 0x200
    assert 0 in interrupts and interrupts[-1] == 1, interrupts
    assert kernel_at_ready.resume().function == "Ready"


# ---- breaking in ---------------------------------------------------------------------------------
@pytest.mark.parametrize("scenario", ["Idle", "Dispatch", "HighLevel", "Masked"])
def test_ctrl_c_stops_the_machine_whatever_it_does(at_ready, scenario):
    at_ready("tbreak Spin")
    assert run(at_ready, scenario).function == "Spin"
    stack = ""
    while "Spin" not in stack:  # it may be at the entry of an interrupt, where no frame is yet
        at_ready.go()
        at_ready.interrupt()
        assert at_ready.wait().signal == "SIGINT"
        stack = at_ready("backtrace")
    back(at_ready)


def test_a_ctrl_c_that_crosses_a_stop_is_not_lost(kernel_at_ready):
    """gdb steps off the breakpoint in Ready first; the Ctrl-C comes somewhere on that way."""
    for _ in range(5):
        start(kernel_at_ready, "Idle")
        kernel_at_ready.interrupt()
        assert kernel_at_ready.wait().signal == "SIGINT"
        back_or_spin(kernel_at_ready)


def back_or_spin(debugger: Debugger) -> None:
    """The Ctrl-C may have come before the scenario began: then it runs into Spin first."""
    if "Spin" not in debugger("backtrace"):
        debugger("tbreak Spin")
        while debugger.resume().function != "Spin":
            assert debugger.stopped_in == "Ready", debugger.log()
    back(debugger)


def test_the_nmi_button_stops_the_machine(kernel_at_ready):
    kernel_at_ready("tbreak Spin")
    run(kernel_at_ready, "Masked")
    kernel_at_ready.go()
    while not kernel_at_ready.has_stopped():  # one that comes before the machine runs is nothing
        kernel_at_ready.qemu("nmi")
    stop = kernel_at_ready.wait()
    assert stop.signal == "SIGINT", stop
    assert "NMI" in stop.text
    back(kernel_at_ready)


# ---- threads and processors ----------------------------------------------------------------------
def test_kernel_threads_are_listed_with_their_stacks(kernel_at_ready):
    kernel_at_ready("tbreak KeDelayExecutionThread if Scenario == ScenarioThread")
    assert run(kernel_at_ready, "Thread").function == "KeDelayExecutionThread"
    kernel_at_ready("tbreak KeDelayExecutionThread if Scenario == ScenarioThread")
    assert kernel_at_ready.resume().function == "KeDelayExecutionThread"  # Sleeper has run
    listed = kernel_at_ready("info threads")
    assert "processor 0" in listed and "Sleeper" in listed, listed
    number = next(line.split()[0] for line in listed.splitlines() if "Sleeper" in line)
    kernel_at_ready("thread " + number)
    stack = kernel_at_ready("backtrace")
    assert "KeWaitForSingleObject" in stack and "in Sleeper" in stack, stack
    kernel_at_ready("thread 1")
    back(kernel_at_ready)


def test_all_processors_are_threads_and_only_one_steps(arch):
    debugger = open_session(arch, "kgdb", more=["--smp", "3"])
    try:
        debugger("tbreak Count")
        assert run(debugger, "Count", "Counter = 0").function == "Count"
        listed = debugger("info threads")
        lines = [next(line for line in listed.splitlines() if "processor %d" % number in line)
                 for number in range(3)]
        others = [number for number in range(3) if not lines[number].startswith("*")]
        assert len(others) == 2, listed
        ticks = ["KiProcessorBlock[%d]->ClockTicks" % number for number in others]
        before = [debugger.value(tick) for tick in ticks]
        assert set(debugger.steps(20)) == {"Count", "Add"}
        assert [debugger.value(tick) for tick in ticks] == before
        here = debugger.value("$_thread")
        for number in others:
            debugger("thread " + lines[number].split()[0])
            # Where an interrupt has no frame yet, its stack is not seen.
            assert re.search("KeIdleLoop|KiInterruptEntry", debugger("backtrace"))
        step_elsewhere(debugger, lines, others, here)
        assert debugger.resume().function == "Ready"
        assert debugger.value("Counter") == sum(range(100))
    finally:
        debugger.close()


def again(debugger: Debugger, register: str) -> int:
    """A register as the server says it is now, not as gdb remembers it."""
    debugger("maintenance flush register-cache")
    return debugger.value("$" + register)


def test_registers_of_a_processor_that_did_not_stop_are_its_own(arch):
    """Read and written where it stands, and what it goes on with; what would hurt it is refused."""
    debugger = open_session(arch, "kgdb", more=["--smp", "2"])
    try:
        debugger("break RegistersLoaded")
        run(debugger, "Registers")
        here = debugger.value("$_thread")
        other, number = 3 - here, 2 - here
        before = debugger.value("$cr2")
        debugger("thread %d" % other)
        base = "$gs_base" if arch == "amd64" else "$fs_base"
        assert debugger.value("*(PVOID *)(%s + 0x20)" % base) == debugger.value(
            "KiProcessorBlock[%d]" % number)
        for name in ["cr2"] + (["fs_base", "k_gs_base"] if arch == "amd64" else []):
            old = debugger.value("$" + name)
            debugger("set var $%s = 0x1357" % name)
            assert again(debugger, name) == 0x1357, name
            debugger("set var $%s = %#x" % (name, old))
            assert again(debugger, name) == old, name
        old, word = debugger.value("$cr4"), "(%s)" % ("ULONG64" if arch == "amd64" else "ULONG")
        debugger("set var $cr4 = %s%#x" % (word, old ^ 4))     # TSD
        assert again(debugger, "cr4") == old ^ 4
        debugger("set var $cr4 = %s%#x" % (word, old))
        for register, value in [("cr0", 0), ("cr4", 0), ("cr4", 0xFFFFFFFF)] + (
                [("gs_base", 1 << 63)] if arch == "amd64" else []):
            failed, text = debugger.attempt("set var $%s = %s%#x" % (register, word, value))
            assert failed and "Could not write register" in text, (register, value, text)
        debugger.resume("stepi")                # now this one is that which stopped
        assert debugger.value("$_thread") == other
        debugger("thread %d" % here)
        assert debugger.value("$cr2") == before
        assert debugger.value("$xmm7.v4_int32[3]") == 0x44444444
        for name in ("xmm3", "xmm7"):
            debugger("set var $%s.v4_int32[1] = 0x888" % name)
        debugger("set var $ebx = 0x66666666")
        again(debugger, "pc")
        assert debugger.value("$xmm7.v4_int32[1]") == 0x888
        assert debugger.resume().function == "Ready"
        assert debugger.value("RegistersLow[1]") == 0x888
        assert debugger.value("RegistersHigh[1]") == 0x888
        assert debugger.value("RegistersHigh[2]") == 0x33333333
        assert debugger.value("RegisterBx") == 0x66666666
    finally:
        debugger.close()


def step_elsewhere(debugger: Debugger, lines, others, here: int) -> None:
    """Another processor steps alone too; a thread that is on none says that it cannot."""
    debugger("thread %d" % here)
    mine, ticks = debugger.value("$pc"), "KiProcessorBlock[%d]->ClockTicks" % others[1]
    before = debugger.value(ticks), debugger.value("Counter")
    for number in others:
        debugger("thread " + lines[number].split()[0])
        thread = debugger.value("$_thread")
        places = [debugger.value("$pc")]
        for _ in range(4):
            debugger.resume("stepi")
            assert debugger.value("$_thread") == thread
            places.append(debugger.value("$pc"))
        assert len(set(places)) > 2, places
    waiting = next(line for line in debugger("info threads").splitlines() if "threaded DPC" in line)
    debugger("thread " + waiting.split()[0])
    stop = debugger.resume("stepi")
    assert "on no processor" in stop.text and stop.signal == "SIGINT", stop
    debugger("thread %d" % here)
    assert debugger.value("$pc") == mine
    assert (debugger.value(ticks), debugger.value("Counter")) == before
    assert set(debugger.steps(3)) <= {"Count", "Add"}


def test_ctrl_c_while_another_processor_spins_at_high_level(arch):
    debugger = open_session(arch, "kgdb", more=["--smp", "2"])
    try:
        debugger("tbreak Spin")
        assert run(debugger, "HighLevel").function == "Spin"
        spinning = 0
        while not spinning:     # it may be at the entry of an interrupt, where no frame is yet
            debugger.go()
            debugger.interrupt()
            debugger.wait()
            for number in (1, 2):
                debugger("thread %d" % number)
                if "Spin" in debugger("backtrace 4") and "HIGH_LEVEL" in debugger("info threads"):
                    spinning = number
        debugger("thread %d" % spinning)
        assert set(debugger.steps(10)) <= {"Spin", "_mm_pause"}
        back(debugger)
    finally:
        debugger.close()


# ---- exceptions and bugchecks --------------------------------------------------------------------
def test_a_first_chance_exception_can_be_mended_and_tried_again(kernel_at_ready, arch):
    stop = run(kernel_at_ready, "Fault", "Pointer = 0")
    assert (stop.signal, stop.function) == ("SIGSEGV", "Fault"), stop
    assert "first chance of STATUS_ACCESS_VIOLATION" in stop.text, stop.text
    kernel_at_ready("set var $%s = &Target" % ("rcx" if arch == "amd64" else "ecx"))
    assert kernel_at_ready.resume("signal 0").function == "Ready"
    assert kernel_at_ready.value("Got") == 0x600DF00D


def test_a_first_chance_exception_reaches_the_drivers_handler(arch):
    """gdb hears of it first; passed on, the handler gets it; not passed on, it comes again."""
    debugger = Debugger(arch, "kgdb", [driver(arch, "seh", "tests")])
    try:
        debugger.connect()
        first = debugger.resume()
        assert first.signal == "SIGSEGV" and "first chance" in first.text, first
        place = debugger.value("$pc")
        debugger("handle SIGSEGV nopass")
        for _ in range(2):
            assert debugger.resume().signal == "SIGSEGV"
            assert debugger.value("$pc") == place
        debugger("handle SIGSEGV pass")
        assert debugger.resume().signal.startswith("SIG")   # the next one
        assert debugger.value("$pc") != place
        debugger("handle SIGSEGV SIGFPE SIGILL SIGTRAP SIGABRT nostop noprint pass")
        assert debugger.resume().reason == "exited", debugger.log()
        assert debugger.ended() == 0 and "not ok" not in debugger.log(), debugger.log()
    finally:
        debugger.close()


def test_an_exception_that_is_passed_on_takes_its_course(arch):
    debugger = open_session(arch, "kgdb")
    try:
        assert run(debugger, "Fault", "Pointer = 0").signal == "SIGSEGV"
        stop = debugger.resume()
        assert "STOP: 0x0000001E" in stop.text, stop.text
        assert debugger.resume().reason == "exited"
        assert debugger.ended() == 3
        assert "KMODE_EXCEPTION_NOT_HANDLED" in debugger.log()
    finally:
        debugger.close()


def test_a_bugcheck_stops_before_the_machine_is_lost(arch):
    debugger = open_session(arch, "kgdb")
    try:
        stop = run(debugger, "Stop")
        assert "STOP: 0x000000E2" in stop.text, stop.text
        assert "MANUALLY_INITIATED_CRASH" in stop.text
        told = debugger("nt analyze")
        assert "debuggee.sys" in told and "debuggee.c" in told, told
        assert debugger.resume().reason == "exited"
        assert debugger.ended() == 3
    finally:
        debugger.close()


# ---- what the monitor knows ----------------------------------------------------------------------
def test_monitor_runs_the_kernels_commands(kernel_at_ready):
    assert "whatis" in kernel_at_ready("monitor help")
    assert "debuggee.sys" in kernel_at_ready("monitor whatis %#x" % kernel_at_ready.value("&Ready"))
    assert "no command" in kernel_at_ready("monitor nonsense")


def test_every_command_of_the_monitor_leaves_the_session_as_it_was(kernel_at_ready):
    """Without arguments, with bad ones, and with an address that leads nowhere."""
    listed = kernel_at_ready("monitor help")
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert len(names) > 20, listed
    for name in names:
        if name.strip(":") in ("crash", "reboot", "exit", "q", "quit", "off", "poweroff", "run"):
            continue
        for argument in ("", " nonsense", " 0x10"):
            kernel_at_ready("monitor " + name + argument)
        assert kernel_at_ready.value("Constant") == 0x12345678, name
    start(kernel_at_ready, "Count", "Counter = 0")
    assert kernel_at_ready.wait().function == "Ready"


def test_a_command_that_changes_the_system_waits_until_it_runs(kernel_at_ready):
    text = kernel_at_ready("monitor crash")
    assert "needs a running system" in text


def test_the_memory_map_says_what_can_be_addressed(kernel_at_ready):
    assert "rw" in kernel_at_ready("info mem")


# ---- the extension ------------------------------------------------------------------------------
def test_every_command_of_the_extension_has_help(at_ready):
    listed = at_ready("help nt")
    for name in ("pte", "pfn", "pool", "poolused", "lookaside", "vm", "irql", "threads", "locks",
                 "drivers", "timers", "dpcs", "whatis", "analyze"):
        assert "nt %s --" % name in listed, listed
        assert "nt " + name in at_ready("help nt " + name)


def test_the_extension_knows_memory(at_ready):
    start_block(at_ready)
    block = at_ready.value("Block")
    text = at_ready("nt pool Block")
    assert "* " in text and "'Dbug'" in text and "debuggee.c" not in text.split("*")[0], text
    told = at_ready("nt whatis (char *)Block + 10")
    assert "Dbug" in told and "physical" in told and "%#x" % block in told, told
    assert "Dbug" in at_ready("nt poolused Dbug")
    entries = at_ready("nt pte Block")
    assert "level 1" in entries and "physical" in entries, entries
    frame = int(entries.split("physical ")[1].split()[0], 16) >> 12
    assert "active" in at_ready("nt pfn %d" % frame).lower()
    assert "not mapped" in at_ready("nt pte 0x1000")
    assert "pages" in at_ready("nt vm")
    assert "debuggee.sys" in at_ready("nt whatis Ready")
    back(at_ready)


COMMANDS = ("pte", "pfn", "pool", "poolused", "lookaside", "vm", "irql", "threads", "locks",
            "drivers", "timers", "dpcs", "whatis", "analyze")


def sweep(debugger: Debugger) -> None:
    """Every command, with arguments that make sense and with others: an answer or one sentence."""
    for name in COMMANDS:
        for argument in ("", "$sp", "0x10", "nonsense", "$nothing"):
            failed, text = debugger.attempt("nt %s %s" % (name, argument))
            assert "Python" not in text and "Traceback" not in text, (name, argument, text)
            assert text and (not failed or text.count("\n") < 2), (name, argument, text)


def test_the_extension_has_a_sentence_for_whatever_it_is_asked_and_whenever(arch, server):
    """Before the kernel is there, before it has begun, while it runs, and after a bugcheck."""
    debugger = Debugger(arch, server, [driver(arch, "debuggee", "debug")])
    try:
        assert "no machine" in debugger("nt vm", fails=True)
        debugger.connect()
        if server == "gdb":
            assert "not there yet" in debugger("nt vm", fails=True)
            debugger("thbreak KiSystemStartup")
            debugger.resume()
        sweep(debugger)
        debugger("break Ready")
        debugger.resume()
        sweep(debugger)
        if server == "gdb":
            debugger("hbreak KiStop")
        run(debugger, "Stop")
        sweep(debugger)
        told = debugger("nt analyze")
        assert "MANUALLY_INITIATED_CRASH" in told and "debuggee.c" in told, told
    finally:
        debugger.close()


def start_block(debugger: Debugger) -> None:
    """A pool block of the driver's, held until Go."""
    debugger("tbreak Spin")
    assert run(debugger, "Block").function == "Spin"


def test_the_extension_knows_processors_and_threads(at_ready):
    assert "IRQL 0 (PASSIVE_LEVEL)" in at_ready("nt irql")
    assert "processor 0" in at_ready("nt dpcs")
    assert "DpcRoutine" in at_ready("nt timers")
    threads = at_ready("nt threads")
    assert "running" in threads and "KiThreadEntry" in threads, threads
    assert "debuggee.sys" in at_ready("nt drivers")
    assert "no bugcheck" in at_ready("nt analyze")
    at_ready("nt locks")
    assert "tag" in at_ready("nt lookaside")


def test_held_spin_locks_are_named(at_ready):
    at_ready("tbreak KiCheckTimers")
    run(at_ready, "Idle")
    at_ready("set var KiDispatcherLock = 1")
    assert "KiDispatcherLock" in at_ready("nt locks")
    at_ready("set var KiDispatcherLock = 0")
    assert "KiDispatcherLock" not in at_ready("nt locks")
    back_or_spin(at_ready)


PRINTED = {
    "Name": r'L"\Driver\Debuggee" (32 of 34 bytes)', "Duration": "-10000000 (0xffffffffff676980)",
    "Status": "0xc000009a STATUS_INSUFFICIENT_RESOURCES", "Dpc": "DPC DpcRoutine",
    "Timer": "every 1000 ms", "SleeperEvent": "nobody waits", "LdrDriverList": "list of 1",
}


@pytest.mark.parametrize("variable", PRINTED)
def test_types_are_printed_as_what_they_mean(at_ready, variable):
    assert PRINTED[variable] in at_ready("print " + variable)


def test_a_page_table_entry_is_printed_in_words(at_ready):
    at_ready("set var $entry = (MMPTE *)0")
    place = at_ready("nt pte Ready").split("level 1")[1].split()[0]
    assert "page 0x" in at_ready("print *(MMPTE *)%s" % place)


# ---- coming and going ----------------------------------------------------------------------------
def test_gdb_leaves_and_comes_back(arch, server):
    debugger = open_session(arch, server)
    try:
        debugger("break Add")
        debugger("set var Scenario = ScenarioIdle")
        debugger("detach")
        debugger.close_gdb()
        debugger.start_gdb()
        debugger.connect()
        if server == "gdb":
            debugger("info line Spin")
        assert debugger("info breakpoints").startswith("No breakpoints")
        debugger("break Ready")
        back_or_spin(debugger)
        assert run(debugger, "Count", "Counter = 0").function == "Ready"
        assert debugger.value("Counter") == sum(range(100))
    finally:
        debugger.close()


def test_a_session_without_acknowledgements(arch):
    debugger = open_session(arch, "kgdb", gdb_options=["-iex", "set remote noack-packet on"])
    try:
        assert "enabled" in debugger("show remote noack-packet").lower()
        debugger("tbreak Add if Right == 7")
        assert run(debugger, "Count", "Counter = 0").function == "Add"
        assert set(debugger.steps(20)) <= {"Count", "Add"}
        assert debugger.resume().function == "Ready"
        debugger("set var Scenario = ScenarioIdle")
        debugger("detach")  # the next gdb begins with acknowledgements again
        debugger.close_gdb()
        debugger.start_gdb()
        debugger.connect()
        assert debugger.value("Constant") == 0x12345678
    finally:
        debugger.close()


def test_a_gdb_that_dies_can_be_followed_by_another(arch):
    debugger = open_session(arch, "kgdb")
    try:
        debugger("tbreak Spin")
        run(debugger, "Idle")
        debugger.go()
        for last_words in (b"$m1234", b"+$m%x,400#" % debugger.value("&Large"),
                           b"$vCont;c#a8", b"+$?#3f$?#3f$g#67"):
            debugger.close_gdb()
            debugger.mutter(last_words)
            debugger.start_gdb()
            debugger.connect()
            assert debugger.value("Constant") == 0x12345678
            debugger.go()
        stack = ""
        while "Spin" not in stack:  # it may be where an interrupt has no frame yet, or in a DPC
            if stack:
                debugger.go()
            debugger.interrupt()
            assert debugger.wait().signal == "SIGINT"
            stack = debugger("backtrace")
        debugger("break Ready")
        back(debugger)
    finally:
        debugger.close()


# ---- a bad line ----------------------------------------------------------------------------------
def step_once(debugger: Debugger) -> None:
    """A single step that must not be two."""
    here, following = debugger("x/2i $pc").splitlines()[:2]
    debugger.resume("stepi")
    if not re.search(r":\s+(j|call|ret)", here):
        assert debugger.value("$pc") == int(following.split()[0], 16), here


def test_a_line_that_loses_and_damages_bytes_costs_retransmissions_and_nothing_else(arch):
    """One byte in some thousand is dropped, doubled, or has a bit turned, either way."""
    sizes = ["-iex", "set remote memory-write-packet-size 256",
             "-iex", "set remote memory-write-packet-size fixed"]
    debugger = open_session(arch, "kgdb", noise="one", gdb_options=sizes)
    try:
        debugger("break Add if Right == 20")
        assert run(debugger, "Count", "Counter = 0").function == "Add"
        assert debugger.value("Counter") == sum(range(20))
        debugger("delete")
        for _ in range(12):
            step_once(debugger)
        data = bytes(range(256)) * 16
        written, seen = debugger.folder / "written", debugger.folder / "read"
        written.write_bytes(data)
        debugger("restore %s binary &Large" % written)
        place = debugger.value("&Large")
        debugger("dump binary memory %s %#x %#x" % (seen, place, place + len(data)))
        assert seen.read_bytes() == data
        debugger("set var $xmm3.v4_int32[0] = 0x777")
        assert debugger.value("$xmm3.v4_int32[0]") == 0x777
        debugger("break Ready")
        assert debugger.resume().function == "Ready"
        assert debugger.value("Counter") == sum(range(100))
        assert debugger.line.damaged() > 5
    finally:
        debugger.close()


# ---- checked kernels -----------------------------------------------------------------------------
def test_a_session_with_the_checked_kernel(arch):
    """Its asserts agree with what a debugger does. LOOKASIDE_GDB_FLAVOUR=checked runs all of these
    tests so."""
    debugger = open_session(arch, "kgdb", flavour="checked", more=["--smp", "2"])
    try:
        debugger("break Add if Right == 9")
        assert run(debugger, "Count", "Counter = 0").function == "Add"
        assert set(debugger.steps(20)) <= {"Count", "Add"}
        debugger("delete")
        debugger("break Ready")
        assert debugger.resume().function == "Ready"
        assert debugger.value("Counter") == sum(range(100))
        debugger("watch *(unsigned char (*)[4])&Area[20]")
        assert run(debugger, "Access", "Offset = 20", "Length = 4",
                   "Reads = 0").reason == "watchpoint-trigger"
        debugger("delete")
        debugger("break Ready")
        debugger.resume()
        debugger("tbreak Spin")
        assert run(debugger, "HighLevel").function == "Spin"
        debugger.go()
        debugger.interrupt()
        assert debugger.wait().signal == "SIGINT"
        back(debugger)
        assert run(debugger, "Fault", "Pointer = 0").signal == "SIGSEGV"
        debugger("set var $%s = &Target" % ("rcx" if arch == "amd64" else "ecx"))
        assert debugger.resume("signal 0").function == "Ready"
        for command in ("monitor !pool", "monitor !running", "nt vm", "nt irql", "nt threads"):
            assert debugger(command), command
        assert "STOP: 0x000000E2" in run(debugger, "Stop").text
        assert debugger.resume().reason == "exited"
        assert debugger.ended() == 3
    finally:
        debugger.close()


# ---- the document --------------------------------------------------------------------------------
def test_the_document_names_tests_that_there_are():
    written = (ROOT / "docs" / "DEBUGGING.md").read_text().partition("## What is tested")[2]
    named = re.findall(r"\| `(\w+)` \|$", written, re.M)
    sources = "".join((ROOT / "tests" / "system" / name).read_text()
                      for name in ("test_gdb.py", "test_replay.py"))
    assert len(named) > 30
    assert [name for name in named if "def test_%s(" % name not in sources] == []
