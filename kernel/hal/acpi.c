// SPDX-License-Identifier: MIT
// acpi.c: what ACPI's static tables say about the machine.
//
// Firmware describes here what cannot be probed: interrupt controllers and how the ISA interrupts
// are wired to them, the timers, how to reset and to switch off. AML is not interpreted. The one
// thing taken from it is \_S5, a constant package that is found by its name's bytes.
//
// Nothing in a table is trusted. A table is a view (start, length), and each field is read through
// AcpiField, which yields 0 outside the view; lists end at their table's end or when an entry's own
// length makes no progress; every array has a bound. A table with a bad checksum is passed over.
//
// The parsers take a pointer and a length, so tests/host drives them directly (test_acpi.c,
// fuzz_acpi.c). Observability: `hwinfo`.
#include "acpi.h"
#include "hal.h"
#include "init.h"
#include "kd.h"
#include "rtl.h"

#define ROOT_LENGTH_V1   20u
#define MADT_ENTRIES     44u
#define MADT_PCAT_COMPAT 1u
#define APIC_ENABLED     1u
#define FADT_TIMER_WIDE  (1u << 8)
#define FADT_HAS_RESET   (1u << 10)
#define FADT_REDUCED     (1u << 20)

typedef struct _ACPI_VIEW {
    const UCHAR *Data;
    SIZE_T Length;
} ACPI_VIEW;

// Size bytes at Offset, little endian; 0 when they are not all inside.
static ULONG64 INIT_CODE AcpiField(ACPI_VIEW View, SIZE_T Offset, ULONG Size)
{
    ULONG64 Value = 0;
    if (Offset > View.Length || View.Length - Offset < Size)
        return 0;
    for (ULONG i = 0; i < Size; i++)
        Value |= (ULONG64)View.Data[Offset + i] << (8 * i);
    return Value;
}

static ACPI_REGISTER INIT_CODE AcpiRegister(ACPI_VIEW View, SIZE_T Offset)
{
    ACPI_REGISTER Register;
    Register.Space = (UCHAR)AcpiField(View, Offset, 1);
    Register.Bits = (UCHAR)AcpiField(View, Offset + 1, 1);
    Register.Address = AcpiField(View, Offset + 4, 8);
    return Register;
}

// The extended form where the table has it, else the old 32-bit port number.
static ACPI_REGISTER INIT_CODE AcpiBlock(ACPI_VIEW Fadt, SIZE_T Old, SIZE_T Extended)
{
    ACPI_REGISTER Register = AcpiRegister(Fadt, Extended);
    if (Register.Address == 0) {
        Register.Space = ACPI_SPACE_IO;
        Register.Bits = 16;
        Register.Address = AcpiField(Fadt, Old, 4);
    }
    return Register;
}

static BOOLEAN INIT_CODE AcpiChecksum(const UCHAR *Data, SIZE_T Length)
{
    UCHAR Sum = 0;
    for (SIZE_T i = 0; i < Length; i++)
        Sum = (UCHAR)(Sum + Data[i]);
    return Sum == 0;
}

BOOLEAN INIT_CODE HalpAcpiParseRoot(const VOID *Data, SIZE_T Length, PULONG64 RsdtAddress,
                                    PULONG64 XsdtAddress)
{
    ACPI_VIEW View = {Data, Length};
    if (Length < ROOT_LENGTH_V1 || memcmp(Data, "RSD PTR ", 8) != 0 ||
        !AcpiChecksum(Data, ROOT_LENGTH_V1))
        return FALSE;
    *RsdtAddress = AcpiField(View, 16, 4);
    *XsdtAddress = 0;
    if (AcpiField(View, 15, 1) >= 2 && Length >= ACPI_RSDP_LENGTH &&
        AcpiChecksum(Data, ACPI_RSDP_LENGTH))
        *XsdtAddress = AcpiField(View, 24, 8);
    return TRUE;
}

BOOLEAN INIT_CODE HalpAcpiTableValid(const VOID *Table, SIZE_T Length)
{
    ACPI_VIEW View = {Table, Length};
    return Length >= ACPI_HEADER_LENGTH && AcpiField(View, 4, 4) == Length &&
           AcpiChecksum(Table, Length);
}

// ---- MADT ---------------------------------------------------------------------------------------
// Nobody: the id that stands for all processors. Firmware has been seen to list one twice, in both
// forms.
static VOID INIT_CODE AcpiAddProcessor(HALP_ACPI *Acpi, ULONG ApicId, ULONG Nobody, ULONG Flags)
{
    if (!(Flags & APIC_ENABLED) || ApicId == Nobody || Acpi->ProcessorCount == ACPI_MAX_PROCESSORS)
        return;
    for (ULONG i = 0; i < Acpi->ProcessorCount; i++)
        if (Acpi->ApicId[i] == ApicId)
            return;
    Acpi->ApicId[Acpi->ProcessorCount++] = ApicId;
}

static VOID INIT_CODE AcpiAddIoApic(HALP_ACPI *Acpi, ACPI_VIEW Entry)
{
    if (Acpi->IoApicCount == ACPI_MAX_IO_APICS || Entry.Length < 12)
        return;
    ACPI_IO_APIC *IoApic = &Acpi->IoApic[Acpi->IoApicCount++];
    IoApic->Id = (UCHAR)AcpiField(Entry, 2, 1);
    IoApic->Address = (ULONG)AcpiField(Entry, 4, 4);
    IoApic->GsiBase = (ULONG)AcpiField(Entry, 8, 4);
}

static VOID INIT_CODE AcpiAddOverride(HALP_ACPI *Acpi, ACPI_VIEW Entry)
{
    if (Acpi->OverrideCount == ACPI_MAX_OVERRIDES || Entry.Length < 10 ||
        AcpiField(Entry, 2, 1) != 0)
        return;
    ACPI_OVERRIDE *Override = &Acpi->Override[Acpi->OverrideCount++];
    Override->Source = (UCHAR)AcpiField(Entry, 3, 1);
    Override->Gsi = (ULONG)AcpiField(Entry, 4, 4);
    Override->Flags = (USHORT)AcpiField(Entry, 8, 2);
}

static VOID INIT_CODE AcpiAddNmi(HALP_ACPI *Acpi, ACPI_NMI Nmi)
{
    if (Acpi->NmiCount < ACPI_MAX_NMIS)
        Acpi->Nmi[Acpi->NmiCount++] = Nmi;
}

static VOID INIT_CODE AcpiMadtEntry(HALP_ACPI *Acpi, ACPI_VIEW Entry)
{
    USHORT Flags;
    switch (AcpiField(Entry, 0, 1)) {
    case 0:  // a processor and its local APIC
        AcpiAddProcessor(Acpi, (ULONG)AcpiField(Entry, 3, 1), 0xFF,
                         (ULONG)AcpiField(Entry, 4, 4));
        break;
    case 1:
        AcpiAddIoApic(Acpi, Entry);
        break;
    case 2:
        AcpiAddOverride(Acpi, Entry);
        break;
    case 3:  // an input of an I/O APIC is an NMI
        Flags = (USHORT)AcpiField(Entry, 2, 2);
        AcpiAddNmi(Acpi, (ACPI_NMI){FALSE, Flags, 0, (ULONG)AcpiField(Entry, 4, 4)});
        break;
    case 4:  // a pin of local APICs is an NMI
        Flags = (USHORT)AcpiField(Entry, 3, 2);
        AcpiAddNmi(Acpi, (ACPI_NMI){TRUE, Flags, (UCHAR)AcpiField(Entry, 2, 1),
                                    (ULONG)AcpiField(Entry, 5, 1)});
        break;
    case 5:  // the local APICs are elsewhere, in 64 bits
        if (AcpiField(Entry, 4, 8) != 0)
            Acpi->LocalApicAddress = AcpiField(Entry, 4, 8);
        break;
    case 9:  // a processor whose APIC number needs more than 8 bits
        AcpiAddProcessor(Acpi, (ULONG)AcpiField(Entry, 4, 4), 0xFFFFFFFF,
                         (ULONG)AcpiField(Entry, 8, 4));
        break;
    }
}

static VOID INIT_CODE AcpiParseMadt(HALP_ACPI *Acpi, ACPI_VIEW Madt)
{
    Acpi->HasMadt = TRUE;
    Acpi->LocalApicAddress = AcpiField(Madt, 36, 4);
    Acpi->HasLegacyPics = (AcpiField(Madt, 40, 4) & MADT_PCAT_COMPAT) != 0;
    for (SIZE_T Offset = MADT_ENTRIES; Offset + 2 <= Madt.Length;) {
        SIZE_T Length = (SIZE_T)AcpiField(Madt, Offset + 1, 1);
        if (Length < 2 || Length > Madt.Length - Offset)
            return;
        AcpiMadtEntry(Acpi, (ACPI_VIEW){Madt.Data + Offset, Length});
        Offset += Length;
    }
}

// ---- FADT ---------------------------------------------------------------------------------------
static VOID INIT_CODE AcpiParseFadtTimer(HALP_ACPI *Acpi, ACPI_VIEW Fadt, ULONG Flags)
{
    ACPI_REGISTER Timer = AcpiRegister(Fadt, 208);
    ULONG64 Port = AcpiField(Fadt, 76, 4);
    if (Port == 0 && Timer.Space == ACPI_SPACE_IO)
        Port = Timer.Address;
    Acpi->PmTimerPort = Port <= 0xFFFC ? (ULONG)Port : 0;
    Acpi->PmTimerWide = (Flags & FADT_TIMER_WIDE) != 0;
}

static VOID INIT_CODE AcpiParseFadt(HALP_ACPI *Acpi, ACPI_VIEW Fadt)
{
    ULONG Flags = (ULONG)AcpiField(Fadt, 112, 4);
    Acpi->HasFadt = TRUE;
    Acpi->FadtRevision = (UCHAR)AcpiField(Fadt, 8, 1);
    Acpi->SciInterrupt = (USHORT)AcpiField(Fadt, 46, 2);
    Acpi->SmiCommand = (ULONG)AcpiField(Fadt, 48, 4);
    Acpi->AcpiEnable = (UCHAR)AcpiField(Fadt, 52, 1);
    Acpi->Century = (UCHAR)AcpiField(Fadt, 108, 1);
    Acpi->BootFlags = Acpi->FadtRevision >= 3 ? (USHORT)AcpiField(Fadt, 109, 2) : ACPI_BOOT_8042;
    Acpi->Pm1aControl = AcpiBlock(Fadt, 64, 172);
    Acpi->Pm1bControl = AcpiBlock(Fadt, 68, 184);
    if (Flags & FADT_REDUCED)
        Acpi->SleepControl = AcpiRegister(Fadt, 244);
    if (Flags & FADT_HAS_RESET)
        Acpi->Reset = AcpiRegister(Fadt, 116);
    Acpi->ResetValue = (UCHAR)AcpiField(Fadt, 128, 1);
    Acpi->DsdtAddress = AcpiField(Fadt, 140, 8);
    if (Acpi->DsdtAddress == 0)
        Acpi->DsdtAddress = AcpiField(Fadt, 40, 4);
    AcpiParseFadtTimer(Acpi, Fadt, Flags);
}

// ---- \_S5 ---------------------------------------------------------------------------------------
#define AML_ZERO    0x00u
#define AML_ONE     0x01u
#define AML_NAME    0x08u
#define AML_BYTE    0x0Au
#define AML_WORD    0x0Bu
#define AML_DWORD   0x0Cu
#define AML_PACKAGE 0x12u

// An integer constant at *Offset, which moves past it. FALSE: something else is there.
static BOOLEAN INIT_CODE AmlConstant(ACPI_VIEW Aml, SIZE_T *Offset, UCHAR *Value)
{
    UCHAR Code = (UCHAR)AcpiField(Aml, *Offset, 1);
    ULONG Size = Code == AML_BYTE ? 1 : Code == AML_WORD ? 2 : Code == AML_DWORD ? 4 : 0;
    if (*Offset >= Aml.Length || (Size == 0 && Code != AML_ZERO && Code != AML_ONE))
        return FALSE;
    *Value = Size == 0 ? Code : (UCHAR)AcpiField(Aml, *Offset + 1, Size);
    *Offset += 1 + Size;
    return TRUE;
}

// Name (_S5_, Package (n) {a, b, ...}), with Offset just behind the four letters.
static BOOLEAN INIT_CODE AmlS5Package(HALP_ACPI *Acpi, ACPI_VIEW Aml, SIZE_T Offset)
{
    if (AcpiField(Aml, Offset, 1) != AML_PACKAGE)
        return FALSE;
    Offset +=
        2 + (SIZE_T)(AcpiField(Aml, Offset + 1, 1) >> 6);  // the length says how long it is itself
    if (AcpiField(Aml, Offset++, 1) < 2)
        return FALSE;
    return AmlConstant(Aml, &Offset, &Acpi->S5TypeA) && AmlConstant(Aml, &Offset, &Acpi->S5TypeB);
}

static VOID INIT_CODE AcpiFindS5(HALP_ACPI *Acpi, ACPI_VIEW Aml)
{
    for (SIZE_T At = ACPI_HEADER_LENGTH + 1; At + 8 <= Aml.Length && !Acpi->HasS5; At++) {
        if (Aml.Data[At] != '_' || memcmp(Aml.Data + At, "_S5_", 4) != 0)
            continue;
        UCHAR Before = Aml.Data[At - 1];
        if (Before == AML_NAME || (Before == '\\' && Aml.Data[At - 2] == AML_NAME))
            Acpi->HasS5 = AmlS5Package(Acpi, Aml, At + 4);
    }
}

VOID INIT_CODE HalpAcpiParseTable(HALP_ACPI *Acpi, const VOID *Table, SIZE_T Length)
{
    ACPI_VIEW View = {Table, Length};
    if (memcmp(Table, "APIC", 4) == 0)
        AcpiParseMadt(Acpi, View);
    else if (memcmp(Table, "FACP", 4) == 0)
        AcpiParseFadt(Acpi, View);
    else if (memcmp(Table, "HPET", 4) == 0 && AcpiField(View, 40, 1) == ACPI_SPACE_MEMORY)
        Acpi->HpetAddress = AcpiField(View, 44, 8);
    else if (memcmp(Table, "DSDT", 4) == 0 || memcmp(Table, "SSDT", 4) == 0)
        AcpiFindS5(Acpi, View);
}

// ---- finding them -------------------------------------------------------------------------------
static VOID INIT_CODE AcpiRecordTable(HALP_ACPI *Acpi, ULONG64 Address, ACPI_VIEW Table)
{
    if (Acpi->TableCount == ACPI_MAX_TABLES)
        return;
    ULONG Index = Acpi->TableCount++;
    memcpy(Acpi->Table[Index].Signature, Table.Data, 4);
    Acpi->Table[Index].Revision = Table.Data[8];
    Acpi->Table[Index].Length = (ULONG)Table.Length;
    Acpi->Table[Index].Address = Address;
}

// Maps the whole table at Address if it is one. NULL: it is not.
static const VOID INIT_CODE *AcpiMapTable(ULONG64 Address, SIZE_T *Length)
{
    const UCHAR *Header = Address != 0 ? HalMapPhysical(Address, ACPI_HEADER_LENGTH, TRUE) : NULL;
    if (Header == NULL)
        return NULL;
    *Length = (SIZE_T)AcpiField((ACPI_VIEW){Header, ACPI_HEADER_LENGTH}, 4, 4);
    HalUnmapPhysical((PVOID)Header, ACPI_HEADER_LENGTH);
    if (*Length < ACPI_HEADER_LENGTH || *Length > ACPI_MAX_LENGTH)
        return NULL;
    PVOID Table = HalMapPhysical(Address, *Length, TRUE);
    if (Table == NULL || HalpAcpiTableValid(Table, *Length))
        return Table;
    KLOG("hal", "ACPI table at %llx has a bad checksum, ignored", Address);
    HalUnmapPhysical(Table, *Length);
    return NULL;
}

static VOID INIT_CODE AcpiLoadTable(HALP_ACPI *Acpi, ULONG64 Address)
{
    SIZE_T Length;
    const VOID *Table = AcpiMapTable(Address, &Length);
    if (Table == NULL)
        return;
    AcpiRecordTable(Acpi, Address, (ACPI_VIEW){Table, Length});
    HalpAcpiParseTable(Acpi, Table, Length);
    HalUnmapPhysical((PVOID)Table, Length);
}

// Every table that the root table at Address lists. FALSE: there is no such root table.
static BOOLEAN INIT_CODE AcpiLoadRootTable(HALP_ACPI *Acpi, ULONG64 Address, ULONG EntrySize,
                                           const char *Signature)
{
    SIZE_T Length;
    const VOID *Table = AcpiMapTable(Address, &Length);
    if (Table == NULL)
        return FALSE;
    BOOLEAN Right = memcmp(Table, Signature, 4) == 0;
    SIZE_T Count = (Length - ACPI_HEADER_LENGTH) / EntrySize;
    for (SIZE_T i = 0; Right && i < Count && i < ACPI_MAX_TABLES; i++) {
        SIZE_T Offset = ACPI_HEADER_LENGTH + i * EntrySize;
        AcpiLoadTable(Acpi, AcpiField((ACPI_VIEW){Table, Length}, Offset, EntrySize));
    }
    HalUnmapPhysical((PVOID)Table, Length);
    return Right;
}

BOOLEAN INIT_CODE HalpAcpiLoad(HALP_ACPI *Acpi, ULONG64 RootAddress)
{
    ULONG64 Rsdt, Xsdt;
    memset(Acpi, 0, sizeof(*Acpi));
    PVOID Root = RootAddress != 0 ? HalMapPhysical(RootAddress, ACPI_RSDP_LENGTH, TRUE) : NULL;
    if (Root == NULL)
        return FALSE;
    BOOLEAN Found = HalpAcpiParseRoot(Root, ACPI_RSDP_LENGTH, &Rsdt, &Xsdt);
    HalUnmapPhysical(Root, ACPI_RSDP_LENGTH);
    if (!Found)
        return FALSE;
    if (!AcpiLoadRootTable(Acpi, Xsdt, 8, "XSDT") && !AcpiLoadRootTable(Acpi, Rsdt, 4, "RSDT"))
        return FALSE;
    AcpiLoadTable(Acpi, Acpi->DsdtAddress);
    return TRUE;
}
