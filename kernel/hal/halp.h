// SPDX-License-Identifier: MIT
// halp.h: what hal's own files share.
//
// Lock order: console, screen's user of it (none); lines -> I/O APIC or 8259; PCI; CMOS; map; counter.
// Every lock is a leaf but `lines`. All are taken with interrupts off, so that any IRQL may hold them.
#pragma once

#include "arch.h"
#include "export.h"
#include "hal.h"
#include "kd.h"
#include "rtl.h"

// ---- locks: interrupts off, then spin ---------------------------------------------------------------
typedef volatile ULONG HALP_LOCK;

FORCEINLINE BOOLEAN HalpAcquireLock(HALP_LOCK *Lock)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    while (__sync_lock_test_and_set(Lock, 1) != 0)
        KiPause();
    return Enabled;
}

FORCEINLINE VOID HalpReleaseLock(HALP_LOCK *Lock, BOOLEAN Enabled)
{
    __sync_lock_release(Lock);
    KiRestoreInterrupts(Enabled);
}

// ---- options (option.c) -----------------------------------------------------------------------------
// "/NAME" or "/NAME=value" on the command line; Value may be NULL.
BOOLEAN HalpQueryOption(const LOADER_BLOCK *Block, const char *Name, char *Value, SIZE_T Size);
ULONG HalpParseNumber(const char *Text);  // decimal, or hexadecimal with 0x

// ---- consoles ---------------------------------------------------------------------------------------
typedef USHORT HALP_CELL;  // character in the low byte, VGA attribute in the high one

#define HALP_ATTRIBUTE_NORMAL   0x07u  // light grey on black
#define HALP_ATTRIBUTE_BUGCHECK 0x1Fu  // white on blue
#define HALP_CELL_OF(Character, Attribute) ((HALP_CELL)((UCHAR)(Character) | ((Attribute) << 8)))

#define HALP_TEXT_COLUMNS 80u
#define HALP_TEXT_ROWS    25u

// Puts Count cells onto the display. Called with the console lock held.
typedef VOID HALP_DRAW_ROUTINE(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count);

BOOLEAN HalpSerialInitialize(const LOADER_BLOCK *Block);
VOID HalpSerialWrite(const char *Text, SIZE_T Length);
int HalpSerialRead(VOID);                        // -1: nothing there
const char *HalpSerialName(VOID);                // "COM1", NULL: no serial port
ULONG HalpSerialPort(VOID);

VOID HalpScreenAttach(const char *Name, ULONG Rows, ULONG Columns, HALP_CELL *Cells, HALP_DRAW_ROUTINE *Draw);
VOID HalpScreenDetach(VOID);
VOID HalpScreenWrite(const char *Text, SIZE_T Length);
VOID HalpScreenClear(UCHAR Attribute);
const char *HalpScreenName(PULONG Rows, PULONG Columns);  // NULL: no screen

BOOLEAN HalpVgaTextInitialize(VOID);

// Shadow has room for HalFramebufferShadowSize bytes; NULL: 80 x 25 cells in the upper left corner.
VOID HalpFramebufferInitialize(const LOADER_DISPLAY *Display, PVOID Mapping, PVOID Shadow);

VOID HalpKeyboardInitialize(VOID);
int HalpKeyboardRead(VOID);                      // -1: nothing there
BOOLEAN HalpKeyboardPresent(VOID);
BOOLEAN HalpKeyboardController(UCHAR Command);   // sends a command to the i8042; FALSE: none there

// Firmware says what the machine lacks (ACPI's boot architecture flags).
VOID HalpConsoleForgetKeyboard(VOID);
