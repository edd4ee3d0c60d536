// SPDX-License-Identifier: MIT
// Private to ps.
#pragma once

#include "ex.h"
#include "mm.h"
#include "ps.h"
#include "rtl.h"

PVOID PspCurrentThread(VOID);
BOOLEAN PspIsSystemProcess(HANDLE ProcessHandle);
VOID PspAdoptThread(PETHREAD Thread, ULONG_PTR Caller); // process, ids
VOID PspCountThread(PETHREAD Thread);                    // it runs from now on
VOID PspInitializeQuota(PEPROCESS Process);              // of the system process
