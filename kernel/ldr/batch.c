// SPDX-License-Identifier: MIT
// /RUN: a whole run without anybody watching, ended by a verdict.
//
// All modules that are drivers are loaded in order; the first that fails ends the run. The rest is
// given time: /RUNFOR=SECONDS, or else until nothing is left to do, which is when at two clock
// ticks in a row no DPC was queued or running and no other thread was ready. Then they are unloaded
// in reverse and asked what they left. The exit statuses are the command line's contract (docs): 0
// clean, 1 did not load or start, 4 left something behind.
#include "ldrp.h"

static VOID LdrpWait(VOID)
{
    LARGE_INTEGER Tick = {.QuadPart = -(LONGLONG)HAL_CLOCK_INCREMENT};
    LARGE_INTEGER Time = {.QuadPart = -(LONGLONG)KdQueryOptionNumber("RUNFOR", 0) * 10000000};

    if (Time.QuadPart != 0) {
        KeDelayExecutionThread(KernelMode, FALSE, &Time);
        KdRunDeferred();
        return;
    }
    for (ULONG Quiet = 0; Quiet < 2; Quiet = KeOthersIdle() ? Quiet + 1 : 0) {
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
        KdRunDeferred();
    }
}

static BOOLEAN LdrpIsDriverName(const char *Name)
{
    SIZE_T Length = strlen(Name);
    return Length > 4 && _stricmp(Name + Length - 4, ".sys") == 0;
}

DECLSPEC_NORETURN static VOID LdrpFailed(const char *Name, NTSTATUS Status)
{
    char Words[160];
    RtlFormat(Words, sizeof(Words), "failed: %s: 0x%08X %s", Name, (ULONG)Status,
              RtlStatusName(Status));
    KdEndRun(1, Words);
}

// Unloads in reverse. Returns what was left behind; drivers without an unload routine are counted
// apart.
static ULONG LdrpUnloadAll(PULONG Stayed)
{
    ULONG Total = 0, Leaks;

    *Stayed = 0;
    for (PLIST_ENTRY Entry = LdrDriverList.Blink, Previous; Entry != &LdrDriverList;
         Entry = Previous) {
        Previous = Entry->Blink;
        if (!NT_SUCCESS(LdrUnloadDriver(CONTAINING_RECORD(Entry, LDR_DRIVER, ListEntry), &Leaks)))
            ++*Stayed;
        Total += Leaks;
    }
    return Total;
}

DECLSPEC_NORETURN VOID LdrRunBatch(VOID)
{
    extern LOADER_BLOCK KeLoaderBlockStorage;
    char Words[160];
    ULONG Count = 0, Stayed;
    PLDR_DRIVER Driver;

    for (ULONG i = 0; i < KeLoaderBlockStorage.ModuleCount; i++) {
        const char *Name = KeLoaderBlockStorage.Module[i].Name;
        if (!LdrpIsDriverName(Name))
            continue;
        NTSTATUS Status = LdrLoadDriver(Name, &Driver);
        if (!NT_SUCCESS(Status))
            LdrpFailed(Name, Status);
        Count++;
    }
    KdRunOptionCommands();
    LdrpWait();
    ULONG Leaks = LdrpUnloadAll(&Stayed);
    if (Leaks != 0) {
        RtlFormat(Words, sizeof(Words), "left behind: %u thing%s, listed above", Leaks,
                  Leaks == 1 ? "" : "s");
        KdEndRun(4, Words);
    }
    RtlFormat(Words, sizeof(Words), "clean: %u driver%s loaded, ran and unloaded%s", Count,
              Count == 1 ? "" : "s", Stayed != 0 ? " (those that can be)" : "");
    KdEndRun(0, Words);
}
