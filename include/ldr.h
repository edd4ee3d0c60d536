// SPDX-License-Identifier: MIT
// ldr: driver images. PE files from boot modules become loaded drivers.
#pragma once

#include "ke.h"
#include "loader.h"
#include "nt/nt.h"

typedef struct _LDR_DRIVER {
    LIST_ENTRY ListEntry; // in load order
    CHAR Name[64];        // "edu.sys"
    ULONG_PTR Base;       // image in memory
    SIZE_T Size;          // bytes, whole pages
    const UCHAR *File;    // the file as it was, for symbols; NULL: not kept
    SIZE_T FileLength;
    ULONG_PTR EntryPoint;
    ULONG64 PreferredBase;
    PDRIVER_OBJECT DriverObject;
    const struct _RUNTIME_FUNCTION *FunctionTable; // .pdata, amd64
    ULONG FunctionCount;
    BOOLEAN Initialized; // DriverEntry succeeded
    NTSTATUS EntryStatus;
} LDR_DRIVER, *PLDR_DRIVER;

VOID LdrInitialize(PLOADER_BLOCK Block);
// Loads, binds and starts the module of this name ("edu.sys" or "edu"). Every reason for a refusal
// is logged in words. IRQL: PASSIVE_LEVEL. Fails: STATUS_* and *Driver NULL.
NTSTATUS LdrLoadDriver(const char *Name, PLDR_DRIVER *Driver);
// DriverUnload, once, leak report (items counted into *Leaks), image freed. Fails:
// STATUS_INVALID_DEVICE_REQUEST without an unload routine, STATUS_DEVICE_BUSY while the driver's
// work items queue themselves; it stays then.
NTSTATUS LdrUnloadDriver(PLDR_DRIVER Driver, PULONG Leaks);
PLDR_DRIVER LdrFindDriver(const char *Name);       // NULL: not loaded
PLDR_DRIVER LdrDriverOfAddress(ULONG_PTR Address); // any IRQL, no lock
extern LIST_ENTRY LdrDriverList;
// /RUN: loads all modules in order, lets them run, unloads in reverse, ends the run with the
// verdict.
DECLSPEC_NORETURN VOID LdrRunBatch(VOID);
