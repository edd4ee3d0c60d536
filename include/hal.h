// SPDX-License-Identifier: MIT
// hal: the machine below NT. Interrupt controllers, timers, consoles' hardware, buses, reset.
//
// hal is the lowest layer beside rtl: it includes nothing of ke or mm. It maps what it needs (local
// APIC, I/O APIC, ACPI tables, HPET) into its own 4 MiB region at the top of the address space,
// whose page tables boot/ provides.
#pragma once

#include "loader.h"
#include "nt/nt.h"

// ---- start --------------------------------------------------------------------------------------
VOID HalInitializeConsole(PLOADER_BLOCK Block);  // COM1 and VGA text; needs no memory manager
VOID HalInitializeSystem(PLOADER_BLOCK Block);   // ACPI, interrupt controllers, timers. IF is off.
// The framebuffer, mapped by mm (write-combining where the CPU can), and zeroed or unzeroed RAM of
// HalFramebufferShadowSize bytes for the cells it shows; NULL: text uses 80 x 25 cells of it only.
SIZE_T HalFramebufferShadowSize(const LOADER_DISPLAY *Display);  // 0: a display we cannot use
VOID HalAttachFramebuffer(const LOADER_DISPLAY *Display, PVOID Mapping, PVOID Shadow);

// Maps Length bytes at Address into the HAL region for good. Returns NULL when the region is full.
PVOID HalMapPhysical(ULONG64 Address, SIZE_T Length, BOOLEAN Cached);
VOID HalUnmapPhysical(PVOID Mapping, SIZE_T Length);  // transient mappings only

// ---- consoles -----------------------------------------------------------------------------------
VOID HalDisplayString(const char *Text, SIZE_T Length);  // all consoles; any IRQL; polled
VOID HalDisplayOnScreen(const char *Text, SIZE_T Length);  // the screen alone
VOID HalHoldScreen(BOOLEAN Hold);  // HalDisplayString leaves the screen alone meanwhile
BOOLEAN HalQueryScreen(PULONG Rows, PULONG Columns);  // in characters; FALSE: there is no screen
int HalPollInput(VOID);  // a character from serial or keyboard, -1: none
BOOLEAN HalHasConsole(VOID);
VOID HalBreakLocks(VOID);  // one processor runs from now on: no lock keeps it waiting
// Paints the screen anew for the bugcheck text (background colour) where there is a screen.
VOID HalBeginBugCheckScreen(VOID);

// ---- the debugger's port ------------------------------------------------------------------------
// The serial port that /DEBUG claims. Any IRQL; the caller sees to it that one processor uses it.
const char *HalDescribeDebugPort(VOID);  // "COM2 at 115200 baud", NULL: there is none
ULONG HalDebugPortBaudRate(VOID);
BOOLEAN HalDebugPortIsConsole(VOID);     // it is the port the console would have had
int HalReadDebugPort(VOID);              // a byte, -1: none
VOID HalWriteDebugPort(const UCHAR *Bytes, SIZE_T Length);
// Wires the port to interrupt as an NMI. FALSE: this machine cannot, the port has to be polled.
BOOLEAN HalConnectDebugPort(VOID);
// A byte that comes, or is there, interrupts. Does nothing while the port is not wired.
VOID HalEnableDebugPortInterrupt(BOOLEAN Enable);
BOOLEAN HalNmiIsFailure(VOID);  // the chipset reports a memory or bus error, which raises NMIs too

// ---- interrupts ---------------------------------------------------------------------------------
// Vectors: on amd64 vector >> 4 is the IRQL. On i386 HalVectorToIrql tells.
#define HAL_VECTOR_COUNT 256

KIRQL HalVectorToIrql(ULONG Vector);

// A vector for a line (GSI or 8259 input, by bus interrupt level) or for a message-signalled
// interrupt. Fails: 0 when there is none.
ULONG HalAllocateLineVector(ULONG BusInterruptLevel, PKIRQL Irql);
ULONG HalAllocateMessageVector(PKIRQL Irql);
VOID HalFreeMessageVector(ULONG Vector);
// What a device writes, and where, to interrupt Processor at Vector.
VOID HalComposeMessage(ULONG Vector, ULONG Processor, PULONG64 Address, PULONG Data);
KAFFINITY HalInterruptTargets(VOID);  // processors that lines and messages can be sent to

// Opens or closes the line behind Vector at its controller. Message vectors have nothing to open.
// Processor, of HalInterruptTargets, is where it goes; to enable it again sends it elsewhere.
BOOLEAN HalEnableSystemInterrupt(ULONG Vector, KIRQL Irql, KINTERRUPT_MODE Mode, ULONG Processor);
VOID HalDisableSystemInterrupt(ULONG Vector, KIRQL Irql);

// Called by ke around the service routines of Vector, interrupts disabled. Begin returns FALSE when
// it was spurious or hal's own business: nothing is to be run and nothing to be ended.
BOOLEAN HalBeginSystemInterrupt(ULONG Vector);
VOID HalEndSystemInterrupt(ULONG Vector);

// i386: Vector arrived at or below the current IRQL. Instead of Begin, ke calls Hold, which
// acknowledges it and masks its line, and keeps it pending. When it is replayed, ke runs the
// routines without Begin and End, and then calls Resume.
VOID HalHoldInterrupt(ULONG Vector);
VOID HalResumeInterrupt(ULONG Vector);

// amd64: a self-interrupt of class Irql (APC_LEVEL, DISPATCH_LEVEL) through the local APIC. It is
// on its way when this returns; that it has been taken, where CR8 and IF permit it, is for the
// caller to see to.
VOID HalRequestSoftwareInterrupt(KIRQL Irql);

// 8259 input Irq arrived through its own vector (LEGACY_VECTOR_BASE + Irq): masks and acknowledges
// it, and returns the system vector that stands for it, 0 when spurious. ke then requests that
// vector (amd64: HalRequestVector; i386: treats it as held, and so calls Resume when it has run).
ULONG HalAcknowledgeLegacyInterrupt(ULONG Irq);
VOID HalRequestVector(ULONG Vector);

// ---- processors ---------------------------------------------------------------------------------
// The other processors of the machine, in the firmware's order; *Index begins at 0. FALSE: no more.
BOOLEAN HalEnumerateProcessor(PULONG Index, PULONG ApicId);
// The first Count of them then wait for HalStartProcessor. Takes 10 ms.
VOID HalResetProcessors(ULONG Count);
// Starts one in real mode at physical address Page (below 1 MiB). Returns whether *Answered became
// anything but 0 within that time.
BOOLEAN HalStartProcessor(ULONG ApicId, ULONG64 Page, const volatile ULONG *Answered,
                          ULONG Microseconds);
VOID HalAbandonProcessor(ULONG ApicId);      // from now on it does nothing, if it hears
VOID HalInitializeProcessor(ULONG Number);   // on the processor, IF off: its local APIC and clock
VOID HalEndProcessorStart(VOID);             // no other will be started
ULONG HalQueryApicId(ULONG Number);
// Counters that agree. The new processor calls the first, meanwhile another the second.
VOID HalFollowCounter(VOID);
VOID HalLeadCounter(VOID);

FORCEINLINE ULONG HalCountProcessors(KAFFINITY Processors)
{
    ULONG Count = 0;
    for (; Processors != 0; Processors &= Processors - 1)
        Count++;
    return Count;
}

// Processors: a bit for each number, without the caller's, which is Self. IRQL: any.
VOID HalSendIpi(KAFFINITY Processors, KAFFINITY Self);  // IPI_VECTOR
VOID HalSendNmi(KAFFINITY Processors);
// APC_LEVEL's or DISPATCH_LEVEL's software interrupt on another processor.
VOID HalRequestRemoteInterrupt(ULONG Number, KIRQL Irql);

const char *HalDescribeInterrupts(VOID);  // "local and I/O APIC", "8259", for the log
VOID HalDescribeVector(ULONG Vector, char *Buffer, SIZE_T Size);  // "GSI 11 level low, APIC 0"

// ---- time ---------------------------------------------------------------------------------------
#define HAL_CLOCK_INCREMENT 156250u  // 100 ns units between clock interrupts: 64 a second
#define HAL_CLOCK_MINIMUM   10000u   // the shortest time between them that can be set

// The vector at which the periodic clock arrives once started.
extern ULONG HalClockVector;
VOID HalStartClock(VOID);
// This processor's clock from now on; in 100 ns units. IF is off.
VOID HalSetClockInterval(ULONG Interval);
VOID HalAcknowledgeClock(VOID);  // at each clock interrupt, on the processor that takes it

ULONG64 HalQueryCounter(VOID);               // monotonic; TSC where usable
extern ULONG64 HalCounterFrequency;          // Hz, 0 until it is known
VOID HalStallExecution(ULONG Microseconds);  // any IRQL
ULONG64 HalQueryRealTime(VOID);              // CMOS clock as NT time (100 ns since 1601), 0: none

// ---- hwinfo -------------------------------------------------------------------------------------
// What hwinfo asks those above: who serves a vector, who drives a PCI function (NULL: nobody), and
// how many processors run.
typedef struct _HAL_OWNERS {
    const char *(*OfVector)(ULONG Vector);
    const char *(*OfPciFunction)(ULONG Bus, ULONG Device, ULONG Function);
    ULONG (*Processors)(VOID);
} HAL_OWNERS;
VOID HalRegisterOwners(const HAL_OWNERS *Owners);

// ---- end ----------------------------------------------------------------------------------------
DECLSPEC_NORETURN VOID HalReboot(VOID);
VOID HalPowerOff(VOID);                         // returns when nothing worked
VOID HalExitEmulator(ULONG Port, ULONG Value);  // QEMU's isa-debug-exit
DECLSPEC_NORETURN VOID HalHalt(VOID);           // interrupts off, for ever

// ---- PCI ----------------------------------------------------------------------------------------
ULONG HalReadPci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, PVOID Buffer, ULONG Length);

// Which input each function's interrupt pin is wired to, from firmware's byte code; Workspace is
// needed during the call alone.
VOID HalRoutePci(PVOID Workspace, SIZE_T Size);
SIZE_T HalPciRouteWorkspace(VOID);  // bytes; 0: there is nothing to find out

// What to pass to HalAllocateLineVector for a function's interrupt: what drivers see in place of
// its interrupt line register.
#define HAL_PCI_LINE 0x3Cu  // that register
#define HAL_NO_LINE  0xFFu
UCHAR HalQueryPciLine(ULONG Bus, ULONG Device, ULONG Function);

ULONG HalWritePci(ULONG Bus, ULONG Device, ULONG Function, ULONG Offset, const VOID *Buffer,
                  ULONG Length);
