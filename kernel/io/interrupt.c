// SPDX-License-Identifier: MIT
// IoConnectInterrupt and its extended form: drivers' service routines on lines and messages.
//
// ke owns interrupt objects and their dispatch, hal owns vectors; this file allocates the one and
// the other for a driver and remembers who did, so that an unload can report a service routine that
// is still connected, which would be called in freed memory.
//
// A message connection (PCI MSI) programs the function's capability: one message, sent to the
// processor that ke chose, at a vector of its own that nobody shares. Where the function has no
// such capability, or the machine no local APIC to send to, the connection falls back to the line,
// as documented, and says so in the parameters' Version.
//
// Locking: connections change at PASSIVE_LEVEL; the list lock only guards the list.
// Observability: !idt; LEAK_SOURCE; drivers/edu uses both forms.
#include "ex.h"
#include "hal.h"
#include "io.h"
#include "rtl.h"

#define INTERRUPT_TAG 0x746E496Fu // 'oInt'

typedef struct _IO_CONNECTION {
    LIST_ENTRY ListEntry;
    KINTERRUPT Interrupt;
    const IO_PCI_FUNCTION *Pci;         // message: whose capability is enabled
    ULONG Capability;                   // message: its offset in configuration space
    ULONG MessageVector;                // message: to give back; 0: a line
    IO_INTERRUPT_MESSAGE_INFO Messages; // what a message-based driver is given
} IO_CONNECTION;

static LIST_ENTRY IopConnections = {&IopConnections, &IopConnections};
static KSPIN_LOCK IopConnectionLock;

static IO_CONNECTION *IopAllocateConnection(ULONG_PTR Caller)
{
    IO_CONNECTION *Connection =
        ExAllocatePoolOnBehalf(NonPagedPoolNx, sizeof(*Connection), INTERRUPT_TAG, Caller);

    if (Connection == NULL)
        return NULL;
    RtlZeroMemory(Connection, sizeof(*Connection));
    Connection->Interrupt.Caller = Caller;
    return Connection;
}

static NTSTATUS IopConnect(IO_CONNECTION *Connection)
{
    if (!KeConnectInterrupt(&Connection->Interrupt)) {
        ExFreePoolWithTag(Connection, INTERRUPT_TAG);
        return STATUS_INVALID_PARAMETER; // documented: the vector is taken and not shared
    }
    KIRQL OldIrql = KiAcquireLock(&IopConnectionLock);
    InsertTailList(&IopConnections, &Connection->ListEntry);
    KiReleaseLock(&IopConnectionLock, OldIrql);
    return STATUS_SUCCESS;
}

static VOID IopDisconnect(IO_CONNECTION *Connection)
{
    KIRQL OldIrql = KiAcquireLock(&IopConnectionLock);
    RemoveEntryList(&Connection->ListEntry);
    KiReleaseLock(&IopConnectionLock, OldIrql);
    KeDisconnectInterrupt(&Connection->Interrupt);
}

// ---- lines --------------------------------------------------------------------------------------

typedef struct _IO_LINE {
    PKSERVICE_ROUTINE ServiceRoutine;
    PVOID ServiceContext;
    PKSPIN_LOCK SpinLock;
    ULONG Vector;
    KIRQL Irql, SynchronizeIrql;
    KINTERRUPT_MODE Mode;
    BOOLEAN ShareVector;
    KAFFINITY Processors;
} IO_LINE;

static NTSTATUS IopConnectLine(const IO_LINE *Line, ULONG_PTR Caller, PKINTERRUPT *InterruptObject)
{
    *InterruptObject = NULL;
    if (Line->Irql < DIRQL_FIRST || Line->SynchronizeIrql < Line->Irql ||
        HalVectorToIrql(Line->Vector) != Line->Irql)
        return STATUS_INVALID_PARAMETER;
    IO_CONNECTION *Connection = IopAllocateConnection(Caller);
    if (Connection == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeInterrupt(&Connection->Interrupt, Line->ServiceRoutine, Line->ServiceContext,
                          Line->SpinLock, Line->Vector, Line->Irql, Line->SynchronizeIrql,
                          Line->Mode, Line->ShareVector, Line->Processors);
    Connection->Interrupt.Caller = Caller;
    NTSTATUS Status = IopConnect(Connection);
    if (NT_SUCCESS(Status))
        *InterruptObject = &Connection->Interrupt;
    return Status;
}

// IoConnectInterrupt: has ServiceRoutine called for every interrupt at Vector.
//   InterruptObject  receives the object for KeSynchronizeExecution and IoDisconnectInterrupt.
//   SpinLock         the lock held around the routine; NULL: the object's own.
//   Vector, Irql     as HalGetInterruptVector gave them; SynchronizeIrql >= Irql.
//   ShareVector      FALSE: fails when another driver has the vector, and keeps others out.
//   ProcessorEnableMask  the processors that the interrupt may be sent to: it goes to one of them.
//   FloatingSave     is not looked at: no state is saved.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER (vector not usable, or not on any of these
// processors, or on none that all who share it allow),
// STATUS_INSUFFICIENT_RESOURCES. Source: WDK wdm.h IoConnectInterrupt.
NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine,
                                  PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector,
                                  KIRQL Irql, KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode,
                                  BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave);
NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine,
                                  PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector,
                                  KIRQL Irql, KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode,
                                  BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave)
{
    IO_LINE Line = {ServiceRoutine, ServiceContext,  SpinLock,      Vector,
                    Irql,           SynchronizeIrql, InterruptMode, ShareVector,
                    ProcessorEnableMask};

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    return IopConnectLine(&Line, KiReturnAddress(), InterruptObject);
}
EXPORT(IoConnectInterrupt, PASSIVE_LEVEL, "WDK wdm.h IoConnectInterrupt");

// The line of a PCI function.
static NTSTATUS IopConnectFunctionLine(PDEVICE_OBJECT Device, PKSERVICE_ROUTINE ServiceRoutine,
                                       PVOID Context, PKSPIN_LOCK SpinLock, KIRQL SynchronizeIrql,
                                       ULONG_PTR Caller, PKINTERRUPT *InterruptObject)
{
    const IO_PCI_FUNCTION *Pci = IopPciFunctionOf(Device);
    KIRQL Irql;

    *InterruptObject = NULL;
    if (Pci == NULL || ServiceRoutine == NULL)
        return STATUS_INVALID_PARAMETER;
    UCHAR Level = HalQueryPciLine(Pci->Bus, Pci->Device, Pci->Function);
    ULONG Vector = Level != HAL_NO_LINE ? HalAllocateLineVector(Level, &Irql) : 0;
    if (Vector == 0)
        return STATUS_NOT_FOUND;
    IO_LINE Line = {ServiceRoutine, Context, SpinLock,
                    Vector,         Irql,    SynchronizeIrql > Irql ? SynchronizeIrql : Irql,
                    LevelSensitive, TRUE, HalInterruptTargets()};
    return IopConnectLine(&Line, Caller, InterruptObject);
}

// ---- messages -----------------------------------------------------------------------------------

#define PCI_CAPABILITY_POINTER 0x34u
#define PCI_STATUS_REGISTER    0x06u
#define PCI_STATUS_HAS_LIST    0x10u

// Offset of the MSI capability, 0 when there is none. The list is bounded: it may be damaged.
static ULONG IopFindMessageCapability(const IO_PCI_FUNCTION *Pci)
{
    USHORT Status = 0;
    UCHAR Offset = 0, Header[2];

    HalReadPci(Pci->Bus, Pci->Device, Pci->Function, PCI_STATUS_REGISTER, &Status, sizeof(Status));
    if ((Status & PCI_STATUS_HAS_LIST) == 0)
        return 0;
    HalReadPci(Pci->Bus, Pci->Device, Pci->Function, PCI_CAPABILITY_POINTER, &Offset,
               sizeof(Offset));
    for (ULONG i = 0; i < 48 && Offset >= 0x40; i++) {
        HalReadPci(Pci->Bus, Pci->Device, Pci->Function, Offset & 0xFCu, Header, sizeof(Header));
        if (Header[0] == PCI_CAPABILITY_ID_MSI)
            return Offset & 0xFCu;
        Offset = Header[1];
    }
    return 0;
}

static VOID IopProgramMessage(const IO_CONNECTION *Connection, ULONG64 Address, ULONG Data)
{
    const IO_PCI_FUNCTION *Pci = Connection->Pci;
    ULONG Offset = Connection->Capability;
    USHORT Control = 0;

    HalReadPci(Pci->Bus, Pci->Device, Pci->Function, Offset + 2, &Control, sizeof(Control));
    BOOLEAN Wide = (Control & PCI_MSI_64BIT) != 0;
    HalWritePci(Pci->Bus, Pci->Device, Pci->Function, Offset + 4, &Address, Wide ? 8 : 4);
    HalWritePci(Pci->Bus, Pci->Device, Pci->Function, Offset + (Wide ? 12 : 8), &Data, 2);
    Control = (USHORT)((Control & ~0x70u) | PCI_MSI_ENABLE); // one message
    HalWritePci(Pci->Bus, Pci->Device, Pci->Function, Offset + 2, &Control, sizeof(Control));
}

static VOID IopDisableMessage(const IO_CONNECTION *Connection)
{
    const IO_PCI_FUNCTION *Pci = Connection->Pci;
    USHORT Control = 0;

    HalReadPci(Pci->Bus, Pci->Device, Pci->Function, Connection->Capability + 2, &Control,
               sizeof(Control));
    Control &= (USHORT)~PCI_MSI_ENABLE;
    HalWritePci(Pci->Bus, Pci->Device, Pci->Function, Connection->Capability + 2, &Control,
                sizeof(Control));
}

static VOID IopDescribeMessage(IO_CONNECTION *Connection, ULONG Target, ULONG64 Address,
                               ULONG Data)
{
    IO_INTERRUPT_MESSAGE_INFO *Table = &Connection->Messages;

    Table->UnifiedIrql = Connection->Interrupt.SynchronizeIrql;
    Table->MessageCount = 1;
    Table->MessageInfo[0].MessageAddress.QuadPart = (LONGLONG)Address;
    Table->MessageInfo[0].TargetProcessorSet = (KAFFINITY)1 << Target;
    Table->MessageInfo[0].InterruptObject = &Connection->Interrupt;
    Table->MessageInfo[0].MessageData = Data;
    Table->MessageInfo[0].Vector = Connection->Interrupt.Vector;
    Table->MessageInfo[0].Irql = Connection->Interrupt.Irql;
    Table->MessageInfo[0].Mode = Latched;
}

// STATUS_NOT_FOUND: the function has no messages, or the machine cannot receive them.
static NTSTATUS IopConnectMessage(IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *P,
                                  ULONG_PTR Caller)
{
    const IO_PCI_FUNCTION *Pci = IopPciFunctionOf(P->PhysicalDeviceObject);
    ULONG64 Address;
    ULONG Data, Target;
    KIRQL Irql;

    if (Pci == NULL || P->MessageServiceRoutine == NULL)
        return STATUS_INVALID_PARAMETER;
    ULONG Capability = IopFindMessageCapability(Pci);
    ULONG Vector = Capability != 0 ? HalAllocateMessageVector(&Irql) : 0;
    if (Vector == 0)
        return STATUS_NOT_FOUND;
    IO_CONNECTION *Connection = IopAllocateConnection(Caller);
    if (Connection == NULL) {
        HalFreeMessageVector(Vector);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KeInitializeInterrupt(&Connection->Interrupt, NULL, P->ServiceContext, P->SpinLock, Vector,
                          Irql, P->SynchronizeIrql > Irql ? P->SynchronizeIrql : Irql, Latched,
                          FALSE, HalInterruptTargets());
    Connection->Interrupt.MessageServiceRoutine = P->MessageServiceRoutine;
    Connection->Interrupt.Caller = Caller;
    Connection->Pci = Pci;
    Connection->Capability = Capability;
    Connection->MessageVector = Vector;
    NTSTATUS Status = IopConnect(Connection);
    if (!NT_SUCCESS(Status)) {
        HalFreeMessageVector(Vector);
        return Status;
    }
    Target = KeInterruptTarget(&Connection->Interrupt);
    HalComposeMessage(Vector, Target, &Address, &Data);
    IopDescribeMessage(Connection, Target, Address, Data);
    IopProgramMessage(Connection, Address, Data);
    *P->ConnectionContext.InterruptMessageTable = &Connection->Messages;
    return STATUS_SUCCESS;
}

// ---- extended forms -----------------------------------------------------------------------------

static NTSTATUS IopConnectFullySpecified(IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS *P,
                                         ULONG_PTR Caller)
{
    IO_LINE Line = {P->ServiceRoutine, P->ServiceContext,  P->SpinLock,      P->Vector,
                    P->Irql,           P->SynchronizeIrql, P->InterruptMode, P->ShareVector,
                    P->ProcessorEnableMask};
    return IopConnectLine(&Line, Caller, P->InterruptObject);
}

static NTSTATUS IopConnectMessageOrLine(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters,
                                        ULONG_PTR Caller)
{
    IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS *P = &Parameters->MessageBased;
    NTSTATUS Status = IopConnectMessage(P, Caller);

    if (Status != STATUS_NOT_FOUND || P->FallBackServiceRoutine == NULL)
        return Status;
    Status = IopConnectFunctionLine(P->PhysicalDeviceObject, P->FallBackServiceRoutine,
                                    P->ServiceContext, P->SpinLock, P->SynchronizeIrql, Caller,
                                    P->ConnectionContext.InterruptObject);
    if (NT_SUCCESS(Status))
        Parameters->Version = CONNECT_LINE_BASED;
    return Status;
}

// IoConnectInterruptEx: connects by vector (CONNECT_FULLY_SPECIFIED), by the device's line
// (CONNECT_LINE_BASED) or by its messages (CONNECT_MESSAGE_BASED).
//   Parameters  see IO_CONNECT_INTERRUPT_PARAMETERS; Version says which member holds. A
//   message-based
//               connection that had to take the line stores CONNECT_LINE_BASED there. The device
//               object is one that IoReportDetectedDevice gave.
// IRQL: PASSIVE_LEVEL. Fails: STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND (no such interrupt and no
// fall-back), STATUS_NOT_SUPPORTED (another Version), STATUS_INSUFFICIENT_RESOURCES.
// Source: WDK wdm.h IoConnectInterruptEx.
NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters);
NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters)
{
    IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS *Line = &Parameters->LineBased;

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED:
        return IopConnectFullySpecified(&Parameters->FullySpecified, KiReturnAddress());
    case CONNECT_LINE_BASED:
        return IopConnectFunctionLine(Line->PhysicalDeviceObject, Line->ServiceRoutine,
                                      Line->ServiceContext, Line->SpinLock, Line->SynchronizeIrql,
                                      KiReturnAddress(), Line->InterruptObject);
    case CONNECT_MESSAGE_BASED:
        return IopConnectMessageOrLine(Parameters, KiReturnAddress());
    default:
        return STATUS_NOT_SUPPORTED;
    }
}
EXPORT(IoConnectInterruptEx, PASSIVE_LEVEL, "WDK wdm.h IoConnectInterruptEx");

// IoDisconnectInterrupt: the service routine is not running and is not called again when this
// returns.
//   InterruptObject  from IoConnectInterrupt.
// IRQL: PASSIVE_LEVEL. Source: WDK wdm.h IoDisconnectInterrupt.
VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject);
VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject)
{
    IO_CONNECTION *Connection = CONTAINING_RECORD(InterruptObject, IO_CONNECTION, Interrupt);

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    if (Connection->MessageVector != 0)
        IopDisableMessage(Connection);
    IopDisconnect(Connection);
    if (Connection->MessageVector != 0)
        HalFreeMessageVector(Connection->MessageVector);
    ExFreePoolWithTag(Connection, INTERRUPT_TAG);
}
EXPORT(IoDisconnectInterrupt, PASSIVE_LEVEL, "WDK wdm.h IoDisconnectInterrupt");

// IoDisconnectInterruptEx: undoes IoConnectInterruptEx.
//   Parameters  Version as the connection stored it, and the object or message table it gave.
// IRQL: PASSIVE_LEVEL. Source: WDK wdm.h IoDisconnectInterruptEx.
VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters);
VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters)
{
    if (Parameters->Version == CONNECT_MESSAGE_BASED)
        IoDisconnectInterrupt(
            Parameters->ConnectionContext.InterruptMessageTable->MessageInfo[0].InterruptObject);
    else
        IoDisconnectInterrupt(Parameters->ConnectionContext.InterruptObject);
}
EXPORT(IoDisconnectInterruptEx, PASSIVE_LEVEL, "WDK wdm.h IoDisconnectInterruptEx");

// ---- leaks --------------------------------------------------------------------------------------

static ULONG IopReportConnections(ULONG_PTR Start, ULONG_PTR End)
{
    char Name[160];
    ULONG Count = 0;

    for (PLIST_ENTRY Entry = IopConnections.Flink; Entry != &IopConnections; Entry = Entry->Flink) {
        const KINTERRUPT *Interrupt =
            &CONTAINING_RECORD(Entry, IO_CONNECTION, ListEntry)->Interrupt;
        if (Interrupt->Caller < Start || Interrupt->Caller >= End)
            continue;
        KdSymbolize(Interrupt->Caller - 1, Name, sizeof(Name));
        KLOG("leak", "interrupt vector 0x%x still connected by %s", Interrupt->Vector, Name);
        Count++;
    }
    return Count;
}
LEAK_SOURCE(interrupts, "connected interrupts", IopReportConnections);
