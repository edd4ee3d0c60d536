// SPDX-License-Identifier: MIT
// Drivers that break one rule each. tests/system runs every file here and compares what the kernel
// said with what the driver announced by Expect just before: the stop code and its four parameters.
//
// A file's first lines may say more:
//
//     // Arch: i386                only there can the rule be seen to break
//     // Status: 4                 the run ends with another status than that of a bugcheck
//     // Says: text                the log holds this text (may repeat)
//     // Options: --timeout 5      for ./lookaside run
#pragma once

#include <ntddk.h>

#define ANYTHING  ((ULONG_PTR)0x7E57A000u)  // this parameter is the kernel's own affair
#define IN_DRIVER ((ULONG_PTR)0x7E57D000u)  // an address inside this driver

static inline const char *BrokenWord(ULONG_PTR Value, char *Text)
{
    if (Value == ANYTHING)
        return "anything";
    if (Value == IN_DRIVER)
        return "driver";
    for (int i = 2 * sizeof(Value) - 1; i >= 0; i--, Value >>= 4)
        Text[2 + i] = "0123456789ABCDEF"[Value & 15];
    Text[0] = '0';
    Text[1] = 'x';
    Text[2 + 2 * sizeof(Value)] = 0;
    return Text;
}

static inline VOID Expect(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    char T1[20], T2[20], T3[20], T4[20];
    DbgPrint("EXPECT 0x%08X (%s, %s, %s, %s)\n", Code, BrokenWord(P1, T1), BrokenWord(P2, T2),
             BrokenWord(P3, T3), BrokenWord(P4, T4));
}

static inline VOID NTAPI BrokenUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

// BREAK { ... }: a driver whose DriverEntry is this; falling out of it means that the kernel saw
// nothing.
#define BREAK                                                                                      \
    static NTSTATUS BrokenEntry(VOID);                                                             \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);         \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)          \
    {                                                                                              \
        UNREFERENCED_PARAMETER(RegistryPath);                                                      \
        DriverObject->DriverUnload = BrokenUnload;                                                 \
        return BrokenEntry();                                                                      \
    }                                                                                              \
    static NTSTATUS BrokenEntry(VOID)
