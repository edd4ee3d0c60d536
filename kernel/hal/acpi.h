// SPDX-License-Identifier: MIT
// acpi.h: what hal takes from ACPI's tables. Needs nothing of the processor: host tests include it.
#pragma once

#include "nt/nt.h"

#define ACPI_MAX_IO_APICS   16u
#define ACPI_MAX_OVERRIDES  24u
#define ACPI_MAX_NMIS       16u
#define ACPI_MAX_PROCESSORS 256u
#define ACPI_MAX_TABLES     48u
#define ACPI_MAX_LENGTH     0x100000u  // of one table; firmware's largest DSDTs have half of that
#define ACPI_HEADER_LENGTH  36u
#define ACPI_RSDP_LENGTH    36u

// Polarity and trigger mode as MADT entries carry them ("MPS INTI flags").
#define ACPI_POLARITY_MASK 0x3u
#define ACPI_ACTIVE_HIGH   0x1u
#define ACPI_ACTIVE_LOW    0x3u
#define ACPI_TRIGGER_MASK  0xCu
#define ACPI_EDGE          0x4u
#define ACPI_LEVEL         0xCu

// FADT's IA-PC boot architecture flags.
#define ACPI_BOOT_8042    0x0002u  // there is an i8042
#define ACPI_BOOT_NO_VGA  0x0004u
#define ACPI_BOOT_NO_MSI  0x0008u
#define ACPI_BOOT_NO_CMOS 0x0020u

// A register somewhere ("generic address structure").
#define ACPI_SPACE_MEMORY 0u
#define ACPI_SPACE_IO     1u
#define ACPI_SPACE_PCI    2u
typedef struct _ACPI_REGISTER {
    UCHAR Space;  // ACPI_SPACE_*
    UCHAR Bits;
    ULONG64 Address;  // 0: there is none
} ACPI_REGISTER;

typedef struct _ACPI_IO_APIC {
    UCHAR Id;
    ULONG Address;  // physical
    ULONG GsiBase;  // the global number of its first input
} ACPI_IO_APIC;

typedef struct _ACPI_OVERRIDE {
    UCHAR Source;  // ISA interrupt
    USHORT Flags;  // ACPI_POLARITY_MASK | ACPI_TRIGGER_MASK; 0: as the bus has it
    ULONG Gsi;
} ACPI_OVERRIDE;

typedef struct _ACPI_NMI {
    BOOLEAN Local;  // a local APIC's pin, else an I/O APIC's input
    USHORT Flags;
    UCHAR Processor;  // Local: ACPI processor id, 0xFF for all
    ULONG Input;      // LINT number or GSI
} ACPI_NMI;

typedef struct _HALP_ACPI {
    // Every table whose checksum is right, for the monitor.
    ULONG TableCount;
    struct {
        CHAR Signature[5];
        UCHAR Revision;
        ULONG Length;
        ULONG64 Address;
    } Table[ACPI_MAX_TABLES];

    // MADT
    BOOLEAN HasMadt;
    BOOLEAN HasLegacyPics;  // a pair of 8259s is there too
    ULONG64 LocalApicAddress;
    ULONG IoApicCount, OverrideCount, NmiCount, ProcessorCount;
    ACPI_IO_APIC IoApic[ACPI_MAX_IO_APICS];
    ACPI_OVERRIDE Override[ACPI_MAX_OVERRIDES];
    ACPI_NMI Nmi[ACPI_MAX_NMIS];
    ULONG ApicId[ACPI_MAX_PROCESSORS];  // of the processors that can be used

    // FADT
    BOOLEAN HasFadt;
    UCHAR FadtRevision;
    UCHAR Century;     // CMOS register of the century, 0: none
    USHORT BootFlags;  // ACPI_BOOT_*, valid from FadtRevision 3 on
    USHORT SciInterrupt;
    ULONG SmiCommand;  // port, 0: always in ACPI mode
    UCHAR AcpiEnable;
    ULONG PmTimerPort;    // 0: none
    BOOLEAN PmTimerWide;  // 32 bits, else 24
    ACPI_REGISTER Pm1aControl, Pm1bControl;
    ACPI_REGISTER SleepControl;  // instead of PM1 where the ACPI hardware is reduced
    ACPI_REGISTER Reset;
    UCHAR ResetValue;
    ULONG64 DsdtAddress;

    ULONG64 HpetAddress;  // 0: none
    BOOLEAN HasS5;        // the values that switch the machine off
    UCHAR S5TypeA, S5TypeB;
} HALP_ACPI;

// Reads a root pointer of at most Length bytes. FALSE: it is none, or damaged. XsdtAddress is 0
// when there is none.
BOOLEAN HalpAcpiParseRoot(const VOID *Data, SIZE_T Length, PULONG64 RsdtAddress,
                          PULONG64 XsdtAddress);

// TRUE when the Length bytes hold a whole table with the right checksum.
BOOLEAN HalpAcpiTableValid(const VOID *Table, SIZE_T Length);

// Takes what we use from a valid table of Length bytes. Tables of no interest are ignored.
VOID HalpAcpiParseTable(HALP_ACPI *Acpi, const VOID *Table, SIZE_T Length);

// Finds and parses every table that hangs from the root pointer. FALSE: there is no ACPI.
BOOLEAN HalpAcpiLoad(HALP_ACPI *Acpi, ULONG64 RootAddress);
