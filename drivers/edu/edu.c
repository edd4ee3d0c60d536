// SPDX-License-Identifier: MIT
// edu: a driver for QEMU's educational PCI device, written to be read and copied.
//
// The device (QEMU, docs/specs/edu.rst) computes factorials, copies memory by DMA, and interrupts
// when it is done, by a line or by a message (MSI). It has what real devices have and nothing else,
// so this file shows the life of a driver from the search on the bus to the last byte given back:
//
//   memory       what is touched at DISPATCH_LEVEL or above lives in nonpaged memory, what is only
//                touched below may be paged, what the device touches needs a physical address it
//                can reach;
//   interrupts   the ISR, at the device's own IRQL, does the least: it takes the reason and
//   silences the
//                device. The DPC, at DISPATCH_LEVEL, does the work;
//   requests     come from a lookaside list, because they are small, alike and often needed.
//
// It is an NT 4 style driver: it looks for its device itself instead of being told by Plug and
// Play. It includes nothing but the WDK's (or mingw-w64's) ntddk.h, and is built like any driver:
// see README.md.
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

// ---- the device ---------------------------------------------------------------------------------

#define EDU_VENDOR_ID 0x1234
#define EDU_DEVICE_ID 0x11E8

// Registers in BAR 0, by byte offset. Below 0x80 only 32-bit accesses are allowed.
#define EDU_IDENTIFICATION   0x00 // 0xRRrr00ED: major and minor version, then EDh
#define EDU_LIVENESS         0x04 // reads as the complement of what was written
#define EDU_FACTORIAL        0x08 // write n, read n! modulo 2^32
#define EDU_STATUS           0x20 // EDU_STATUS_*
#define EDU_INTERRUPT_STATUS 0x24 // why it interrupts; 0: it does not
#define EDU_INTERRUPT_ACK    0x64 // write the reasons seen
#define EDU_DMA_SOURCE       0x80
#define EDU_DMA_DESTINATION  0x88
#define EDU_DMA_COUNT        0x90
#define EDU_DMA_COMMAND      0x98 // EDU_DMA_*

#define EDU_STATUS_INTERRUPT 0x80 // interrupt when a factorial is ready
#define EDU_DMA_START        0x01
#define EDU_DMA_FROM_DEVICE  0x02 // clear: from memory to the device
#define EDU_DMA_INTERRUPT    0x04 // interrupt when the transfer is complete

#define EDU_REASON_FACTORIAL 0x001
#define EDU_REASON_DMA       0x100

#define EDU_BUFFER        0x40000    // the device's own 4 KiB, as its DMA engine addresses it
#define EDU_ADDRESS_LIMIT 0x0FFFFFFF // it drives 28 address lines

#define EDU_TAG   0x20756445 // "Edu ": a tag is four characters, the first in the lowest byte
#define EDU_LIMIT 20000000LL // 100 ns units after which the device is taken for dead: 2 seconds

// ---- the driver's state -------------------------------------------------------------------------

// What the driver was told to do. Read at PASSIVE_LEVEL only, so it may live in paged pool.
typedef struct _EDU_SETTINGS {
    ULONG LargestFactorial; // computes 1! to this
    ULONG TransferLength;   // bytes
} EDU_SETTINGS, *PEDU_SETTINGS;

// One thing asked of the device. The DPC completes it, so it is nonpaged: from the lookaside list.
typedef struct _EDU_REQUEST {
    ULONG Reason; // which interrupt completes it: EDU_REASON_*
    ULONG Result;
    KEVENT Complete; // set last, by the DPC
} EDU_REQUEST, *PEDU_REQUEST;

// The device's context, touched by ISR and DPC: nonpaged pool.
typedef struct _EDU_DEVICE {
    PUCHAR Registers; // BAR 0, mapped
    ULONG Bus;
    PCI_SLOT_NUMBER Slot;
    PCI_COMMON_CONFIG Config; // as it was found
    PDEVICE_OBJECT PhysicalDevice;
    ULONG ConnectionVersion; // what IoConnectInterruptEx made of it; 0: not connected
    PKINTERRUPT Interrupt;   // either way
    PIO_INTERRUPT_MESSAGE_INFO MessageTable; // message based only
    KDPC Dpc;
    ULONG Reasons;        // seen by the ISR, not yet by the DPC; owned by the ISR's lock
    KSPIN_LOCK Lock;      // guards Current
    PEDU_REQUEST Current; // the device does one thing at a time
    NPAGED_LOOKASIDE_LIST Requests;
    BOOLEAN RequestsReady;
    PEDU_SETTINGS Settings;
    PUCHAR Buffer; // for DMA: one page below 256 MiB
    PHYSICAL_ADDRESS BufferAddress;
} EDU_DEVICE, *PEDU_DEVICE;

static PEDU_DEVICE EduDevice; // one device; a driver for many would have device objects

static ULONG EduRead(PEDU_DEVICE Device, ULONG Register)
{
    return READ_REGISTER_ULONG((PULONG)(Device->Registers + Register));
}

static VOID EduWrite(PEDU_DEVICE Device, ULONG Register, ULONG Value)
{
    WRITE_REGISTER_ULONG((PULONG)(Device->Registers + Register), Value);
}

// ---- interrupt and DPC --------------------------------------------------------------------------

// The ISR runs at the device's IRQL (DIRQL), with the interrupt's spin lock held: everything at or
// below that IRQL waits on this processor. So it asks whether the device is the cause (the line may
// be shared), makes it stop, leaves the reason for the DPC, and is gone. It may touch nonpaged
// memory and the device, call KeInsertQueueDpc and hardly anything else.
static BOOLEAN NTAPI EduInterrupt(PKINTERRUPT Interrupt, PVOID Context)
{
    PEDU_DEVICE Device = Context;
    ULONG Reasons = EduRead(Device, EDU_INTERRUPT_STATUS);

    UNREFERENCED_PARAMETER(Interrupt);
    if (Reasons == 0)
        return FALSE; // not ours: the next driver on the line is asked
    EduWrite(Device, EDU_INTERRUPT_ACK, Reasons);
    Device->Reasons |= Reasons;
    KeInsertQueueDpc(&Device->Dpc, NULL,
                     NULL); // FALSE when queued already: that run sees both reasons
    return TRUE;
}

// The same for a message. A message is never shared, but the device holds the same reasons.
static BOOLEAN NTAPI EduMessage(PKINTERRUPT Interrupt, PVOID Context, ULONG MessageId)
{
    UNREFERENCED_PARAMETER(MessageId);
    return EduInterrupt(Interrupt, Context);
}

typedef struct _EDU_TAKE {
    PEDU_DEVICE Device;
    ULONG Reasons;
} EDU_TAKE;

// Called by KeSynchronizeExecution at DIRQL with the interrupt's lock held, so the ISR cannot run
// between the read and the write.
static BOOLEAN NTAPI EduTakeReasons(PVOID Context)
{
    EDU_TAKE *Take = Context;

    Take->Reasons = Take->Device->Reasons;
    Take->Device->Reasons = 0;
    return TRUE;
}

// The DPC runs at DISPATCH_LEVEL: it may use spin locks and nonpaged pool, may not wait and may not
// touch anything pageable. KeAcquireSpinLockAtDpcLevel, because the level is known to be right
// already.
static VOID NTAPI EduDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PEDU_DEVICE Device = Context;
    EDU_TAKE Take = {Device, 0};
    PEDU_REQUEST Request;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSynchronizeExecution(Device->Interrupt, EduTakeReasons, &Take);

    KeAcquireSpinLockAtDpcLevel(&Device->Lock);
    Request = Device->Current;
    if (Request != NULL && (Request->Reason & Take.Reasons) != 0) {
        Device->Current = NULL;
        Request->Result = EduRead(Device, EDU_FACTORIAL);
        // From here the request is the waiter's again, so nothing below touches it.
        KeSetEvent(&Request->Complete, IO_NO_INCREMENT, FALSE);
    }
    KeReleaseSpinLockFromDpcLevel(&Device->Lock);
}

// ---- requests -----------------------------------------------------------------------------------

// Makes Request the current one. Above PASSIVE_LEVEL from the first to the last line: the DPC of
// this processor stays out while the lock is held.
static VOID EduBegin(PEDU_DEVICE Device, PEDU_REQUEST Request, ULONG Reason)
{
    KIRQL OldIrql;

    Request->Reason = Reason;
    KeInitializeEvent(&Request->Complete, NotificationEvent, FALSE);
    KeAcquireSpinLock(&Device->Lock, &OldIrql);
    Device->Current = Request;
    KeReleaseSpinLock(&Device->Lock, OldIrql);
}

// Waits for the DPC: the thread sleeps, and others run, until the event is set. That is allowed
// below DISPATCH_LEVEL only, with no spin lock held, and never without a limit, for a device may be
// dead. A driver whose requests are IRPs returns STATUS_PENDING instead and never waits.
//
// The limit may run out just when the interrupt comes. So Current decides, under its lock: if the
// request is still there nobody will touch it any more once it has been taken away; if it is not,
// the DPC has completed it.
static NTSTATUS EduWait(PEDU_DEVICE Device, PEDU_REQUEST Request)
{
    LARGE_INTEGER Limit;
    NTSTATUS Status;
    KIRQL OldIrql;

    Limit.QuadPart = -EDU_LIMIT; // negative: from now on
    Status = KeWaitForSingleObject(&Request->Complete, Executive, KernelMode, FALSE, &Limit);
    if (Status == STATUS_SUCCESS)
        return STATUS_SUCCESS;
    KeAcquireSpinLock(&Device->Lock, &OldIrql);
    if (Device->Current == Request) {
        Device->Current = NULL;
        Status = STATUS_IO_TIMEOUT;
    } else {
        Status = STATUS_SUCCESS;
    }
    KeReleaseSpinLock(&Device->Lock, OldIrql);
    return Status;
}

static NTSTATUS EduFactorial(PEDU_DEVICE Device, ULONG Number, PULONG Result)
{
    PEDU_REQUEST Request = ExAllocateFromNPagedLookasideList(&Device->Requests);
    NTSTATUS Status;

    if (Request == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    EduBegin(Device, Request, EDU_REASON_FACTORIAL);
    EduWrite(Device, EDU_STATUS, EDU_STATUS_INTERRUPT);
    EduWrite(Device, EDU_FACTORIAL, Number);
    Status = EduWait(Device, Request);
    *Result = Request->Result;
    ExFreeToNPagedLookasideList(&Device->Requests, Request);
    return Status;
}

// Copies Length bytes between the DMA buffer and the device. The device is given physical
// addresses: it knows nothing of ours.
static NTSTATUS EduTransfer(PEDU_DEVICE Device, BOOLEAN FromDevice, ULONG Length)
{
    PEDU_REQUEST Request = ExAllocateFromNPagedLookasideList(&Device->Requests);
    ULONG Address = Device->BufferAddress.LowPart;
    NTSTATUS Status;

    if (Request == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    EduBegin(Device, Request, EDU_REASON_DMA);
    EduWrite(Device, EDU_DMA_SOURCE, FromDevice ? EDU_BUFFER : Address);
    EduWrite(Device, EDU_DMA_DESTINATION, FromDevice ? Address : EDU_BUFFER);
    EduWrite(Device, EDU_DMA_COUNT, Length);
    EduWrite(Device, EDU_DMA_COMMAND,
             EDU_DMA_START | EDU_DMA_INTERRUPT | (FromDevice ? EDU_DMA_FROM_DEVICE : 0));
    Status = EduWait(Device, Request);
    ExFreeToNPagedLookasideList(&Device->Requests, Request);
    return Status;
}

// ---- what it does with the device ---------------------------------------------------------------

static NTSTATUS EduComputeFactorials(PEDU_DEVICE Device)
{
    ULONG Number, Result, Expected = 1;
    NTSTATUS Status;

    for (Number = 1; Number <= Device->Settings->LargestFactorial; Number++) {
        Expected *= Number;
        Status = EduFactorial(Device, Number, &Result);
        if (!NT_SUCCESS(Status))
            return Status;
        if (Result != Expected) {
            DbgPrint("edu: %lu! is %lu, the device says %lu\n", Number, Expected, Result);
            return STATUS_DEVICE_DATA_ERROR;
        }
    }
    DbgPrint("edu: %lu! = %lu\n", Number - 1, Expected);
    return STATUS_SUCCESS;
}

static UCHAR EduPattern(ULONG Index)
{
    return (UCHAR)(Index * 7 + 3);
}

// Out to the device, wipe, back again, compare.
static NTSTATUS EduMoveBuffer(PEDU_DEVICE Device)
{
    ULONG Length = Device->Settings->TransferLength, i;
    NTSTATUS Status;

    for (i = 0; i < Length; i++)
        Device->Buffer[i] = EduPattern(i);
    Status = EduTransfer(Device, FALSE, Length);
    if (!NT_SUCCESS(Status))
        return Status;
    RtlZeroMemory(Device->Buffer, Length);
    Status = EduTransfer(Device, TRUE, Length);
    for (i = 0; NT_SUCCESS(Status) && i < Length; i++)
        if (Device->Buffer[i] != EduPattern(i))
            Status = STATUS_DEVICE_DATA_ERROR;
    if (NT_SUCCESS(Status))
        DbgPrint("edu: %lu bytes moved out and back by DMA\n", Length);
    return Status;
}

// ---- start --------------------------------------------------------------------------------------

// Looks at every function of the first buses. Configuration space may be read at any IRQL; a driver
// for Plug and Play would be handed its device instead.
static BOOLEAN EduFind(PEDU_DEVICE Device)
{
    ULONG Number, Function;

    for (Device->Bus = 0; Device->Bus < 8; Device->Bus++) {
        for (Number = 0; Number < PCI_MAX_DEVICES; Number++) {
            for (Function = 0; Function < PCI_MAX_FUNCTION; Function++) {
                Device->Slot.u.AsULONG = 0;
                Device->Slot.u.bits.DeviceNumber = Number;
                Device->Slot.u.bits.FunctionNumber = Function;
                if (HalGetBusDataByOffset(PCIConfiguration, Device->Bus, Device->Slot.u.AsULONG,
                                          &Device->Config, 0,
                                          PCI_COMMON_HDR_LENGTH) == PCI_COMMON_HDR_LENGTH &&
                    Device->Config.VendorID == EDU_VENDOR_ID &&
                    Device->Config.DeviceID == EDU_DEVICE_ID)
                    return TRUE;
            }
        }
    }
    return FALSE;
}

static VOID EduSetCommand(PEDU_DEVICE Device, USHORT Command)
{
    HalSetBusDataByOffset(PCIConfiguration, Device->Bus, Device->Slot.u.AsULONG, &Command,
                          FIELD_OFFSET(PCI_COMMON_CONFIG, Command), sizeof(Command));
}

// The registers are device memory: mapped without caching, and only touched through READ_REGISTER
// and WRITE_REGISTER, which keep the compiler and the processor from reordering the accesses.
static NTSTATUS EduMapRegisters(PEDU_DEVICE Device)
{
    PHYSICAL_ADDRESS Address;
    ULONG Identification;

    Address.QuadPart = Device->Config.u.type0.BaseAddresses[0] & PCI_ADDRESS_MEMORY_ADDRESS_MASK;
    Device->Registers = MmMapIoSpace(Address, PAGE_SIZE, MmNonCached);
    if (Device->Registers == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    // Memory space on, and bus mastering: without it neither DMA nor interrupt messages leave the
    // device.
    EduSetCommand(Device, Device->Config.Command | PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER);
    Identification = EduRead(Device, EDU_IDENTIFICATION);
    EduWrite(Device, EDU_LIVENESS, 0x12345678);
    if ((Identification & 0xFF) != 0xED || EduRead(Device, EDU_LIVENESS) != ~0x12345678u)
        return STATUS_DEVICE_NOT_READY;
    DbgPrint("edu: version %lu.%lu at bus %lu device %lu, registers at 0x%I64x\n",
             Identification >> 24, (Identification >> 16) & 0xFF, Device->Bus,
             (ULONG)Device->Slot.u.bits.DeviceNumber, Address.QuadPart);
    return STATUS_SUCCESS;
}

static NTSTATUS EduAllocate(PEDU_DEVICE Device)
{
    PHYSICAL_ADDRESS Lowest, Highest, NoBoundary;

    ExInitializeNPagedLookasideList(&Device->Requests, NULL, NULL, 0, sizeof(EDU_REQUEST), EDU_TAG,
                                    0);
    Device->RequestsReady = TRUE;
    Device->Settings = ExAllocatePoolWithTag(PagedPool, sizeof(EDU_SETTINGS), EDU_TAG);
    if (Device->Settings == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Device->Settings->LargestFactorial = 12; // 13! no longer fits in 32 bits
    Device->Settings->TransferLength = 1024;

    // Nonpaged, physically contiguous, and low enough for the device's address lines.
    Lowest.QuadPart = 0;
    Highest.QuadPart = EDU_ADDRESS_LIMIT;
    NoBoundary.QuadPart = 0;
    Device->Buffer =
        MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Lowest, Highest, NoBoundary, MmCached);
    if (Device->Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Device->BufferAddress = MmGetPhysicalAddress(Device->Buffer);
    return STATUS_SUCCESS;
}

// Asks for messages; the system takes the line instead where it must, and says which it was.
static NTSTATUS EduConnect(PEDU_DEVICE Device, PDRIVER_OBJECT DriverObject)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
    PVOID Context = NULL;
    NTSTATUS Status;

    Status = IoReportDetectedDevice(DriverObject, PCIBus, Device->Bus, Device->Slot.u.AsULONG, NULL,
                                    NULL, FALSE, &Device->PhysicalDevice);
    if (!NT_SUCCESS(Status))
        return Status;
    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_MESSAGE_BASED;
    Parameters.MessageBased.PhysicalDeviceObject = Device->PhysicalDevice;
    Parameters.MessageBased.ConnectionContext.Generic = &Context;
    Parameters.MessageBased.MessageServiceRoutine = EduMessage;
    Parameters.MessageBased.ServiceContext = Device;
    Parameters.MessageBased.FallBackServiceRoutine = EduInterrupt;
    Status = IoConnectInterruptEx(&Parameters);
    if (!NT_SUCCESS(Status))
        return Status;
    Device->ConnectionVersion = Parameters.Version;
    if (Parameters.Version == CONNECT_MESSAGE_BASED) {
        Device->MessageTable = Context;
        Device->Interrupt = Device->MessageTable->MessageInfo[0].InterruptObject;
    } else {
        Device->Interrupt = Context;
    }
    DbgPrint("edu: interrupts by %s\n",
             Parameters.Version == CONNECT_MESSAGE_BASED ? "message" : "line");
    return STATUS_SUCCESS;
}

// ---- end ----------------------------------------------------------------------------------------

static VOID EduDisconnect(PEDU_DEVICE Device)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;

    if (Device->ConnectionVersion == 0)
        return;
    EduWrite(Device, EDU_STATUS, 0); // no more interrupts
    Parameters.Version = Device->ConnectionVersion;
    if (Device->ConnectionVersion == CONNECT_MESSAGE_BASED)
        Parameters.ConnectionContext.InterruptMessageTable = Device->MessageTable;
    else
        Parameters.ConnectionContext.InterruptObject = Device->Interrupt;
    IoDisconnectInterruptEx(&Parameters);
    KeFlushQueuedDpcs(); // the last DPC may still be queued, and it uses what is freed next
}

// Gives back whatever was got, in reverse; also after a start that failed half way.
static VOID EduRelease(PEDU_DEVICE Device)
{
    EduDisconnect(Device);
    if (Device->Buffer != NULL)
        MmFreeContiguousMemorySpecifyCache(Device->Buffer, PAGE_SIZE, MmCached);
    if (Device->Settings != NULL)
        ExFreePoolWithTag(Device->Settings, EDU_TAG);
    if (Device->RequestsReady)
        ExDeleteNPagedLookasideList(&Device->Requests);
    if (Device->Registers != NULL) {
        EduSetCommand(Device, Device->Config.Command);
        MmUnmapIoSpace(Device->Registers, PAGE_SIZE);
    }
    ExFreePoolWithTag(Device, EDU_TAG);
}

static VOID NTAPI EduUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    EduRelease(EduDevice);
    EduDevice = NULL;
    DbgPrint("edu: unloaded\n");
}

// DriverEntry and DriverUnload run at PASSIVE_LEVEL in a system thread: here paged pool may be
// touched.
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PEDU_DEVICE Device = ExAllocatePoolWithTag(NonPagedPool, sizeof(EDU_DEVICE), EDU_TAG);
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(RegistryPath);
    if (Device == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Device, sizeof(*Device));
    KeInitializeSpinLock(&Device->Lock);
    KeInitializeDpc(&Device->Dpc, EduDpc, Device);

    Status = EduFind(Device) ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
    if (NT_SUCCESS(Status))
        Status = EduAllocate(Device);
    if (NT_SUCCESS(Status))
        Status = EduMapRegisters(Device);
    if (NT_SUCCESS(Status))
        Status = EduConnect(Device, DriverObject);
    if (NT_SUCCESS(Status))
        Status = EduComputeFactorials(Device);
    if (NT_SUCCESS(Status))
        Status = EduMoveBuffer(Device);
    if (!NT_SUCCESS(Status)) {
        EduRelease(Device);
        return Status;
    }
    EduDevice = Device;
    DriverObject->DriverUnload = EduUnload;
    return STATUS_SUCCESS;
}
