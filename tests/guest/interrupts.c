// SPDX-License-Identifier: MIT
// Which processor an interrupt goes to: lines and messages of QEMU's edu device. Every case holds
// on one processor, and says more on several. Without the device there is nothing to interrupt.
#include "crew.h"

#include <lkddk.h>

NTHALAPI ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber,
                                           ULONG BusInterruptLevel, ULONG BusInterruptVector,
                                           PKIRQL Irql, PKAFFINITY Affinity);

#define EDU_REASONS     0x24
#define EDU_RAISE       0x60
#define EDU_ACKNOWLEDGE 0x64
#define ROUNDS          8u

static PDRIVER_OBJECT ThisDriver;

static struct {
    PUCHAR Registers;
    ULONG Slot;
    PCI_COMMON_CONFIG Config;
    ULONG Vector;
    KIRQL Irql;
    KAFFINITY Affinity; // what HalGetInterruptVector said
} Edu;

static volatile ULONG Seen;            // interrupts
static volatile KAFFINITY SeenOn;      // processors that took them
static volatile ULONG SecondSeen;
static volatile KAFFINITY SecondSeenOn;

static KAFFINITY Bit(ULONG Number)
{
    return (KAFFINITY)1 << Number;
}

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    ULONG Reasons = READ_REGISTER_ULONG((PULONG)(Edu.Registers + EDU_REASONS));

    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    if (Reasons == 0)
        return FALSE;
    SeenOn |= Bit(KeGetCurrentProcessorNumber());
    WRITE_REGISTER_ULONG((PULONG)(Edu.Registers + EDU_ACKNOWLEDGE), Reasons);
    Seen++;
    return TRUE;
}

static BOOLEAN NTAPI MessageService(PKINTERRUPT Interrupt, PVOID Context, ULONG MessageId)
{
    UNREFERENCED_PARAMETER(MessageId);
    return Service(Interrupt, Context);
}

// On the same line, for another device.
static BOOLEAN NTAPI OtherService(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    SecondSeen++;
    SecondSeenOn |= Bit(KeGetCurrentProcessorNumber());
    return FALSE;
}

// ---- the device ---------------------------------------------------------------------------------
static BOOLEAN EduFind(VOID)
{
    for (Edu.Slot = 0; Edu.Slot < PCI_MAX_DEVICES; Edu.Slot++) {
        HalGetBusDataByOffset(PCIConfiguration, 0, Edu.Slot, &Edu.Config, 0,
                              PCI_COMMON_HDR_LENGTH);
        if (Edu.Config.VendorID == 0x1234 && Edu.Config.DeviceID == 0x11E8)
            return TRUE;
    }
    return FALSE;
}

static VOID EduSetCommand(USHORT Command)
{
    HalSetBusDataByOffset(PCIConfiguration, 0, Edu.Slot, &Command,
                          FIELD_OFFSET(PCI_COMMON_CONFIG, Command), sizeof(Command));
}

static BOOLEAN EduOpen(VOID)
{
    PHYSICAL_ADDRESS Address;

    if (Edu.Registers != NULL)
        return TRUE;
    if (!EduFind())
        return FALSE;
    EduSetCommand(Edu.Config.Command | PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER);
    Address.QuadPart = Edu.Config.u.type0.BaseAddresses[0] & PCI_ADDRESS_MEMORY_ADDRESS_MASK;
    Edu.Registers = MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
    Edu.Vector = HalGetInterruptVector(PCIBus, 0, Edu.Config.u.type0.InterruptLine, 0, &Edu.Irql,
                                       &Edu.Affinity);
    CHECK(Edu.Registers != NULL);
    CHECK(Edu.Vector != 0);
    return Edu.Registers != NULL && Edu.Vector != 0;
}

static VOID EduClose(VOID)
{
    if (Edu.Registers == NULL)
        return;
    MmUnmapIoSpace(Edu.Registers, PAGE_SIZE);
    EduSetCommand(Edu.Config.Command);
}

// Interrupts some times. Returns the processors that took them.
static KAFFINITY EduInterrupt(VOID)
{
    SeenOn = 0;
    for (ULONG i = 0; i < ROUNDS; i++) {
        ULONG Before = Seen;
        WRITE_REGISTER_ULONG((PULONG)(Edu.Registers + EDU_RAISE), 1);
        while (Seen == Before)
            YieldProcessor();
    }
    return SeenOn;
}

static NTSTATUS Connect(PKINTERRUPT *Interrupt, PKSERVICE_ROUTINE Routine, KAFFINITY Processors)
{
    return IoConnectInterrupt(Interrupt, Routine, NULL, NULL, Edu.Vector, Edu.Irql, Edu.Irql,
                              LevelSensitive, TRUE, Processors, FALSE);
}

static NTSTATUS ConnectFully(PKINTERRUPT *Interrupt, KAFFINITY Processors)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_FULLY_SPECIFIED;
    Parameters.FullySpecified.PhysicalDeviceObject = NULL;
    Parameters.FullySpecified.InterruptObject = Interrupt;
    Parameters.FullySpecified.ServiceRoutine = Service;
    Parameters.FullySpecified.SynchronizeIrql = Edu.Irql;
    Parameters.FullySpecified.ShareVector = TRUE;
    Parameters.FullySpecified.Vector = Edu.Vector;
    Parameters.FullySpecified.Irql = Edu.Irql;
    Parameters.FullySpecified.InterruptMode = LevelSensitive;
    Parameters.FullySpecified.ProcessorEnableMask = Processors;
    return IoConnectInterruptEx(&Parameters);
}

// The processors that the line can be sent to, from the highest down: without I/O APIC it is one.
#define FOR_EACH_TARGET(Number)                                                                    \
    for (LONG Number = 31; Number >= 0; Number--)                                                  \
        if (Edu.Affinity & Bit((ULONG)Number))

// ---- lines --------------------------------------------------------------------------------------
static VOID VectorsSayWhereTheyCanGo(VOID)
{
    if (!EduOpen())
        return;
    CHECK(Edu.Affinity == KeQueryActiveProcessors() || Edu.Affinity == 1);
}

static VOID LinesGoWhereTheMaskSays(VOID)
{
    PKINTERRUPT Interrupt;

    if (!EduOpen())
        return;
    FOR_EACH_TARGET(Number) {
        CHECK_EQUAL(Connect(&Interrupt, Service, Bit((ULONG)Number)), STATUS_SUCCESS);
        CHECK_EQUAL(EduInterrupt(), Bit((ULONG)Number));
        IoDisconnectInterrupt(Interrupt);
    }
}

static VOID FullySpecifiedLinesGoWhereTheMaskSays(VOID)
{
    PKINTERRUPT Interrupt;

    if (!EduOpen())
        return;
    FOR_EACH_TARGET(Number) {
        CHECK_EQUAL(ConnectFully(&Interrupt, Bit((ULONG)Number)), STATUS_SUCCESS);
        CHECK_EQUAL(EduInterrupt(), Bit((ULONG)Number));
        IoDisconnectInterrupt(Interrupt);
    }
}

static VOID ProcessorsThatAreNotThereAreRefused(VOID)
{
    PKINTERRUPT Interrupt = (PKINTERRUPT)1;

    if (!EduOpen())
        return;
    CHECK_EQUAL(Connect(&Interrupt, Service, 0), STATUS_INVALID_PARAMETER);
    CHECK(Interrupt == NULL);
    CHECK_EQUAL(Connect(&Interrupt, Service, ~KeQueryActiveProcessors()),
                STATUS_INVALID_PARAMETER);
    CHECK_EQUAL(ConnectFully(&Interrupt, 0), STATUS_INVALID_PARAMETER);
    CHECK_EQUAL(ConnectFully(&Interrupt, ~KeQueryActiveProcessors()), STATUS_INVALID_PARAMETER);
    CHECK(Interrupt == NULL);
    // Bits of absent processors beside those of present ones mean nothing.
    CHECK_EQUAL(Connect(&Interrupt, Service, ~(KAFFINITY)0), STATUS_SUCCESS);
    CHECK((EduInterrupt() & ~Edu.Affinity) == 0);
    IoDisconnectInterrupt(Interrupt);
}

static VOID SharersGetAProcessorThatAllAllow(VOID)
{
    PKINTERRUPT First, Second, Third;

    if (!EduOpen())
        return;
    FOR_EACH_TARGET(Number) {
        KAFFINITY Others = Edu.Affinity & ~Bit((ULONG)Number);
        CHECK_EQUAL(Connect(&First, Service, Edu.Affinity), STATUS_SUCCESS);
        CHECK_EQUAL(Connect(&Second, OtherService, Bit((ULONG)Number)), STATUS_SUCCESS);
        CHECK_EQUAL(EduInterrupt(), Bit((ULONG)Number));
        CHECK_EQUAL(Connect(&Third, OtherService, Others), STATUS_INVALID_PARAMETER);
        CHECK_EQUAL(EduInterrupt(), Bit((ULONG)Number));
        IoDisconnectInterrupt(Second);
        EduInterrupt(); // wherever: it still arrives
        IoDisconnectInterrupt(First);
    }
}

// A newcomer on the line, who allows the other processor alone.
typedef struct _NEWCOMER {
    KAFFINITY Processor;
    KEVENT Leave;
    volatile BOOLEAN Pending; // an interrupt is, on the first processor
    NTSTATUS Status;
    volatile BOOLEAN Done;
} NEWCOMER;

static VOID NTAPI ConnectElsewhere(PVOID Context)
{
    NEWCOMER *Newcomer = Context;
    PKINTERRUPT Interrupt;

    KeSetSystemAffinityThread(Newcomer->Processor);
    while (!Newcomer->Pending)
        YieldProcessor();
    Newcomer->Status = Connect(&Interrupt, OtherService, Newcomer->Processor);
    Newcomer->Done = TRUE;
    KeWaitForSingleObject(&Newcomer->Leave, Executive, KernelMode, FALSE, NULL);
    if (NT_SUCCESS(Newcomer->Status))
        IoDisconnectInterrupt(Interrupt);
}

// It is raised so far that the device's interrupt has to wait.
static VOID InterruptWhileItWaits(NEWCOMER *Newcomer)
{
    KIRQL OldIrql;

    KeRaiseIrql(Edu.Irql, &OldIrql);
    WRITE_REGISTER_ULONG((PULONG)(Edu.Registers + EDU_RAISE), 1);
    KeStallExecutionProcessor(100);
    Newcomer->Pending = TRUE;
    while (!Newcomer->Done)
        YieldProcessor();
    KeLowerIrql(OldIrql);
}

// What was pending when the line was sent elsewhere comes here still: not to the newcomer.
static VOID NobodyIsServedWhereHeForbids(VOID)
{
    PKINTERRUPT First;
    KAFFINITY Here, Two;

    if (!EduOpen() || (Edu.Affinity & (Edu.Affinity - 1)) == 0)
        return;
    Two = Edu.Affinity & (~Edu.Affinity + 1);
    Two |= (Edu.Affinity ^ Two) & (~(Edu.Affinity ^ Two) + 1);
    for (ULONG i = 0; i < ROUNDS; i++) {
        NEWCOMER Newcomer = {.Done = FALSE};
        CREW Crew = {.Count = 0};
        ULONG Before;
        CHECK_EQUAL(Connect(&First, Service, Two), STATUS_SUCCESS);
        Here = EduInterrupt();
        Before = Seen;
        SecondSeenOn = 0;
        Newcomer.Processor = Two & ~Here;
        KeInitializeEvent(&Newcomer.Leave, NotificationEvent, FALSE);
        CrewAdd(&Crew, ConnectElsewhere, &Newcomer);
        KeSetSystemAffinityThread(Here);
        InterruptWhileItWaits(&Newcomer);
        CREW_UNTIL(Seen != Before);
        CHECK_EQUAL(Newcomer.Status, STATUS_SUCCESS);
        CHECK_EQUAL(SecondSeenOn & Here, 0);
        CHECK_EQUAL(EduInterrupt(), Newcomer.Processor);
        KeRevertToUserAffinityThread();
        KeSetEvent(&Newcomer.Leave, 0, FALSE);
        CrewJoin(&Crew);
        IoDisconnectInterrupt(First);
    }
}

// ---- messages -----------------------------------------------------------------------------------
static NTSTATUS ConnectMessage(PIO_INTERRUPT_MESSAGE_INFO *Table)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
    PDEVICE_OBJECT Device;
    NTSTATUS Status = IoReportDetectedDevice(ThisDriver, PCIBus, 0, Edu.Slot, NULL, NULL, FALSE,
                                             &Device);

    if (!NT_SUCCESS(Status))
        return Status;
    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_MESSAGE_BASED;
    Parameters.MessageBased.PhysicalDeviceObject = Device;
    Parameters.MessageBased.ConnectionContext.InterruptMessageTable = Table;
    Parameters.MessageBased.MessageServiceRoutine = MessageService;
    return IoConnectInterruptEx(&Parameters);
}

static VOID Disconnect(PIO_INTERRUPT_MESSAGE_INFO Table)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;

    Parameters.Version = CONNECT_MESSAGE_BASED;
    Parameters.ConnectionContext.InterruptMessageTable = Table;
    IoDisconnectInterruptEx(&Parameters);
}

// One processor after the other gets a line of its own, and is thereby the least welcome.
static VOID MessagesGoWhereTheirTableSays(VOID)
{
    PKINTERRUPT Line[32];
    ULONG Lines = 0;
    KAFFINITY Used = 0;

    if (!EduOpen())
        return;
    FOR_EACH_TARGET(Number) {
        PIO_INTERRUPT_MESSAGE_INFO Table;
        NTSTATUS Status = ConnectMessage(&Table);
        KAFFINITY Target;
        KIRQL Irql;
        KAFFINITY Affinity;
        ULONG Vector;

        if (Status == STATUS_NOT_FOUND)
            break; // no local APIC to send to
        CHECK_EQUAL(Status, STATUS_SUCCESS);
        if (!NT_SUCCESS(Status))
            break;
        Target = Table->MessageInfo[0].TargetProcessorSet;
        CHECK(Target != 0 && (Target & (Target - 1)) == 0);
        CHECK((Target & Used) == 0);
        CHECK_EQUAL(EduInterrupt(), Target);
        Disconnect(Table);
        Used |= Target;
        Vector = HalGetInterruptVector(Isa, 0, 3 + Lines, 0, &Irql, &Affinity);
        CHECK(Vector != 0);
        if (Lines == 2 ||
            !NT_SUCCESS(IoConnectInterrupt(&Line[Lines], OtherService, NULL, NULL, Vector, Irql,
                                           Irql, Latched, FALSE, Target, FALSE)))
            break;
        Lines++;
    }
    while (Lines != 0)
        IoDisconnectInterrupt(Line[--Lines]);
}

static const GUEST_CASE Cases[] = {
    {"HalGetInterruptVector says which processors a line can be sent to", VectorsSayWhereTheyCanGo},
    {"a line interrupts the processor of ProcessorEnableMask", LinesGoWhereTheMaskSays},
    {"a fully specified line does, too", FullySpecifiedLinesGoWhereTheMaskSays},
    {"a mask without a processor that is there is refused", ProcessorsThatAreNotThereAreRefused},
    {"sharers of a line get a processor that all allow", SharersGetAProcessorThatAllAllow},
    {"nobody is served on a processor that he forbids", NobodyIsServedWhereHeForbids},
    {"a message interrupts the processor that its table names", MessagesGoWhereTheirTableSays},
};

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = GuestUnload;
    ThisDriver = DriverObject;
    Status = GuestRun(Cases, RTL_NUMBER_OF(Cases));
    EduClose();
    return Status;
}
