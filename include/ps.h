// SPDX-License-Identifier: MIT
// ps: threads and processes as objects.
#pragma once

#include "ke.h"
#include "nt/nt.h"
#include "ob.h"

#define PS_SYSTEM_PRIORITY 8 // of a thread that asks for nothing else

typedef struct _PSP_QUOTA {
    SIZE_T Usage, Peak, Limit; // bytes
} PSP_QUOTA;

typedef struct _EPROCESS {
    DISPATCHER_HEADER Header; // signalled when the process has ended
    HANDLE UniqueProcessId;
    volatile LONG ActiveThreads;
    CHAR ImageFileName[16];
    PSP_QUOTA Quota[2]; // of nonpaged and paged pool
} EPROCESS;

typedef struct _ETHREAD {
    KTHREAD Tcb;
    CLIENT_ID Cid;
    PEPROCESS Process;
    ULONG_PTR Caller; // who created it
    ULONG StackPages;
    NTSTATUS ExitStatus;
    WORK_QUEUE_ITEM ReapItem;
} ETHREAD;

extern PEPROCESS PsInitialSystemProcess;

// Storage for a thread object that no pool is needed for: an idle thread.
#define PS_STATIC_THREAD_SIZE (OB_HEADER_SIZE + sizeof(ETHREAD))

// Makes the current thread, an idle thread in PS_STATIC_THREAD_SIZE bytes, an object.
VOID PsInitialize(VOID);
// The same for the idle thread of a processor that is to start.
VOID PsAdoptIdleThread(PVOID Storage);
// A thread of the kernel's own in the system process. Fails: no memory.
NTSTATUS PsStartKernelThread(PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
                             const char *Name);

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                                    POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                    PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext);
NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus);
