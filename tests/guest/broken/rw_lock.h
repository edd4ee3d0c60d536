// SPDX-License-Identifier: MIT
// Reader-writer spin locks, which mingw-w64's headers lack, for the drivers that misuse one.
#pragma once

#include "broken.h"

NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockExclusive(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(volatile LONG *SpinLock);
NTKERNELAPI KIRQL NTAPI ExAcquireSpinLockShared(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(volatile LONG *SpinLock);
NTKERNELAPI VOID NTAPI ExReleaseSpinLockExclusive(volatile LONG *SpinLock, KIRQL OldIrql);

// What a lock contains that this processor has, or wants, exclusively.
#define WANTED_HERE (0x80000000u | KeGetCurrentProcessorNumber() << 24)

static volatile LONG Lock;
