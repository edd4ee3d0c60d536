// SPDX-License-Identifier: MIT
// halp.h: what hal's own files share.
//
// Locks. HalpVectorLock (interrupt.c) may be held while a controller's lock is taken; every other
// lock is held alone. All are taken with interrupts off, so any IRQL may take them. Once a bugcheck
// has begun one processor runs and no lock keeps it waiting: whoever holds one has been stopped.
#pragma once

#include "acpi.h"
#include "arch.h"
#include "export.h"
#include "hal.h"
#include "init.h"
#include "kd.h"
#include "rtl.h"

// ---- locks: interrupts off, then spin -----------------------------------------------------------
typedef volatile ULONG HALP_LOCK;

extern BOOLEAN HalpLocksBroken;  // a bugcheck has begun

FORCEINLINE BOOLEAN HalpAcquireLock(HALP_LOCK *Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    while (__sync_lock_test_and_set(Lock, 1) != 0 && !HalpLocksBroken)
        KiPause();
    return Enabled;
}

FORCEINLINE VOID HalpReleaseLock(HALP_LOCK *Lock, BOOLEAN Enabled)
{
    __sync_lock_release(Lock);
    KiRestoreInterrupts(Enabled);
}

// ---- options (option.c) -------------------------------------------------------------------------
// "/NAME" or "/NAME=value" on the command line; Value may be NULL.
BOOLEAN HalpQueryOption(const LOADER_BLOCK *Block, const char *Name, char *Value, SIZE_T Size);
ULONG HalpParseNumber(const char *Text);  // decimal, or hexadecimal with 0x

// ---- consoles -----------------------------------------------------------------------------------
typedef USHORT HALP_CELL;  // character in the low byte, VGA attribute in the high one

#define HALP_ATTRIBUTE_NORMAL              0x07u  // light grey on black
#define HALP_ATTRIBUTE_BUGCHECK            0x1Fu  // white on blue
#define HALP_CELL_OF(Character, Attribute) ((HALP_CELL)((UCHAR)(Character) | ((Attribute) << 8)))

#define HALP_TEXT_COLUMNS 80u
#define HALP_TEXT_ROWS    25u

// Puts Count cells onto the display. Called with the console lock held.
typedef VOID HALP_DRAW_ROUTINE(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count);

// A 16550 (uart.c). Port 0: there is none, or it was given up; its routines then do nothing.
typedef struct _HALP_UART {
    USHORT Port;
    const char *Name;  // "COM1"
    ULONG BaudRate;
    ULONG Depth;  // bytes the transmitter takes at once
    ULONG Space;  // of these, how many it takes now without asking
} HALP_UART;

BOOLEAN HalpUartInitialize(HALP_UART *Uart, USHORT Port, ULONG BaudRate);  // 0: 115200
USHORT HalpUartPortOf(const char *Text);  // "COM2", "2", "0x2F8"; 0: none of these
const char *HalpUartNameOf(USHORT Port);
VOID HalpUartPut(HALP_UART *Uart, UCHAR Byte);
int HalpUartGet(const HALP_UART *Uart);                         // -1: nothing there
VOID HalpUartInterrupt(const HALP_UART *Uart, BOOLEAN Enable);  // when a byte has come
VOID HalpUartExpect(const HALP_UART *Uart, BOOLEAN Single);     // bytes by interrupt, or polled

VOID HalpDebugPortInitialize(const LOADER_BLOCK *Block);
USHORT HalpDebugPort(VOID);  // 0: no debugger has one

BOOLEAN HalpSerialInitialize(const LOADER_BLOCK *Block);
VOID HalpSerialWrite(const char *Text, SIZE_T Length);
int HalpSerialRead(VOID);          // -1: nothing there
const char *HalpSerialName(VOID);  // "COM1", NULL: no serial port
ULONG HalpSerialPort(VOID);

VOID HalpScreenAttach(const char *Name, ULONG Rows, ULONG Columns, HALP_CELL *Cells,
                      HALP_DRAW_ROUTINE *Draw);
VOID HalpScreenDetach(VOID);
VOID HalpScreenWrite(const char *Text, SIZE_T Length);
VOID HalpScreenClear(UCHAR Attribute);
const LOADER_DISPLAY *HalpFramebufferDisplay(VOID);  // NULL: the screen is none
const char *HalpScreenName(PULONG Rows, PULONG Columns);  // NULL: no screen

BOOLEAN HalpVgaTextInitialize(VOID);

// Shadow has room for HalFramebufferShadowSize bytes; NULL: 80 x 25 cells in the upper left corner.
VOID HalpFramebufferInitialize(const LOADER_DISPLAY *Display, PVOID Mapping, PVOID Shadow);

VOID HalpKeyboardInitialize(VOID);
int HalpKeyboardRead(VOID);  // -1: nothing there
BOOLEAN HalpKeyboardPresent(VOID);
BOOLEAN HalpKeyboardController(UCHAR Command);  // sends a command to the i8042; FALSE: none there

// ---- firmware (acpi.c) --------------------------------------------------------------------------
extern HALP_ACPI HalpAcpi;  // all zero where there is no ACPI, or /SAFE
extern const LOADER_BLOCK *HalpLoaderBlock;

// ---- local APIC (apic.c) ------------------------------------------------------------------------
#define APIC_ID            0x020u
#define APIC_VERSION       0x030u
#define APIC_TASK_PRIORITY 0x080u
#define APIC_EOI           0x0B0u
#define APIC_LOGICAL_ID    0x0D0u
#define APIC_LOGICAL_MODE  0x0E0u
#define APIC_SPURIOUS      0x0F0u
#define APIC_IN_SERVICE    0x100u
#define APIC_ERROR_STATUS  0x280u
#define APIC_COMMAND       0x300u
#define APIC_COMMAND_HIGH  0x310u
#define APIC_TIMER         0x320u
#define APIC_LINT0         0x350u
#define APIC_LINT1         0x360u
#define APIC_ERROR         0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE  0x3E0u

#define APIC_MASKED         0x10000u
#define APIC_MODE_NMI       0x00400u
#define APIC_MODE_EXTINT    0x00700u
#define APIC_TIMER_PERIODIC 0x20000u
#define APIC_TIMER_DEADLINE 0x40000u

// The command register: how, and to whom.
#define APIC_COMMAND_FIXED   0x00000u
#define APIC_COMMAND_NMI     0x00400u
#define APIC_COMMAND_INIT    0x04500u
#define APIC_COMMAND_STARTUP 0x04600u
#define APIC_COMMAND_LOGICAL 0x00800u
#define APIC_COMMAND_SELF    0x40000u
#define APIC_COMMAND_OTHERS  0xC0000u  // all but this one, whoever they are

#define XAPIC_LARGEST_ID 0xFEu  // also the largest that lines and messages can be sent to

#define MSR_X2APIC 0x800u  // x2APIC mode: register r is MSR 0x800 + r / 16

extern volatile UCHAR *HalpApic;  // its registers; NULL: this machine has none, or we do not use it
extern BOOLEAN HalpX2Apic;        // they are MSRs instead, and APIC ids have 32 bits

FORCEINLINE ULONG HalpApicRead(ULONG Register)
{
    if (__builtin_expect(HalpX2Apic, 0))
        return (ULONG)KiReadMsr(MSR_X2APIC + Register / 16);
    return *(volatile ULONG *)(HalpApic + Register);
}

FORCEINLINE VOID HalpApicWrite(ULONG Register, ULONG Value)
{
    if (__builtin_expect(HalpX2Apic, 0))
        KiWriteMsr(MSR_X2APIC + Register / 16, Value);
    else
        *(volatile ULONG *)(HalpApic + Register) = Value;
}

BOOLEAN HalpApicExists(VOID);  // in the processor
BOOLEAN
HalpApicInitialize(BOOLEAN LegacyThrough);  // LegacyThrough: the 8259s interrupt through LINT0
VOID HalpApicHandleError(VOID);
VOID HalpApicSendSelf(ULONG Vector);
VOID HalpApicSend(ULONG Destination, ULONG Command);
VOID HalpApicStartProcessor(ULONG LogicalId);  // on another processor than the first
VOID HalpApicSetLogicalId(ULONG LogicalId);    // xAPIC: a bit of eight, 0: none
ULONG HalpApicId(VOID);
ULONG HalpApicErrors(VOID);

// ---- processors (processor.c) -------------------------------------------------------------------
VOID HalpInitializeBootProcessor(VOID);
extern ULONG HalpBootApicId;
KAFFINITY HalpReachableProcessors(VOID);  // by an id of 8 bits

// ---- controllers of lines (ioapic.c, pic.c) -----------------------------------------------------
typedef struct _HALP_CONTROLLER {
    const char *Name;
    // The line that stands for a bus interrupt level. FALSE: no controller has it.
    BOOLEAN (*Resolve)(ULONG Level, PULONG Line);
    // Sets the line up for Vector on the processor with that APIC id, masked. FALSE: it cannot have
    // that mode. Level tells what it became.
    BOOLEAN (*Program)(ULONG Line, ULONG Vector, KINTERRUPT_MODE Mode, ULONG ApicId,
                       BOOLEAN *Level);
    VOID (*SetMask)(ULONG Line, BOOLEAN Masked);
    VOID (*Describe)(ULONG Line, char *Buffer, SIZE_T Size);
} HALP_CONTROLLER;

extern const HALP_CONTROLLER HalpIoApicController, HalpPicController;

ULONG HalpIoApicInitialize(VOID);  // number of I/O APICs in use; all inputs masked
BOOLEAN HalpIoApicWireNmi(ULONG IsaLine);  // FALSE: its wiring does not allow it
VOID HalpIoApicReport(VOID);
typedef VOID HALP_ITEM_ROUTINE(const char *Format, ...);  // prints one item of hwinfo
VOID HalpIoApicSummary(HALP_ITEM_ROUTINE *Item);

#define PIC_LINES 16u
VOID HalpPicInitialize(VOID);  // vectors from LEGACY_VECTOR_BASE on, all inputs masked
BOOLEAN HalpPicIsSpurious(ULONG Irq);
VOID HalpPicEnd(ULONG Irq);
VOID HalpPicReport(VOID);
VOID HalpPicSummary(HALP_ITEM_ROUTINE *Item);

// ---- vectors (interrupt.c and its architecture's part) ------------------------------------------
typedef enum _HALP_VECTOR_KIND {
    HalpVectorFree,
    HalpVectorLine,
    HalpVectorMessage,
    HalpVectorFixed,  // the clock, the local APIC's own
} HALP_VECTOR_KIND;

typedef struct _HALP_VECTOR {
    UCHAR Kind;        // HALP_VECTOR_KIND
    BOOLEAN Enabled;   // Line: open at its controller, or to be opened when the service has run
    BOOLEAN Level;     // Line: level-triggered
    ULONG Line;        // as the controller counts
    const char *Name;  // Fixed
} HALP_VECTOR;

extern HALP_VECTOR HalpVectors[HAL_VECTOR_COUNT];
extern const HALP_CONTROLLER *HalpController;  // of this machine's lines
extern BOOLEAN HalpApicDelivers;  // vectors arrive through the local APIC and end there

VOID HalpInitializeInterrupts(const LOADER_BLOCK *Block);
VOID HalpNameVector(ULONG Vector, const char *Name);
VOID HalpWireLegacyClock(ULONG Irq);  // the 8259 input Irq is the clock
VOID HalpInterruptReport(VOID);
ULONG HalpSpuriousInterrupts(VOID);

// The architecture's part: device vectors of an IRQL, the IRQL that suits a line, may it do without
// an APIC.
ULONG HalpFirstVector(KIRQL Irql);
#define HALP_VECTORS_PER_IRQL_MAX 16u
ULONG HalpVectorsPerIrql(VOID);
KIRQL HalpPreferredIrql(ULONG Line);
BOOLEAN HalpApicRequired(VOID);
VOID HalpAcceptAllPriorities(VOID);
ULONG HalpSoftwareVector(KIRQL Irql);  // APC_LEVEL's and DISPATCH_LEVEL's, for another processor

// ---- time ---------------------------------------------------------------------------------------
// A timer of known frequency that something else is measured against.
typedef struct _HALP_REFERENCE {
    const char *Name;
    ULONG64 Frequency;      // Hz
    ULONG64 Mask;           // how far it counts
    ULONG64 (*Read)(VOID);  // counts up; bits outside Mask mean nothing
} HALP_REFERENCE;

// The same time in both: ticks of the reference, counts of HalQueryCounter.
typedef struct _HALP_SPAN {
    ULONG64 Ticks, Counts;
} HALP_SPAN;

VOID HalpEarlyCounter(VOID);
VOID HalpInitializeCounter(VOID);  // gives the counter its frequency
VOID HalpStartLocalClock(VOID);    // this processor's timer
// Measures until it is exact, or as long as Longest allows. FALSE: the reference does not count.
BOOLEAN HalpMeasure(const HALP_REFERENCE *Reference, HALP_SPAN Longest, HALP_SPAN *Result);
VOID HalpInitializeClock(VOID);
VOID HalpCounterSummary(HALP_ITEM_ROUTINE *Item);
VOID HalpClockSummary(HALP_ITEM_ROUTINE *Item);
UCHAR HalpReadCmos(ULONG Register);
VOID HalpWriteCmos(ULONG Register, UCHAR Value);

// ---- PCI interrupts (route.c) -------------------------------------------------------------------
typedef struct _HALP_WIRE {
    ULONG Gsi;
    USHORT Flags;  // ACPI_POLARITY_MASK | ACPI_TRIGGER_MASK
} HALP_WIRE;

#define HALP_LARGEST_LINE 0xFEu  // that an interrupt line register can hold
#define HALP_AML_SPACE    4u     // bytes of name space for one of code: the shortest name has six
#define HALP_AML_HEAP     0x4000u // and for what methods make: 128 routes of four values

BOOLEAN HalpInterruptOfResources(const UCHAR *Data, ULONG Length, HALP_WIRE *Wire);
USHORT HalpRouteFlags(ULONG Gsi);  // how PCI's interrupts on an input are wired; 0: none is there
VOID HalpRouteSummary(HALP_ITEM_ROUTINE *Item);

// ---- PCI ----------------------------------------------------------------------------------------
BOOLEAN HalpPciExists(VOID);
BOOLEAN HalpPciBusExists(ULONG Bus);
VOID HalpPciReport(VOID);
typedef VOID HALP_PCI_VISIT(ULONG Bus, ULONG Device, ULONG Function);
VOID HalpPciVisitAll(HALP_PCI_VISIT *Visit);  // every function there is
VOID HalpPciVisitBus(ULONG Bus, HALP_PCI_VISIT *Visit);
BOOLEAN HalpPciBusKnown(ULONG Bus);
const char *HalpPciClassName(UCHAR Class, UCHAR SubClass, BOOLEAN Brief);
