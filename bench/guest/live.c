// SPDX-License-Identifier: MIT
// What a pool pair costs while a thousand, a million, ten million blocks live.
//
// All live at once, 16 bytes each, in the order of an array; then a thousand of them, chosen at
// random among all, are freed and as many allocated, again and again: pages all over the pool give
// and take blocks. Every figure is a line "BENCH key instructions", of one free and one allocation.
// How many there can be is a matter of RAM, and on i386 of addresses: what does not fit is not
// reported.
#include "ticks.h"

#define TAG    0x6576694Cu  // "Live"
#define BATCH  1000u
#define ROUNDS 100u

static ULONG Chosen[BATCH];

// Distinct places among Count: one of each Count / BATCH, so that none is chosen twice.
static VOID Choose(ULONG Count)
{
    static ULONG Seed = 1;
    ULONG Part = Count / BATCH;

    for (ULONG i = 0; i < BATCH; i++) {
        Seed = Seed * 1664525u + 1013904223u;
        Chosen[i] = i * Part + (Seed >> 4) % Part;
    }
    for (ULONG i = BATCH - 1; i > 0; i--) {
        Seed = Seed * 1664525u + 1013904223u;
        ULONG Other = (Seed >> 8) % (i + 1), Place = Chosen[i];
        Chosen[i] = Chosen[Other];
        Chosen[Other] = Place;
    }
}

static ULONG64 ReplaceChosen(PVOID *Blocks)
{
    ULONG64 Start = Now();

    for (ULONG i = 0; i < BATCH; i++)
        ExFreePoolWithTag(Blocks[Chosen[i]], TAG);
    for (ULONG i = 0; i < BATCH; i++)
        Blocks[Chosen[i]] = ExAllocatePoolWithTag(NonPagedPool, 16, TAG);
    return Now() - Start;
}

static VOID Measure(const char *Key, PVOID *Blocks, ULONG Count)
{
    ULONG64 Ticks = 0;

    for (ULONG Round = 0; Round < ROUNDS; Round++) {
        Choose(Count);
        Ticks += ReplaceChosen(Blocks);
    }
    DbgPrint("BENCH %s %lu\n", Key, (ULONG)(Ticks / ROUNDS / BATCH));
}

// Allocates blocks from *Live on, up to Count. FALSE: there is no memory.
static BOOLEAN Populate(PVOID *Blocks, ULONG *Live, ULONG Count)
{
    for (; *Live < Count; ++*Live) {
        Blocks[*Live] = ExAllocatePoolWithTag(NonPagedPool, 16, TAG);
        if (Blocks[*Live] == NULL)
            return FALSE;
    }
    return TRUE;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    static const struct {
        const char *Key;
        ULONG Count;
    } Steps[] = {{"live-1K", 1000}, {"live-1M", 1000000}, {"live-10M", 10000000}};
    const ULONG Most = Steps[RTL_NUMBER_OF(Steps) - 1].Count;
    PVOID *Blocks = ExAllocatePoolWithTag(PagedPool, Most * sizeof(PVOID), TAG);
    ULONG Live = 0;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (Blocks == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Steps) && Populate(Blocks, &Live, Steps[i].Count); i++)
        Measure(Steps[i].Key, Blocks, Steps[i].Count);
    while (Live != 0)
        ExFreePoolWithTag(Blocks[--Live], TAG);
    ExFreePoolWithTag(Blocks, TAG);
    return STATUS_SUCCESS;
}
