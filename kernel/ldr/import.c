// SPDX-License-Identifier: MIT
// Imports: binding a driver's names to the kernel's exports and to other drivers'.
//
// A name is searched in the export table whatever library the driver names it from, ntoskrnl.exe or
// HAL.dll in any case: which of the two held a routine changed between versions and architectures.
// Any other library must be a loaded driver, by its file name. All missing names are listed before
// the driver is refused, because the second missing name is as interesting as the first.
//
// With /IMPORTS=TRAP a missing import is bound to a thunk of its own, a few bytes of code that jump
// to LdrpTrapEntry with the import's index; the first call stops the system and names routine,
// driver and call site. Thunks lie in one executable page range of the driver images' region.
#include "ldrp.h"

typedef struct _LDR_TRAP {
    PLDR_DRIVER Driver;
    char Name[72];
} LDR_TRAP;

static LDR_TRAP LdrTraps[LDR_MAX_TRAPS];
static UCHAR *LdrThunks; // LDR_MAX_TRAPS thunks, reserved at the first need

static const EXPORT_ENTRY *LdrpFindKernelExport(const char *Name)
{
    const EXPORT_ENTRY *Low = ExportTableStart, *High = ExportTableEnd;

    while (Low < High) {
        const EXPORT_ENTRY *Middle = Low + (High - Low) / 2;
        int Order = strcmp(Name, Middle->Name);
        if (Order == 0)
            return Middle;
        if (Order < 0)
            High = Middle;
        else
            Low = Middle + 1;
    }
    return NULL;
}

static BOOLEAN LdrpIsKernelLibrary(const char *Library)
{
    return _stricmp(Library, "ntoskrnl.exe") == 0 || _stricmp(Library, "hal.dll") == 0 ||
           _stricmp(Library, "ntkrnlpa.exe") == 0 || _stricmp(Library, "ntkrnlmp.exe") == 0;
}

static ULONG_PTR LdrpResolve(const char *Library, const char *Name, ULONG Ordinal,
                             BOOLEAN *Forwarder)
{
    *Forwarder = FALSE;
    if (LdrpIsKernelLibrary(Library)) {
        const EXPORT_ENTRY *Entry = Name != NULL ? LdrpFindKernelExport(Name) : NULL;
        return Entry != NULL ? (ULONG_PTR)Entry->Address : 0;
    }
    PLDR_DRIVER Exporter = LdrFindDriver(Library);
    return Exporter != NULL ? PeFindExport((const UCHAR *)Exporter->Base, Exporter->Size, Name,
                                           Ordinal, Forwarder)
                            : 0;
}

// ---- traps --------------------------------------------------------------------------------------

VOID LdrpImportTrapped(ULONG Index, ULONG_PTR CallSite);
VOID LdrpImportTrapped(ULONG Index, ULONG_PTR CallSite)
{
    char Site[160], Sentence[320];

    KdSymbolize(CallSite - 1, Site, sizeof(Site));
    RtlFormat(Sentence, sizeof(Sentence), "%s called %s, which this kernel does not export, at %s.",
              LdrTraps[Index].Driver->Name, LdrTraps[Index].Name, Site);
    KiBugCheck(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(ULONG)STATUS_ENTRYPOINT_NOT_FOUND, CallSite,
               (ULONG_PTR)LdrTraps[Index].Name, LdrTraps[Index].Driver->Base, NULL, Sentence);
}

static BOOLEAN LdrpCreateThunks(VOID)
{
    SIZE_T Pages = BYTES_TO_PAGES(LDR_MAX_TRAPS * LDR_THUNK_SIZE);
    UCHAR *Thunks = MmReserveSystemRange(MmRegionSystemImages, Pages);

    if (Thunks == NULL || !MmCommitSystemRange(Thunks, Pages, MM_READ | MM_WRITE, MM_PAGE_ANY))
        return FALSE;
    for (ULONG i = 0; i < LDR_MAX_TRAPS; i++)
        LdrpWriteThunk(Thunks + i * LDR_THUNK_SIZE, i);
    MmProtectSystemRange(Thunks, Pages, MM_READ | MM_EXECUTE);
    LdrThunks = Thunks;
    return TRUE;
}

// Returns the address of a thunk that stands for the missing import, 0 when there are too many.
static ULONG_PTR LdrpTrapImport(PLDR_DRIVER Driver, const char *Name, ULONG Ordinal)
{
    if (LdrThunks == NULL && !LdrpCreateThunks())
        return 0;
    for (ULONG i = 0; i < LDR_MAX_TRAPS; i++) {
        if (LdrTraps[i].Driver != NULL)
            continue;
        LdrTraps[i].Driver = Driver;
        if (Name != NULL)
            RtlFormat(LdrTraps[i].Name, sizeof(LdrTraps[i].Name), "%s", Name);
        else
            RtlFormat(LdrTraps[i].Name, sizeof(LdrTraps[i].Name), "ordinal %u", Ordinal);
        return (ULONG_PTR)LdrThunks + i * LDR_THUNK_SIZE;
    }
    return 0;
}

VOID LdrpReleaseTraps(PLDR_DRIVER Driver)
{
    for (ULONG i = 0; i < LDR_MAX_TRAPS; i++)
        if (LdrTraps[i].Driver == Driver)
            LdrTraps[i].Driver = NULL;
}

// ---- binding ------------------------------------------------------------------------------------

static VOID LdrpReportMissing(const LDR_BIND *Bind, const char *Library, const char *Name,
                              ULONG Ordinal, BOOLEAN Forwarder)
{
    const char *Why = Forwarder ? " (a forwarder)" : "";
    if (Name != NULL)
        KLOG("ldr", "%s: missing import %s!%s%s", Bind->Driver->Name, Library, Name, Why);
    else
        KLOG("ldr", "%s: missing import %s ordinal %u%s", Bind->Driver->Name, Library, Ordinal,
             Why);
}

static BOOLEAN LdrpBindImport(VOID *Context, const char *Library, const char *Name, ULONG Ordinal,
                              ULONG_PTR *Slot)
{
    LDR_BIND *Bind = Context;
    BOOLEAN Forwarder;
    ULONG_PTR Address = LdrpResolve(Library, Name, Ordinal, &Forwarder);

    if (Address == 0) {
        LdrpReportMissing(Bind, Library, Name, Ordinal, Forwarder);
        Bind->Missing++;
        Address = Bind->Trap ? LdrpTrapImport(Bind->Driver, Name, Ordinal) : 0;
    } else {
        Bind->Bound++;
    }
    *Slot = Address;
    return TRUE;
}

BOOLEAN LdrpBindImports(PPE_IMAGE Image, PLDR_DRIVER Driver, PULONG Missing)
{
    char Mode[8] = "";
    LDR_BIND Bind = {.Driver = Driver};

    KdQueryOption("IMPORTS", Mode, sizeof(Mode));
    Bind.Trap = _stricmp(Mode, "trap") == 0;
    BOOLEAN Walked = PeWalkImports(Image, (UCHAR *)Driver->Base, LdrpBindImport, &Bind);
    *Missing = Bind.Trap ? 0 : Bind.Missing;
    return Walked;
}

// MmGetSystemRoutineAddress: the address of a routine that the kernel or HAL exports.
//   SystemRoutineName  its name, case-sensitive, resident.
// IRQL: PASSIVE_LEVEL. Fails: NULL when there is no such routine. Source: WDK wdm.h
// MmGetSystemRoutineAddress.
PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName);
PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)
{
    char Name[72];
    ULONG Length = SystemRoutineName->Length / sizeof(WCHAR);

    ASSERT_IRQL_AT_MOST(PASSIVE_LEVEL);
    if (Length >= sizeof(Name))
        return NULL;
    for (ULONG i = 0; i < Length; i++) {
        if (SystemRoutineName->Buffer[i] > 0x7E)
            return NULL;
        Name[i] = (char)SystemRoutineName->Buffer[i];
    }
    Name[Length] = 0;
    const EXPORT_ENTRY *Entry = LdrpFindKernelExport(Name);
    return Entry != NULL ? (PVOID)Entry->Address : NULL;
}
EXPORT(MmGetSystemRoutineAddress, PASSIVE_LEVEL, "WDK wdm.h MmGetSystemRoutineAddress");
