// SPDX-License-Identifier: MIT
// What gdb may ask of this kernel: memory, drivers, the memory map.
//
// Memory is read and written by copies that may fault (KeSafeCopy), with write protection switched
// off meanwhile, so that a breakpoint goes into read-only text. Nothing is paged in: what is not
// there is reported as not there.
//
// The list of libraries is the list of loaded
// drivers, every section at its address, so that gdb loads their symbols by itself. The memory map
// is what can be addressed at all; it must not say more, because gdb asks for it once and the
// system's regions appear after that.
#include "kdgdb.h"

#define CR0_WP 0x10000u

extern LIST_ENTRY LdrDriverList;

// ---- memory -------------------------------------------------------------------------------------
// Page by page, so that what lies before a hole is read.
SIZE_T KdpReadMemory(ULONG64 Address, VOID *Buffer, SIZE_T Length)
{
    SIZE_T Done = 0;
    while (Done < Length && Address + Done <= MAXULONG_PTR) {
        SIZE_T Part = PAGE_SIZE - (SIZE_T)((Address + Done) & (PAGE_SIZE - 1));
        Part = Part < Length - Done ? Part : Length - Done;
        if (!KeSafeCopy((UCHAR *)Buffer + Done, (const VOID *)(ULONG_PTR)(Address + Done), Part))
            break;
        Done += Part;
    }
    return Done;
}

BOOLEAN KdpWriteMemory(ULONG64 Address, const VOID *Buffer, SIZE_T Length)
{
    if (Address > MAXULONG_PTR)
        return FALSE;
    BOOLEAN Enabled = KiDisableInterrupts();
    ULONG_PTR Cr0 = KiReadCr0();
    KiWriteCr0(Cr0 & ~(ULONG_PTR)CR0_WP);
    BOOLEAN Written = KeSafeCopy((PVOID)(ULONG_PTR)Address, Buffer, Length);
    KiWriteCr0(Cr0);
    KiRestoreInterrupts(Enabled);
    return Written;
}

VOID KdpDescribeMemory(GDB_WINDOW *Window)
{
    static const char Entry[] = "<memory type=\"ram\" start=\"0x%llx\" length=\"0x%llx\"/>";
    if (sizeof(PVOID) == 4) {
        GdbWindowText(Window, Entry, 0ull, 1ull << 32);
        return;
    }
    GdbWindowText(Window, Entry, 0ull, 1ull << 47);
    GdbWindowText(Window, Entry, ~0ull << 47, (1ull << 47) - PAGE_SIZE);
    GdbWindowText(Window, Entry, 0ull - PAGE_SIZE, (ULONG64)PAGE_SIZE - 1);
}

// ---- drivers ------------------------------------------------------------------------------------
// A name longer than the header has room for is "/" and its offset among the strings.
static const char *KdpSectionName(const KD_COFF *Coff, const IMAGE_SECTION_HEADER *Section)
{
    ULONG Offset = 0;
    if (Section->Name[0] != '/')
        return (const char *)Section->Name;
    for (ULONG i = 1; i < sizeof(Section->Name) && isdigit(Section->Name[i]); i++)
        Offset = Offset * 10 + Section->Name[i] - '0';
    return Offset + sizeof(".debug") <= Coff->StringsLength ? Coff->Strings + Offset : ".debug";
}

// gdb wants to know of every section that takes up memory, in the file's order, how far it lies
// from where the file says; a PE file moves as a whole. Debugging information takes up none.
static BOOLEAN KdpIsDebugSection(const KD_COFF *Coff, const IMAGE_SECTION_HEADER *Section)
{
    return strncmp(KdpSectionName(Coff, Section), ".debug", 6) == 0;
}

static VOID KdpDescribeDriver(GDB_WINDOW *Window, const LDR_DRIVER *Driver)
{
    KD_COFF Coff;
    if (!KdpOpenCoff(Driver, &Coff))
        return;
    ULONG_PTR Moved = Driver->Base - (ULONG_PTR)Driver->PreferredBase;
    GdbWindowText(Window, "<library name=\"%s\">", Driver->Name);
    for (ULONG i = 0; i < Coff.SectionCount; i++)
        if (!KdpIsDebugSection(&Coff, &Coff.Section[i]))
            GdbWindowText(Window, "<section address=\"0x%llx\"/>", (ULONG64)Moved);
    GdbWindowText(Window, "</library>");
}

VOID KdpDescribeModules(GDB_WINDOW *Window)
{
    for (PLIST_ENTRY Entry = LdrDriverList.Flink; Entry != NULL && Entry != &LdrDriverList;
         Entry = Entry->Flink)
        KdpDescribeDriver(Window, CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry));
}
