// SPDX-License-Identifier: MIT
// A driver that is there to be debugged: tests/system/test_gdb.py stops it, and says what is next.
//
// DriverEntry calls Ready and then does what the variable Scenario says, again and again. gdb stops
// in Ready, sets the variable, and lets it run; whatever the scenario does comes back to Ready. A
// scenario that waits waits for Go, which only gdb sets. Nobody sets Scenario without a debugger:
// then the driver is loaded and done.
#include <ntddk.h>

#define NOINLINE __attribute__((noinline))
#define TAG      'gubD'

typedef enum _SCENARIO {
    ScenarioLeave,
    ScenarioIdle,       // nothing; waits at PASSIVE_LEVEL
    ScenarioDispatch,   // waits at DISPATCH_LEVEL
    ScenarioHighLevel,  // waits at HIGH_LEVEL
    ScenarioMasked,     // waits with the processor's interrupt flag clear
    ScenarioBreak,      // DbgBreakPoint
    ScenarioAccess,     // touches Area at Offset, Length bytes, and the bytes beside them
    ScenarioFault,      // reads through Pointer
    ScenarioRegisters,  // loads registers with known values, and stores them again
    ScenarioCount,      // counts in a loop that can be stepped
    ScenarioFlags,      // pushes and pops the flags, clears and sets the interrupt flag
    ScenarioThread,     // a thread that waits inside Sleeper, until Go
    ScenarioBlock,      // a pool block, to be looked at while it waits for Go
    ScenarioPrint,      // prints a line and waits
    ScenarioStop,       // a bugcheck
} SCENARIO;

volatile SCENARIO Scenario;
volatile BOOLEAN Go;
volatile ULONG Offset, Length;
volatile BOOLEAN Reads;
volatile ULONG Counter;
volatile ULONG *volatile Pointer;
volatile ULONG Target = 0x600DF00D;
ULONG Got;
volatile UCHAR DECLSPEC_ALIGN(16) Area[64];
volatile BOOLEAN Inside; // the access that is under way is within Offset and Length
UCHAR Large[0x8000];
PVOID Block;
ULONG_PTR FlagsSeen;
const ULONG Constant = 0x12345678;

KEVENT SleeperEvent;
UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Driver\\Debuggee");
LARGE_INTEGER Duration = {.QuadPart = -10000000};
NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;
KDPC Dpc;
KTIMER Timer;

// The same registers on both architectures. An XMM register of those that amd64's traps keep, and
// one of those they do not.
ULONG RegistersIn[4] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};
ULONG RegistersLow[4], RegistersHigh[4], RegisterBx;

NOINLINE VOID Ready(VOID)
{
    __asm__ volatile("" ::: "memory");
}

NOINLINE VOID Spin(VOID)
{
    while (!Go)
        YieldProcessor();
}

static NOINLINE VOID AtIrql(KIRQL Irql)
{
    KIRQL Old;

    KeRaiseIrql(Irql, &Old);
    Spin();
    KeLowerIrql(Old);
}

static NOINLINE VOID Masked(VOID)
{
    __asm__ volatile("cli");
    Spin();
    __asm__ volatile("sti");
}

static NOINLINE VOID AccessOne(ULONG At)
{
    if (Reads)
        Got = Area[At];
    else
        Area[At]++;
}

// One access of the length asked for where there is such an instruction, else one a byte.
static NOINLINE VOID AccessInside(VOID)
{
    volatile UCHAR *At = &Area[Offset];

    if (Length == 2 && !Reads)
        *(volatile USHORT *)At += 0x101;
    else if (Length == 4 && !Reads)
        *(volatile ULONG *)At += 0x1010101;
    else if (Length == sizeof(PVOID) && !Reads)
        *(volatile ULONG_PTR *)At += 0x1010101;
    else
        AccessOne(Offset + Length - 1);
}

static NOINLINE VOID Access(VOID)
{
    AccessOne(Offset - 1);
    AccessOne(Offset + Length);
    Inside = TRUE;
    AccessInside();
    Inside = FALSE;
    AccessOne(Offset + Length);
}

static NOINLINE VOID Fault(VOID)
{
    __asm__ volatile("movl (%1), %0" : "=a"(Got) : "c"(Pointer));
}

static NOINLINE VOID Registers(VOID)
{
    __asm__ volatile("movups %3, %%xmm3\n\t"
                     "movups %3, %%xmm7\n\t"
                     "movl $0x55555555, %%ebx\n\t"
                     ".globl RegistersLoaded\n"
                     "RegistersLoaded:\n\t"
                     "nop\n\t"
                     "movups %%xmm3, %0\n\t"
                     "movups %%xmm7, %1\n\t"
                     "movl %%ebx, %2"
                     : "=m"(RegistersLow), "=m"(RegistersHigh), "=m"(RegisterBx)
                     : "m"(RegistersIn)
                     : "ebx");
}

NOINLINE ULONG Add(ULONG Left, ULONG Right)
{
    __asm__ volatile("");
    return Left + Right;
}

static NOINLINE VOID Count(VOID)
{
    for (ULONG i = 0; i < 100; i++)
        Counter = Add(Counter, i);
}

static NOINLINE VOID Flags(VOID)
{
    __asm__ volatile("pushf\n\t"
                     "pop %0\n\t"
                     "cli\n\t"
                     "nop\n\t"
                     "sti\n\t"
                     "push %0\n\t"
                     "popf"
                     : "=r"(FlagsSeen)
                     :
                     : "memory", "cc");
}

static NOINLINE VOID NTAPI Sleeper(PVOID Context)
{
    KeWaitForSingleObject(Context, Executive, KernelMode, FALSE, NULL);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Thread(VOID)
{
    HANDLE Handle;
    PVOID Object;

    KeInitializeEvent(&SleeperEvent, NotificationEvent, FALSE);
    if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Sleeper,
                                         &SleeperEvent)))
        return;
    ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Object, NULL);
    ZwClose(Handle);
    LARGE_INTEGER Tick = {.QuadPart = -200000};
    while (!Go)
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
    KeSetEvent(&SleeperEvent, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Object);
}

static VOID PoolBlock(VOID)
{
    Block = ExAllocatePoolWithTag(NonPagedPool, 100, TAG);
    Spin();
    ExFreePoolWithTag(Block, TAG);
}

static VOID Print(VOID)
{
    DbgPrint("debuggee: a line of text\n");
    Spin();
}

static VOID Run(SCENARIO Next)
{
    switch (Next) {
    case ScenarioIdle: Spin(); break;
    case ScenarioDispatch: AtIrql(DISPATCH_LEVEL); break;
    case ScenarioHighLevel: AtIrql(HIGH_LEVEL); break;
    case ScenarioMasked: Masked(); break;
    case ScenarioBreak: DbgBreakPoint(); break;
    case ScenarioAccess: Access(); break;
    case ScenarioFault: Fault(); break;
    case ScenarioRegisters: Registers(); break;
    case ScenarioCount: Count(); break;
    case ScenarioFlags: Flags(); break;
    case ScenarioThread: Thread(); break;
    case ScenarioBlock: PoolBlock(); break;
    case ScenarioPrint: Print(); break;
    case ScenarioStop: KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
    case ScenarioLeave: break;
    }
}

static VOID NTAPI DpcRoutine(PKDPC Self, PVOID Context, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(Self);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeCancelTimer(&Timer);
    KeFlushQueuedDpcs();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    LARGE_INTEGER Far = {.QuadPart = -36000000000ll};

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    KeInitializeDpc(&Dpc, DpcRoutine, (PVOID)&Counter);
    KeInitializeTimer(&Timer);
    KeSetTimerEx(&Timer, Far, 1000, &Dpc);
    do {
        Go = FALSE;
        Scenario = ScenarioLeave;
        Ready();
        Run(Scenario);
    } while (Scenario != ScenarioLeave);
    return STATUS_SUCCESS;
}
