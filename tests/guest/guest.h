// SPDX-License-Identifier: MIT
// Test drivers: what every one of them needs, on top of mingw-w64's DDK headers alone.
//
// A test driver is a table of cases and GUEST_DRIVER. Loaded, it runs the cases in order and
// reports in KTAP; DriverEntry fails when a case failed, so that a run is not clean. A case is
// named after the promise it checks, with the id of its row in the specification where there is
// one:
//
//     static VOID FreshBlockIsAligned(VOID)
//     {
//         PVOID Block = ExAllocatePoolWithTag(NonPagedPool, 24, 'tseT');
//         CHECK(Block != NULL);
//         CHECK_EQUAL((ULONG_PTR)Block % MEMORY_ALLOCATION_ALIGNMENT, 0);
//         ExFreePoolWithTag(Block, 'tseT');
//     }
//     static const GUEST_CASE Cases[] = {
//         {"PL-20 a block is aligned to two pointers", FreshBlockIsAligned},
//     };
//     GUEST_DRIVER(Cases)
//
// A failed CHECK says where and goes on: a case shows all that is wrong with it, and gives back
// what it took.
#pragma once

#include <ntddk.h>

typedef struct _GUEST_CASE {
    const char *Name;
    VOID (*Run)(VOID);
} GUEST_CASE;

static ULONG GuestFailures;  // failed checks of the current case

#define CHECK(e)                                                                                   \
    ((e) ? (VOID)0                                                                                 \
         : (VOID)(GuestFailures++, DbgPrint("# %s:%d: not so: %s\n", __FILE__, __LINE__, #e)))

#define CHECK_EQUAL(Seen, Expected)                                                                \
    GuestCheckEqual((ULONG64)(Seen), (ULONG64)(Expected), #Seen, #Expected, __FILE__, __LINE__)

static inline VOID GuestCheckEqual(ULONG64 Seen, ULONG64 Expected, const char *SeenText,
                                   const char *ExpectedText, const char *File, int Line)
{
    if (Seen == Expected)
        return;
    GuestFailures++;
    DbgPrint("# %s:%d: %s is 0x%I64x, expected %s, 0x%I64x\n", File, Line, SeenText, Seen,
             ExpectedText, Expected);
}

// An export by name, for those that import libraries lack or headers make inline.
static inline PVOID GuestFind(PCWSTR Name)
{
    UNICODE_STRING String;
    PVOID Address;

    RtlInitUnicodeString(&String, Name);
    Address = MmGetSystemRoutineAddress(&String);
    if (Address == NULL) {
        GuestFailures++;
        DbgPrint("# %wZ is not exported\n", &String);
    }
    return Address;
}

static inline NTSTATUS GuestRun(const GUEST_CASE *Cases, ULONG Count)
{
    ULONG Failed = 0;

    DbgPrint("KTAP version 1\n1..%u\n", Count);
    for (ULONG i = 0; i < Count; i++) {
        GuestFailures = 0;
        Cases[i].Run();
        if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
            GuestFailures++;
            DbgPrint("# left at IRQL %u\n", KeGetCurrentIrql());
            KeLowerIrql(PASSIVE_LEVEL);
        }
        DbgPrint("%s %u %s\n", GuestFailures == 0 ? "ok" : "not ok", i + 1, Cases[i].Name);
        Failed += GuestFailures != 0;
    }
    return Failed == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

static inline VOID NTAPI GuestUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

#define GUEST_DRIVER(Cases)                                                                        \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);         \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)          \
    {                                                                                              \
        UNREFERENCED_PARAMETER(RegistryPath);                                                      \
        DriverObject->DriverUnload = GuestUnload;                                                  \
        return GuestRun(Cases, RTL_NUMBER_OF(Cases));                                              \
    }
