# SPDX-License-Identifier: MIT
"""The commands `nt ...`: the kernel's state, for people.

Each is a function that gets the argument's text and prints; its docstring is the command's help.
The first line of the help is what `help nt` lists.
"""
from typing import Callable, List

import gdb

from . import drivers, memory, paging, pool

COMMANDS: List[Callable] = []


def command(function: Callable) -> Callable:
    """Makes `nt name` of a function nt_name."""
    COMMANDS.append(function)
    return function


class Prefix(gdb.Command):
    """Lookaside's kernel: page tables, pools, drivers, DPCs, bugchecks ..."""

    def __init__(self):
        super().__init__("nt", gdb.COMMAND_DATA, prefix=True)


class Command(gdb.Command):
    """One of the commands."""

    def __init__(self, function: Callable):
        self.__doc__ = function.__doc__
        self.function = function
        self.usage = next(line.strip() for line in function.__doc__.splitlines()
                          if line.strip().startswith("nt "))
        super().__init__("nt " + function.__name__[3:], gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Runs it; what cannot be read is one line, not a traceback."""
        self.dont_repeat()
        if argument.strip() and " " not in self.usage[3:]:
            raise gdb.GdbError("usage: " + self.usage)
        try:
            check_machine()
            self.function(argument.strip())
        except gdb.error as error:
            raise gdb.GdbError(str(error)) from None


def check_machine() -> None:
    """Refuses to look at the kernel's file, or at a machine that has not loaded it yet."""
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError("there is no machine: target remote ...")
    try:
        memory.read(memory.parse("KiSystemStartup"), 1)
    except gdb.MemoryError:
        raise gdb.GdbError("the kernel is not there yet: thbreak KiSystemStartup, continue") \
            from None


def install() -> None:
    """Called when the extension is loaded."""
    Prefix()
    for function in COMMANDS:
        Command(function)


def needs(argument: str, usage: str) -> int:
    """The argument as an address, or an error that says what is wanted."""
    if not argument:
        raise gdb.GdbError("usage: nt " + usage)
    return memory.parse(argument)


# ---- memory -------------------------------------------------------------------------------------
@command
def nt_pte(argument: str) -> None:
    """The page table entries that map an address.

    nt pte ADDRESS

    From the top level down: level, where the entry is, its contents, its bits (write or read,
    user or kernel, executable, accessed, dirty, global, Large) and the page it names; then the
    physical address."""
    address = needs(argument, "pte ADDRESS")
    for entry in paging.walk(address):
        print("level %d  %#x  %016x  %s%s" % (entry.level, entry.place, entry.value, entry.words(),
                                              "  page %#x" % entry.frame if entry.valid else ""))
    found = paging.physical(address)
    print("not mapped" if found is None else "physical %#x" % found)


@command
def nt_pfn(argument: str) -> None:
    """What the PFN database knows of a physical page.

    nt pfn NUMBER"""
    number = needs(argument, "pfn NUMBER")
    print("page %#x, physical %#x: %s" % (number, number << 12, paging.frame_words(number)))
    try:
        print(paging.frame(number).format_string(max_depth=3))
    except gdb.MemoryError:
        pass


@command
def nt_vm(_argument: str) -> None:
    """Physical memory by state, and the ranges of the address space.

    nt vm"""
    states = memory.names("MI_PAGE_STATE")
    counts = {value: memory.number(memory.symbol("MiUntouched")[value]) for value in states
              if value < len(states) - 1}
    processors = memory.symbol("MiProcessors")
    for i in range(processors.type.range()[1] + 1):
        if memory.number(processors[i]):
            for value in counts:
                counts[value] += int(processors[i]["Count"][value])
    print("RAM %d pages, %d MiB" % (memory.number(memory.symbol("MiTotalPages")),
                                    memory.number(memory.symbol("MiTotalPages")) >> 8))
    for value, count in counts.items():
        if value:
            print("  %-8s %10d pages %12d KiB"
                  % (states[value].replace("MiPage", "").lower(), count, 4 * count))
    for name, variable in (("page tables", "MiTablePages"), ("PFN database", "MiPfnPages")):
        print("  %-14s %4d pages" % (name, memory.number(memory.symbol(variable))))
    print("address space:")
    for entry in sorted(paging.regions(), key=lambda entry: memory.number(entry["Base"])):
        base, size = memory.number(entry["Base"]), memory.number(entry["Size"])
        print("  %#018x - %#018x  %s" % (base, base + size - 1, memory.text(entry["Name"])))


@command
def nt_whatis(argument: str) -> None:
    """Everything that is known of an address.

    nt whatis ADDRESS

    The range of the address space, how it is mapped, its page's state, the pool block it is in,
    the driver and the symbol."""
    address = needs(argument, "whatis ADDRESS")
    found = paging.region_of(address)
    print("region  %s" % (memory.text(found["Name"]) if found is not None else "none"))
    where = paging.physical(address)
    if where is None:
        print("memory  not mapped")
    else:
        print("memory  physical %#x" % where)
        print("page    %#x, %s" % (where >> 12, paging.frame_words(where >> 12)))
    block = pool.block_of(address)
    if block:
        print_block("pool    ", block, address)
    for driver in drivers.loaded():
        base = memory.number(driver["Base"])
        if 0 <= address - base < memory.number(driver["Size"]):
            print("driver  %s+%#x" % (memory.text(driver["Name"]), address - base))
    name = memory.place(address)
    if not name.startswith("0x"):
        print("symbol  %s" % name)


# ---- pools --------------------------------------------------------------------------------------
def print_block(lead: str, block: pool.Block, address: int = -1) -> None:
    """One block of pool on a line."""
    inside = "  +%#x" % (address - block.address) if address > block.address else ""
    print("%s%#x  %s %#x of %#x bytes, '%s', %s pool%s%s" % (
        lead, block.address, "allocated" if block.allocated else "free", block.size, block.reserved,
        block.tag, block.pool,
        "" if not block.caller else "  %s %s" % ("by" if block.allocated else "freed by",
                                                 memory.place(block.caller)), inside))


@command
def nt_pool(argument: str) -> None:
    """The pool block at an address, and its neighbours in the page.

    nt pool ADDRESS"""
    address = needs(argument, "pool ADDRESS")
    blocks = list(pool.neighbours(address))
    if not blocks:
        raise gdb.GdbError("%#x is in no pool block" % address)
    for block in blocks:
        mine = block.address <= address < block.address + block.reserved
        if mine or block.caller:
            print_block("* " if mine else "  ", block)


@command
def nt_poolused(argument: str) -> None:
    """Pool in use by tag.

    nt poolused [TAG]

    Sorted by bytes; TAG may have ? for any character and * for any rest."""
    from fnmatch import fnmatchcase  # pylint: disable=import-outside-toplevel
    rows = [(size, tag, kind, allocs, frees)
            for (tag, kind), (allocs, frees, size) in pool.use_by_tag().items()
            if allocs and fnmatchcase(tag, argument or "*")]
    print("%-6s %-18s %12s %12s %10s %12s"
          % ("tag", "pool", "allocated", "freed", "in use", "bytes"))
    for size, tag, kind, allocs, frees in sorted(rows, reverse=True):
        print("%-6s %-18s %12d %12d %10d %12d" % (tag, kind, allocs, frees, allocs - frees, size))


@command
def nt_lookaside(_argument: str) -> None:
    """All lookaside lists, with how well they do.

    nt lookaside"""
    print("%-18s %-5s %6s %6s %9s %5s %9s %5s  %s" % (
        "list", "tag", "size", "depth", "allocs", "hit", "frees", "hit", "by"))
    lists = memory.symbol("ExpLookasideLists")
    for entry in memory.walk(lists, "GENERAL_LOOKASIDE_POOL", "ListEntry"):
        allocs, frees = int(entry["TotalAllocates"]), int(entry["TotalFrees"])
        owner = int.from_bytes(memory.read(memory.address_of(entry["Future"]),
                                           memory.pointer_size()), "little")
        print("%#018x %-5s %6d %6d %9d %4d%% %9d %4d%%  %s" % (
            memory.address_of(entry), memory.tag(int(entry["Tag"])), int(entry["Size"]),
            int(entry["Depth"]), allocs, percent(allocs, int(entry["AllocateMisses"])), frees,
            percent(frees, int(entry["FreeMisses"])), memory.place(owner)))


def percent(total: int, misses: int) -> int:
    """The share of calls that the list served itself."""
    return 100 * (total - misses) // total if total else 0


# ---- processors ---------------------------------------------------------------------------------
def processors():
    """Number and KPRCB of each processor."""
    blocks = memory.symbol("KiProcessorBlock")
    for i in range(blocks.type.range()[1] + 1):
        if memory.number(blocks[i]):
            yield i, blocks[i].dereference()


def irql_name(irql: int) -> str:
    """The kernel's own name of a level."""
    table = memory.symbol("KiIrqlNames")
    for i in range(table.type.range()[1] + 1):
        if int(table[i]["Irql"]) == irql:
            return table[i]["Name"].string()
    return "device level"


def irql_of(number: int, prcb: gdb.Value) -> int:
    """The IRQL of a processor. On amd64 that is a register, and gdb's thread for it has it."""
    if memory.pointer_size() == 4:
        pcr = memory.containing(memory.address_of(prcb), "KPCR", "PrcbData")
        return int(pcr["Irql"])
    selected = gdb.selected_thread()
    try:
        for thread in gdb.selected_inferior().threads():
            if thread.num == number + 1:
                thread.switch()
        return int(gdb.parse_and_eval("$cr8")) & 15
    finally:
        selected.switch()


@command
def nt_irql(_argument: str) -> None:
    """The IRQL of each processor, and what it is at.

    nt irql"""
    for number, prcb in processors():
        irql = irql_of(number, prcb)
        text = "IRQL %d (%s)" % (irql, irql_name(irql))
        if int(prcb["InterruptDepth"]):
            text += ", in interrupt service, depth %d" % int(prcb["InterruptDepth"])
        if int(prcb["DpcActive"]):
            text += ", running DPCs"
        print("processor %d: %s" % (number, text))


@command
def nt_dpcs(_argument: str) -> None:
    """Deferred procedure calls: how many ran, which wait.

    nt dpcs"""
    for number, prcb in processors():
        print("processor %d: %d run, %d queued%s" % (
            number, int(prcb["DpcCount"]), int(prcb["DpcQueueDepth"]),
            ", running " + memory.place(memory.number(prcb["DpcRoutine"]))
            if memory.number(prcb["DpcRoutine"]) else ""))
        for dpc in memory.walk(prcb["DpcListHead"], "KDPC", "DpcListEntry"):
            print("    %#x  %s, context %#x" % (
                memory.address_of(dpc), memory.place(memory.number(dpc["DeferredRoutine"])),
                memory.number(dpc["DeferredContext"])))


@command
def nt_timers(_argument: str) -> None:
    """The timers that are set, by processor.

    nt timers"""
    now = interrupt_time()
    for number, prcb in processors():
        print("processor %d:" % number)
        heads = prcb["TimerListHead"]
        for hand in range(heads.type.range()[1] + 1):
            for timer in memory.walk(heads[hand], "KTIMER", "TimerListEntry"):
                print("    %#x  due in %d us%s" % (
                    memory.address_of(timer), (int(timer["DueTime"]["QuadPart"]) - now) // 10,
                    dpc_words(timer["Dpc"])))


def interrupt_time() -> int:
    """What KeQueryInterruptTime would say, in 100 ns."""
    shared = memory.symbol("KeSharedUserData")
    time = shared.dereference()["InterruptTime"]
    return int(time["High1Time"]) << 32 | int(time["LowPart"]) & 0xFFFFFFFF


def dpc_words(dpc: gdb.Value) -> str:
    """The routine that a timer's DPC calls, "" without one."""
    if not memory.number(dpc):
        return ""
    return ", " + memory.place(memory.number(dpc.dereference()["DeferredRoutine"]))


# ---- threads and locks --------------------------------------------------------------------------
STACK_DEPTH = 32


@command
def nt_threads(argument: str) -> None:
    """All threads, with what they wait for and their stacks.

    nt threads [ADDRESS]

    The stack of a thread that does not run is found by its frame pointers, from where it was
    switched off. One that runs is on a processor: `info threads`."""
    wanted = memory.parse(argument) if argument else None
    states = memory.names("KTHREAD_STATE")
    found = False
    for thread in memory.walk(memory.symbol("KiThreadList"), "KTHREAD", "ThreadListEntry"):
        if wanted not in (None, memory.address_of(thread)):
            continue
        found = True
        print("%#x  %-11s priority %2d  processor %d  %s" % (
            memory.address_of(thread), states[int(thread["State"])].replace("Thread", "").lower(),
            int(thread["Priority"]), int(thread["Processor"]), thread_name(thread)))
        for place in standing_stack(thread):
            print("        %s" % memory.place(place))
    if not found:
        print("there is no thread yet" if wanted is None else "%#x is no thread" % wanted)


def thread_name(thread: gdb.Value) -> str:
    """A thread's name, or the routine it began with."""
    if memory.number(thread["Name"]):
        return memory.text(thread["Name"])
    return memory.place(memory.number(thread["StartRoutine"]))


def standing_stack(thread: gdb.Value):
    """Return addresses of a thread that no processor holds, innermost first."""
    if int(thread["InContext"]) or not memory.number(thread["KernelStack"]):
        return
    kept = memory.at(memory.number(thread["KernelStack"]), "KI_SWITCH_FRAME")
    size = memory.pointer_size()
    top = memory.number(thread["StackBase"])
    pointer = memory.number(kept["Rbp" if size == 8 else "Ebp"])
    yield memory.number(kept["ReturnAddress"])
    for _ in range(STACK_DEPTH):
        if not memory.address_of(kept) < pointer < top - size:
            return
        words = memory.read(pointer, 2 * size)
        following = int.from_bytes(words[:size], "little")
        yield int.from_bytes(words[size:], "little")
        if following <= pointer:
            return
        pointer = following


@command
def nt_locks(_argument: str) -> None:
    """The kernel's spin locks that are held, and the resources (ERESOURCE) that are owned.

    nt locks

    The spin locks are the variables of that type; those inside other objects are not looked for."""
    held = False
    for name in lock_variables():
        value = memory.number(memory.symbol(name))
        if value:
            print("spin lock  %-24s held (%#x)" % (name, value))
            held = True
    for resource in memory.walk(memory.symbol("ExpResources"), "ERESOURCE", "SystemResourcesList"):
        if int(resource["ActiveEntries"]) or int(resource["ActiveCount"]):
            held = True
            print("resource   %#x  owner %#x, %d in all" % (
                memory.address_of(resource), memory.number(resource["OwnerEntry"]["OwnerThread"]),
                int(resource["ActiveEntries"])))
    if not held:
        print("none is held")


def lock_variables():
    """The names of all variables whose type is KSPIN_LOCK."""
    listed = gdb.execute("info variables -q -t ^KSPIN_LOCK$", to_string=True)
    for line in listed.splitlines():
        words = line.rstrip(";").split()
        if "KSPIN_LOCK" in words and words[-1].isidentifier():
            yield words[-1]


# ---- drivers ------------------------------------------------------------------------------------
@command
def nt_drivers(_argument: str) -> None:
    """Loaded drivers, in load order.

    nt drivers"""
    records = drivers.loaded()
    if not records:
        print("no driver is loaded")
    for driver in records:
        base, size = memory.number(driver["Base"]), memory.number(driver["Size"])
        name = memory.text(driver["Name"])
        print("%#x - %#x  %-20s %s%s" % (
            base, base + size - 1, name, drivers.find_file(name) or "(file not found)",
            "" if int(driver["Initialized"]) else "  not initialised"))


# ---- bugchecks ----------------------------------------------------------------------------------
@command
def nt_analyze(_argument: str) -> None:
    """The bugcheck in words: what rule was broken, by whom, where.

    nt analyze

    From KiStop on, which is where QEMU's server can stop it: break KiStop."""
    record = memory.symbol("KeLastBugCheck")
    if memory.number(record) == 0 and gdb.newest_frame().name() == "KiStop":
        record = gdb.newest_frame().read_var("BugCheck")
    if memory.number(record) == 0:
        print("there has been no bugcheck")
        return
    parameters = ", ".join("%#x" % memory.number(record["Parameter"][i]) for i in range(4))
    print("*** STOP: 0x%08X (%s) %s"
          % (int(record["Code"]), parameters, memory.text(record["Name"])))
    print("*** %s" % meaning(record))
    print("IRQL     %d (%s)" % (int(record["Irql"]), irql_name(int(record["Irql"]))))
    frames = list(stack(record))
    culprits = ["%s, in %s" % (driver_of(place), words) for place, words in frames
                if driver_of(place)]
    print("driver   %s" % (culprits[0] if culprits
                           else "none on the stack: the kernel itself, or a damaged stack"))
    print("stack:")
    for place, words in frames:
        print("    %#x  %s" % (place, words))


def meaning(record: gdb.Value) -> str:
    """The sentence that says what rule a bugcheck's cause broke."""
    if memory.number(record["Sentence"]):
        return memory.text(record["Sentence"], 400)
    table = memory.symbol("KdMeanings")
    for i in range(table.type.range()[1] + 1):
        if int(table[i]["Code"]) == int(record["Code"]):
            return memory.text(table[i]["Sentence"], 400)
    return "The kernel or a driver stopped the system."


def stack(record: gdb.Value):
    """Code addresses from the place of the bugcheck outwards, each with function and line.

    A trap's frame says where it was. Else it is the caller of KeBugCheckEx, which gdb's own frames
    lead to."""
    frame = gdb.newest_frame()
    if memory.number(record["Frame"]):
        trap = record["Frame"].dereference()
        start = memory.number(trap["Rip" if memory.pointer_size() == 8 else "Eip"])
    else:
        start = memory.number(record["Caller"])
    while frame is not None and frame.pc() != start and frame.is_valid():
        frame = frame.older()
    if frame is None:
        yield start, memory.place(start)
    while frame is not None:
        yield frame.pc(), frame_words(frame)
        frame = frame.older()


def frame_words(frame: gdb.Frame) -> str:
    """A frame's function and line."""
    line = frame.find_sal()
    name = frame.name() or memory.place(frame.pc())
    return "%s at %s:%d" % (name, line.symtab.filename, line.line) if line.symtab else name


def driver_of(address: int) -> str:
    """The driver whose image an address lies in, "" for none."""
    for driver in drivers.loaded():
        if 0 <= address - memory.number(driver["Base"]) < memory.number(driver["Size"]):
            return memory.text(driver["Name"])
    return ""
