// SPDX-License-Identifier: MIT
// Names for code addresses, in the kernel and in drivers.
//
// The kernel carries a table of its function names (tools/symbols.py makes it from the first link).
// A driver's names come from the COFF symbol table that its linker left in the file, which ldr
// keeps; a stripped driver is named by file and offset alone. Nothing here allocates or locks: a
// bugcheck uses it.
#include "kdp.h"

extern const ULONG KiSymbolCount;
typedef struct _KI_SYMBOL {
    ULONG Offset; // from KernelTextStart
    ULONG Name;   // offset into KiSymbolNames
} KI_SYMBOL;
extern const KI_SYMBOL KiSymbolTable[];
extern const char KiSymbolNames[];

static BOOLEAN KdpSymbolizeKernel(ULONG_PTR Address, char *Buffer, SIZE_T Size)
{
    ULONG Offset = (ULONG)(Address - (ULONG_PTR)KernelTextStart);
    ULONG Low = 0, High = KiSymbolCount;

    while (Low < High) {
        ULONG Middle = (Low + High) / 2;
        if (KiSymbolTable[Middle].Offset <= Offset)
            Low = Middle + 1;
        else
            High = Middle;
    }
    if (Low == 0)
        RtlFormat(Buffer, Size, "ntoskrnl+0x%x", Offset);
    else
        RtlFormat(Buffer, Size, "ntoskrnl %s+0x%x", KiSymbolNames + KiSymbolTable[Low - 1].Name,
                  Offset - KiSymbolTable[Low - 1].Offset);
    return TRUE;
}

// The symbol table lies behind the sections, its strings behind it. FALSE: there is none, or it is
// damaged.
static BOOLEAN KdpOpenSymbols(const IMAGE_FILE_HEADER *Header, SIZE_T Length, KD_COFF *Coff)
{
    ULONG64 Strings =
        Header->PointerToSymbolTable + (ULONG64)Header->NumberOfSymbols * sizeof(IMAGE_SYMBOL);
    if (Header->PointerToSymbolTable == 0 || Strings + 4 > Length)
        return FALSE;
    Coff->Symbol = (const IMAGE_SYMBOL *)(Coff->File + Header->PointerToSymbolTable);
    Coff->SymbolCount = Header->NumberOfSymbols;
    Coff->Strings = (const char *)Coff->File + Strings;
    Coff->StringsLength = (ULONG)(Length - Strings);
    return TRUE;
}

BOOLEAN KdpOpenCoff(const LDR_DRIVER *Driver, KD_COFF *Coff)
{
    SIZE_T Length = Driver->FileLength;
    const IMAGE_DOS_HEADER *Dos = (const IMAGE_DOS_HEADER *)Driver->File;

    memset(Coff, 0, sizeof(*Coff));
    if (Driver->File == NULL || Length < sizeof(*Dos) ||
        (ULONG)Dos->e_lfanew > Length - 4 - sizeof(IMAGE_FILE_HEADER))
        return FALSE;
    const IMAGE_FILE_HEADER *Header = (const IMAGE_FILE_HEADER *)(Driver->File + Dos->e_lfanew + 4);
    SIZE_T Sections = (SIZE_T)Dos->e_lfanew + 4 + sizeof(*Header) + Header->SizeOfOptionalHeader;
    if (Sections + Header->NumberOfSections * sizeof(IMAGE_SECTION_HEADER) > Length)
        return FALSE;
    Coff->File = Driver->File;
    Coff->Section = (const IMAGE_SECTION_HEADER *)(Driver->File + Sections);
    Coff->SectionCount = Header->NumberOfSections;
    KdpOpenSymbols(Header, Length, Coff);
    return TRUE;
}

static VOID KdpCoffName(const KD_COFF *Coff, const IMAGE_SYMBOL *Symbol, char *Name, SIZE_T Size)
{
    const char *Text = (const char *)Symbol->N.ShortName;
    SIZE_T Limit = sizeof(Symbol->N.ShortName);

    if (Symbol->N.Name.Short == 0) {
        ULONG Offset = Symbol->N.Name.Long;
        Text = Offset < Coff->StringsLength ? Coff->Strings + Offset : "";
        Limit = Offset < Coff->StringsLength ? Coff->StringsLength - Offset : 0;
    }
    RtlFormat(Name, Size, "%.*s", (int)strnlen(Text, Limit < 64 ? Limit : 64), Text);
}

static BOOLEAN KdpIsInSection(const IMAGE_SECTION_HEADER *Section, ULONG Rva)
{
    ULONG Size = Section->Misc.VirtualSize;

    if (Size == 0)
        Size = Section->SizeOfRawData;
    return Rva - Section->VirtualAddress < Size;
}

// The function symbol nearest below Rva, in its section. Returns its distance, or -1 when there is
// none.
static LONG KdpFindCoffSymbol(const LDR_DRIVER *Driver, ULONG Rva, char *Name, SIZE_T Size)
{
    KD_COFF Coff;
    const IMAGE_SYMBOL *Best = NULL;
    ULONG BestRva = 0;

    if (!KdpOpenCoff(Driver, &Coff))
        return -1;
    for (ULONG i = 0; i < Coff.SymbolCount; i += 1u + Coff.Symbol[i].NumberOfAuxSymbols) {
        const IMAGE_SYMBOL *Symbol = &Coff.Symbol[i];
        if (Symbol->SectionNumber < 1 || (ULONG)Symbol->SectionNumber > Coff.SectionCount)
            continue;
        const IMAGE_SECTION_HEADER *Section = &Coff.Section[Symbol->SectionNumber - 1];
        ULONG SymbolRva = Section->VirtualAddress + Symbol->Value;
        BOOLEAN Function = (Symbol->Type >> 4) == IMAGE_SYM_DTYPE_FUNCTION;
        if (!Function || !KdpIsInSection(Section, Rva) || SymbolRva > Rva ||
            (Best != NULL && SymbolRva < BestRva))
            continue;
        Best = Symbol;
        BestRva = SymbolRva;
    }
    if (Best == NULL)
        return -1;
    KdpCoffName(&Coff, Best, Name, Size);
    return (LONG)(Rva - BestRva);
}

BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size)
{
    char Name[72];

    if (KdpIsKernelCode(Address))
        return KdpSymbolizeKernel(Address, Buffer, Size);
    const LDR_DRIVER *Driver = LdrDriverOfAddress(Address);
    if (Driver == NULL) {
        RtlFormat(Buffer, Size, "0x%p", (PVOID)Address);
        return FALSE;
    }
    ULONG Rva = (ULONG)(Address - Driver->Base);
    LONG Distance = KdpFindCoffSymbol(Driver, Rva, Name, sizeof(Name));
    if (Distance < 0)
        RtlFormat(Buffer, Size, "%s+0x%x", Driver->Name, Rva);
    else
        RtlFormat(Buffer, Size, "%s+0x%x %s+0x%x", Driver->Name, Rva,
                  Name + (sizeof(PVOID) == 4 && Name[0] == '_'), (ULONG)Distance);
    return TRUE;
}

ULONG_PTR KdFindSymbol(const char *Name)
{
    for (ULONG i = 0; i < KiSymbolCount; i++)
        if (strcmp(KiSymbolNames + KiSymbolTable[i].Name, Name) == 0)
            return (ULONG_PTR)KernelTextStart + KiSymbolTable[i].Offset;
    for (const EXPORT_ENTRY *Entry = ExportTableStart; Entry < ExportTableEnd; Entry++)
        if (strcmp(Entry->Name, Name) == 0)
            return (ULONG_PTR)Entry->Address;
    return 0;
}
