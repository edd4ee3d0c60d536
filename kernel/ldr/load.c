// SPDX-License-Identifier: MIT
// Loading, starting and unloading drivers.
//
// A driver comes from a boot module: the file is mapped where the boot loader left it, checked and
// laid out in the driver images' region, relocated, bound, protected section by section, and
// started. The mapped file is kept: backtraces read names from it. Nothing of a driver is trusted
// that can be checked, but from DriverEntry on its code is kernel code, as on Windows.
//
// Phases of a load share LDR_LOAD; whichever fails has logged the reason, and LdrpDiscard undoes
// what the earlier ones did. At unload every table that keeps its holders' call sites (LEAK_SOURCE)
// is asked what the driver left.
//
// An unload waits for the driver's DPCs and device work items, which may queue each other, and
// gives up on those that do it without end: DPCs are taken off their queues, but a work item is not
// the loader's to take, and a driver that has one stays, as it does on Windows. What else it left
// and comes back into the image when that is gone is bugcheck 0xCE (mm/unloaded.c).
//
// Observability: !drivers; tests/system/test_drivers.py.
#include "ldrp.h"

// DPCs and work items that queue others are awaited so often at unload, and no less than so long.
#define AWAITED_ROUNDS 1000u
#define AWAITED_TIME   20000000u // 100 ns units

#define AWAITING_PRIORITY LOW_REALTIME_PRIORITY // above all who run work items

LIST_ENTRY LdrDriverList = {&LdrDriverList, &LdrDriverList};
static PLOADER_BLOCK LdrBlock;

typedef struct _LDR_LOAD {
    PLDR_DRIVER Driver;
    PE_IMAGE Image;
    NTSTATUS Status;
} LDR_LOAD;

// Driver object, extension and names live and die together.
typedef struct _LDR_OBJECT {
    DRIVER_OBJECT Object;
    DRIVER_EXTENSION Extension;
    UNICODE_STRING RegistryPath;
    WCHAR NameText[96];
    WCHAR PathText[160];
    WCHAR ServiceText[64];
} LDR_OBJECT;

static const WCHAR LdrHardwareText[] = u"\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM";
static UNICODE_STRING LdrHardwareName = {sizeof(LdrHardwareText) - 2, sizeof(LdrHardwareText),
                                         (PWCHAR)LdrHardwareText};

// Descriptions of pool tags, for !poolused. The mapping stays.
static VOID LdrpReadPoolTags(VOID)
{
    for (ULONG i = 0; i < LdrBlock->ModuleCount; i++) {
        const LOADER_MODULE *Module = &LdrBlock->Module[i];
        if (_stricmp(Module->Name, "pooltag.txt") != 0 || Module->Length > (16u << 20))
            continue;
        const char *Text = MmMapPhysical(Module->Base, (SIZE_T)Module->Length, MM_READ, MmCached);
        if (Text != NULL)
            ExSetPoolTagFile(Text, (SIZE_T)Module->Length);
    }
}

VOID LdrInitialize(PLOADER_BLOCK Block)
{
    LdrBlock = Block;
    for (ULONG i = 0; i < Block->ModuleCount; i++)
        KLOG("ldr", "module %s, %llu bytes", Block->Module[i].Name, Block->Module[i].Length);
    LdrpReadPoolTags();
}

// ---- finding ------------------------------------------------------------------------------------

// "edu" finds "edu.sys", in any case.
static BOOLEAN LdrpSameName(const char *File, const char *Name)
{
    SIZE_T Length = strlen(Name);
    return _strnicmp(File, Name, Length) == 0 &&
           (File[Length] == 0 || _stricmp(File + Length, ".sys") == 0);
}

PLDR_DRIVER LdrFindDriver(const char *Name)
{
    for (PLIST_ENTRY Entry = LdrDriverList.Flink; Entry != &LdrDriverList; Entry = Entry->Flink) {
        PLDR_DRIVER Driver = CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry);
        if (LdrpSameName(Driver->Name, Name))
            return Driver;
    }
    return NULL;
}

PLDR_DRIVER LdrDriverOfAddress(ULONG_PTR Address)
{
    for (PLIST_ENTRY Entry = LdrDriverList.Flink; Entry != &LdrDriverList; Entry = Entry->Flink) {
        PLDR_DRIVER Driver = CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry);
        if (Address - Driver->Base < Driver->Size)
            return Driver;
    }
    return NULL;
}

static const LOADER_MODULE *LdrpFindModule(const char *Name)
{
    for (ULONG i = 0; i < LdrBlock->ModuleCount; i++)
        if (LdrpSameName(LdrBlock->Module[i].Name, Name))
            return &LdrBlock->Module[i];
    return NULL;
}

// ---- phases of a load ---------------------------------------------------------------------------

static BOOLEAN LdrpRefuse(LDR_LOAD *Load, NTSTATUS Status, const char *Reason)
{
    KLOG("ldr", "%s refused: %s", Load->Driver->Name, Reason);
    Load->Status = Status;
    return FALSE;
}

static BOOLEAN LdrpOpenFile(LDR_LOAD *Load, const LOADER_MODULE *Module)
{
    PLDR_DRIVER Driver = Load->Driver;

    if (Module->Length == 0 || Module->Length > (256u << 20))
        return LdrpRefuse(Load, STATUS_INVALID_IMAGE_FORMAT, "the file is empty or absurdly large");
    Driver->FileLength = (SIZE_T)Module->Length;
    Driver->File = MmMapPhysical(Module->Base, Driver->FileLength, MM_READ, MmCached);
    if (Driver->File == NULL)
        return LdrpRefuse(Load, STATUS_INSUFFICIENT_RESOURCES,
                          "there is no address space to read it");
    if (!PeOpen(&Load->Image, Driver->File, Driver->FileLength))
        return LdrpRefuse(Load, STATUS_INVALID_IMAGE_FORMAT, Load->Image.Reason);
    return TRUE;
}

static BOOLEAN LdrpLayOut(LDR_LOAD *Load)
{
    PLDR_DRIVER Driver = Load->Driver;
    SIZE_T Pages = Load->Image.Size >> PAGE_SHIFT;
    PVOID Base = MmReserveSystemRange(MmRegionSystemImages, Pages);

    if (Base == NULL)
        return LdrpRefuse(Load, STATUS_INSUFFICIENT_RESOURCES, "there is no address space for it");
    if (!MmCommitSystemRange(Base, Pages, MM_READ | MM_WRITE, MM_PAGE_ZEROED)) {
        MmReleaseSystemRange(Base, Pages);
        return LdrpRefuse(Load, STATUS_INSUFFICIENT_RESOURCES, "there is no memory for it");
    }
    Driver->Base = (ULONG_PTR)Base;
    Driver->Size = Load->Image.Size;
    MmForgetUnloadedDrivers(Driver->Base, Driver->Size);
    Driver->EntryPoint = Driver->Base + Load->Image.Header->AddressOfEntryPoint;
    Driver->PreferredBase = Load->Image.Header->ImageBase;
    PeCopy(&Load->Image, Base);
    if (!PeRelocate(&Load->Image, Base, Driver->Base))
        return LdrpRefuse(Load, STATUS_INVALID_IMAGE_FORMAT, Load->Image.Reason);
    return TRUE;
}

static BOOLEAN LdrpBind(LDR_LOAD *Load)
{
    char Reason[64];
    ULONG Missing;

    if (!LdrpBindImports(&Load->Image, Load->Driver, &Missing))
        return LdrpRefuse(Load, STATUS_INVALID_IMAGE_FORMAT, Load->Image.Reason);
    if (Missing == 0)
        return TRUE;
    RtlFormat(Reason, sizeof(Reason), "%u import%s missing", Missing,
              Missing == 1 ? " is" : "s are");
    return LdrpRefuse(Load, STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, Reason);
}

// Bytes of the run of pages from Offset on that have the same traits.
static SIZE_T LdrpRunOfPages(const PE_IMAGE *Image, SIZE_T Offset, ULONG *Traits)
{
    SIZE_T End = Offset;

    *Traits = PePageTraits(Image, Offset);
    do
        End += PAGE_SIZE;
    while (End < Image->Size && PePageTraits(Image, End) == *Traits);
    return End - Offset;
}

static VOID LdrpProtect(LDR_LOAD *Load)
{
    UCHAR *Base = (UCHAR *)Load->Driver->Base;
    SIZE_T Bytes;
    ULONG Traits;

    for (SIZE_T Offset = 0; Offset < Load->Image.Size; Offset += Bytes) {
        ULONG Protection = MM_READ;
        Bytes = LdrpRunOfPages(&Load->Image, Offset, &Traits);
        if ((Traits & IMAGE_SCN_MEM_WRITE) != 0)
            Protection |= MM_WRITE;
        if ((Traits & IMAGE_SCN_MEM_EXECUTE) != 0)
            Protection |= MM_EXECUTE;
        if (Protection == (MM_READ | MM_WRITE | MM_EXECUTE))
            KLOG("ldr", "%s: its bytes from 0x%X to 0x%X are writable and executable",
                 Load->Driver->Name, (ULONG)Offset, (ULONG)(Offset + Bytes - 1));
        MmProtectSystemRange(Base + Offset, Bytes >> PAGE_SHIFT, Protection);
    }
}

static VOID LdrpFindFunctionTable(LDR_LOAD *Load)
{
    const IMAGE_OPTIONAL_HEADER *Header = Load->Image.Header;

    if (sizeof(PVOID) != 8 || Header->NumberOfRvaAndSizes <= IMAGE_DIRECTORY_ENTRY_EXCEPTION)
        return;
    const IMAGE_DATA_DIRECTORY *Directory = &Header->DataDirectory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];
    if (Directory->Size == 0)
        return;
    Load->Driver->FunctionTable = (PVOID)(Load->Driver->Base + Directory->VirtualAddress);
    Load->Driver->FunctionCount = Directory->Size / 12; // three 32-bit offsets a function
}

static VOID LdrpMakeString(PUNICODE_STRING String, PWCHAR Buffer, SIZE_T Size, const char *Prefix,
                           const char *Name)
{
    ULONG Length = 0;

    for (; *Prefix != 0; Prefix++)
        Buffer[Length++] = (UCHAR)*Prefix;
    for (; *Name != 0 && *Name != '.' && (Length + 1) * sizeof(WCHAR) < Size; Name++)
        Buffer[Length++] = (UCHAR)*Name;
    Buffer[Length] = 0;
    String->Buffer = Buffer;
    String->Length = (USHORT)(Length * sizeof(WCHAR));
    String->MaximumLength = String->Length + sizeof(WCHAR);
}

static BOOLEAN LdrpCreateObject(LDR_LOAD *Load)
{
    PLDR_DRIVER Driver = Load->Driver;
    LDR_OBJECT *Box = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Box), LDR_TAG);

    if (Box == NULL)
        return LdrpRefuse(Load, STATUS_INSUFFICIENT_RESOURCES,
                          "there is no pool for its driver object");
    RtlZeroMemory(Box, sizeof(*Box));
    Box->Object.Type = 4; // IO_TYPE_DRIVER
    Box->Object.Size = sizeof(Box->Object);
    Box->Object.Flags = DRVO_LEGACY_DRIVER;
    Box->Object.DriverStart = (PVOID)Driver->Base;
    Box->Object.DriverSize = (ULONG)Driver->Size;
    Box->Object.DriverSection = Driver;
    Box->Object.DriverInit = (PDRIVER_INITIALIZE)Driver->EntryPoint;
    Box->Object.DriverExtension = &Box->Extension;
    Box->Object.HardwareDatabase = &LdrHardwareName;
    Box->Extension.DriverObject = &Box->Object;
    LdrpMakeString(&Box->Object.DriverName, Box->NameText, sizeof(Box->NameText), "\\Driver\\",
                   Driver->Name);
    LdrpMakeString(&Box->RegistryPath, Box->PathText, sizeof(Box->PathText),
                   "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\", Driver->Name);
    LdrpMakeString(&Box->Extension.ServiceKeyName, Box->ServiceText, sizeof(Box->ServiceText), "",
                   Driver->Name);
    Driver->DriverObject = &Box->Object;
    return TRUE;
}

// Calls DriverEntry and holds it to the rules every entry point has.
static BOOLEAN LdrpStart(LDR_LOAD *Load)
{
    PLDR_DRIVER Driver = Load->Driver;
    LDR_OBJECT *Box = CONTAINING_RECORD(Driver->DriverObject, LDR_OBJECT, Object);
    char Reason[96], Sentence[128];

    Driver->EntryStatus = Box->Object.DriverInit(&Box->Object, &Box->RegistryPath);
    if (KiGetIrql() != PASSIVE_LEVEL) {
        RtlFormat(Sentence, sizeof(Sentence),
                  "DriverEntry of %s returned at IRQL %u instead of PASSIVE_LEVEL.", Driver->Name,
                  KiGetIrql());
        KiBugCheck(IRQL_UNEXPECTED_VALUE, KiGetIrql(), PASSIVE_LEVEL, Driver->EntryPoint, 0, NULL,
                   Sentence);
    }
    Load->Status = Driver->EntryStatus;
    if (NT_SUCCESS(Driver->EntryStatus))
        return TRUE;
    RtlFormat(Reason, sizeof(Reason), "DriverEntry returned 0x%08X %s", (ULONG)Driver->EntryStatus,
              RtlStatusName(Driver->EntryStatus));
    KLOG("ldr", "%s: %s", Driver->Name, Reason);
    return FALSE;
}

// ---- end of a driver ----------------------------------------------------------------------------

static VOID LdrpDiscard(PLDR_DRIVER Driver)
{
    if (Driver->ListEntry.Flink != NULL) {
        RemoveEntryList(&Driver->ListEntry);
        KdNotifyModules();
    }
    LdrpReleaseTraps(Driver);
    if (Driver->DriverObject != NULL)
        ExFreePoolWithTag(CONTAINING_RECORD(Driver->DriverObject, LDR_OBJECT, Object), LDR_TAG);
    if (Driver->Base != 0) {
        if (Driver->DriverObject != NULL) // it was started
            MmNoteUnloadedDriver(Driver->Name, Driver->Base, Driver->Size);
        KeForgetLocks((PVOID)Driver->Base, Driver->Size);
        MmDecommitSystemRange((PVOID)Driver->Base, Driver->Size >> PAGE_SHIFT);
        MmReleaseSystemRange((PVOID)Driver->Base, Driver->Size >> PAGE_SHIFT);
    }
    if (Driver->File != NULL)
        MmUnmapPhysical((PVOID)Driver->File, Driver->FileLength);
    ExFreePoolWithTag(Driver, LDR_TAG);
}

static ULONG LdrpReportLeaks(const LDR_DRIVER *Driver)
{
    ULONG Leaks = 0;

    for (const LEAK_SOURCE_ENTRY *Source = LeakSourceTableStart; Source < LeakSourceTableEnd;
         Source++) {
        ULONG Count = Source->Routine(Driver->Base, Driver->Base + Driver->Size);
        if (Count != 0)
            KLOG("leak", "%s left %u %.*s", Driver->Name, Count,
                 (int)strlen(Source->What) - (Count == 1), Source->What);
        Leaks += Count;
    }
    return Leaks;
}

// The driver's last calls end: of its DPCs, on whichever processor, and of its work items. Each may
// have queued another, again and again, but not for ever. Threads that run nothing but these must
// not keep this one from seeing so.
static VOID LdrpAwaitCalls(const LDR_DRIVER *Driver)
{
    ULONG_PTR End = Driver->Base + Driver->Size;
    KPRIORITY Priority = KeSetPriorityThread(KiCurrentThread(), AWAITING_PRIORITY);
    ULONG64 Begun = KeSystemUptime();
    BOOLEAN Some = TRUE;

    for (ULONG i = 0;
         Some && (i < AWAITED_ROUNDS || KeSystemUptime() - Begun < AWAITED_TIME); i++) {
        KeFlushQueuedDpcs();
        Some = IoWaitForWorkItems(Driver->Base, End) || KeHasDpcsOf(Driver->Base, End);
    }
    KeSetPriorityThread(KiCurrentThread(), Priority);
    if (Some)
        KLOG("ldr", "%s: its DPCs and work items queue each other without end", Driver->Name);
}

// The end of a driver whose last routine has returned, or its DriverEntry failed: what it left is
// counted into *Leaks. FALSE: it stays, since work items of its have not come to rest.
static BOOLEAN LdrpFinish(PLDR_DRIVER Driver, PULONG Leaks)
{
    LdrpAwaitCalls(Driver);
    *Leaks = LdrpReportLeaks(Driver);
    if (IoHasWorkItems(Driver->Base, Driver->Base + Driver->Size)) {
        KLOG("ldr", "%s stays in memory: its work items queue themselves without end",
             Driver->Name);
        return FALSE;
    }
    return TRUE;
}

// Sections marked discardable (INIT code, relocations, debug information) are not needed after the
// start.
static VOID LdrpFreeDiscardable(LDR_LOAD *Load)
{
    MM_FLUSH Flush;
    SIZE_T Bytes;
    ULONG Traits;

    MmBeginFlush(&Flush);
    for (SIZE_T Offset = 0; Offset < Load->Image.Size; Offset += Bytes) {
        Bytes = LdrpRunOfPages(&Load->Image, Offset, &Traits);
        if ((Traits & IMAGE_SCN_MEM_DISCARDABLE) != 0)
            MmDecommitLater(&Flush, (PVOID)(Load->Driver->Base + Offset), Bytes >> PAGE_SHIFT);
    }
    MmFinishFlush(&Flush);
}

NTSTATUS LdrLoadDriver(const char *Name, PLDR_DRIVER *Driver)
{
    const LOADER_MODULE *Module = LdrpFindModule(Name);
    LDR_LOAD Load = {0};
    ULONG Leaks;

    *Driver = NULL;
    if (Module == NULL) {
        KLOG("ldr", "there is no boot module %s", Name);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (LdrFindDriver(Name) != NULL) {
        KLOG("ldr", "%s is loaded already", Module->Name);
        return STATUS_IMAGE_ALREADY_LOADED;
    }
    Load.Driver = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Load.Driver), LDR_TAG);
    if (Load.Driver == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Load.Driver, sizeof(*Load.Driver));
    RtlFormat(Load.Driver->Name, sizeof(Load.Driver->Name), "%s", Module->Name);
    if (LdrpOpenFile(&Load, Module) && LdrpLayOut(&Load) && LdrpBind(&Load) &&
        LdrpCreateObject(&Load)) {
        LdrpFindFunctionTable(&Load);
        LdrpProtect(&Load);
        InsertTailList(&LdrDriverList, &Load.Driver->ListEntry);
        KLOG("ldr", "%s at 0x%p, %llu KiB", Load.Driver->Name, (PVOID)Load.Driver->Base,
             (ULONG64)Load.Driver->Size >> 10);
        KdNotifyModules();
        if (LdrpStart(&Load)) {
            Load.Driver->Initialized = TRUE;
            Load.Driver->DriverObject->Flags |= DRVO_INITIALIZED;
            LdrpFreeDiscardable(&Load);
            *Driver = Load.Driver;
            return Load.Status;
        }
        // A failed DriverEntry must have cleaned up after itself; there will be no DriverUnload.
        Load.Driver->DriverObject->Flags |= DRVO_UNLOAD_INVOKED;
        if (!LdrpFinish(Load.Driver, &Leaks))
            return Load.Status;
    }
    LdrpDiscard(Load.Driver);
    return Load.Status;
}

static VOID LdrpCallUnload(PLDR_DRIVER Driver)
{
    char Sentence[128];

    Driver->DriverObject->Flags |= DRVO_UNLOAD_INVOKED;
    Driver->DriverObject->DriverUnload(Driver->DriverObject);
    if (KiGetIrql() == PASSIVE_LEVEL)
        return;
    RtlFormat(Sentence, sizeof(Sentence),
              "DriverUnload of %s returned at IRQL %u instead of PASSIVE_LEVEL.", Driver->Name,
              KiGetIrql());
    KiBugCheck(IRQL_UNEXPECTED_VALUE, KiGetIrql(), PASSIVE_LEVEL,
               (ULONG_PTR)Driver->DriverObject->DriverUnload, 0, NULL, Sentence);
}

NTSTATUS LdrUnloadDriver(PLDR_DRIVER Driver, PULONG Leaks)
{
    *Leaks = 0;
    if (Driver->DriverObject->DriverUnload == NULL) {
        KLOG("ldr", "%s has no DriverUnload and stays", Driver->Name);
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    if (!(Driver->DriverObject->Flags & DRVO_UNLOAD_INVOKED))
        LdrpCallUnload(Driver);
    if (!LdrpFinish(Driver, Leaks))
        return STATUS_DEVICE_BUSY;
    KLOG("ldr", "%s unloaded", Driver->Name);
    LdrpDiscard(Driver);
    return STATUS_SUCCESS;
}

// ---- monitor ------------------------------------------------------------------------------------

static BOOLEAN LdrDriversCommand(const char *Arguments)
{
    if (*Arguments != 0)
        return FALSE;
    for (PLIST_ENTRY Entry = LdrDriverList.Flink; Entry != &LdrDriverList; Entry = Entry->Flink) {
        const LDR_DRIVER *Driver = CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry);
        KdPrintf("%p - %p  %-24s object %p, unload %s\n", (PVOID)Driver->Base,
                 (PVOID)(Driver->Base + Driver->Size), Driver->Name, (PVOID)Driver->DriverObject,
                 Driver->DriverObject->DriverUnload != NULL ? "yes" : "no");
    }
    for (ULONG i = 0; LdrBlock != NULL && i < LdrBlock->ModuleCount; i++)
        if (LdrFindDriver(LdrBlock->Module[i].Name) == NULL)
            KdPrintf("not loaded: %s, %llu bytes\n", LdrBlock->Module[i].Name,
                     LdrBlock->Module[i].Length);
    MmPrintUnloadedDrivers();
    return TRUE;
}
KD_COMMAND(drivers, "!drivers", "!drivers: loaded drivers, and modules that could be",
           LdrDriversCommand, KD_SAFE_IN_BUGCHECK);
KD_COMMAND(lm, "lm", "lm: the same as !drivers", LdrDriversCommand, KD_SAFE_IN_BUGCHECK);

static BOOLEAN LdrRunCommand(const char *Arguments)
{
    PLDR_DRIVER Driver;

    if (*Arguments == 0)
        return FALSE;
    NTSTATUS Status = LdrLoadDriver(Arguments, &Driver);
    KdPrintf("%s: 0x%08X %s\n", Arguments, (ULONG)Status, RtlStatusName(Status));
    return TRUE;
}
KD_COMMAND(run, "run", "run DRIVER: load and start a boot module", LdrRunCommand, 0);

static BOOLEAN LdrUnloadCommand(const char *Arguments)
{
    PLDR_DRIVER Driver = LdrFindDriver(Arguments);
    ULONG Leaks;

    if (*Arguments == 0)
        return FALSE;
    if (Driver == NULL)
        KdPrintf("%s is not loaded.\n", Arguments);
    else if (NT_SUCCESS(LdrUnloadDriver(Driver, &Leaks)))
        KdPrintf("unloaded, %u thing%s left behind\n", Leaks, Leaks == 1 ? "" : "s");
    return TRUE;
}
KD_COMMAND(unload, "unload", "unload DRIVER: call its DriverUnload and free it", LdrUnloadCommand,
           0);
