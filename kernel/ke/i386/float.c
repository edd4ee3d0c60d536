// SPDX-License-Identifier: MIT
// i386: floating point in drivers. The kernel uses none and no trap saves any, so a driver that
// wants it saves the state it finds and puts it back.
//
// The structure that the driver hands over is too small for the state, which goes into an area from
// a fixed set: callable up to DISPATCH_LEVEL, and nested uses are few. The structure remembers
// which. While a thread has saved a state, the one it works with is its own, and a switch keeps it
// (FloatSaved).
#include "../ki.h"

#define FLOAT_AREAS 32

typedef struct _KFLOATING_SAVE {
    ULONG ControlWord;
    ULONG StatusWord;
    ULONG ErrorOffset;
    ULONG ErrorSelector;
    ULONG DataOffset;
    ULONG DataSelector;
    ULONG Cr0NpxState;
    ULONG Spare1;
} KFLOATING_SAVE, *PKFLOATING_SAVE;

typedef struct DECLSPEC_ALIGN(16) _KI_FLOAT_AREA {
    UCHAR State[512]; // FXSAVE's image, or FNSAVE's
    PKFLOATING_SAVE Owner;
    PKTHREAD Thread;
    KIRQL Irql;
} KI_FLOAT_AREA;

static KI_FLOAT_AREA KiFloatAreas[FLOAT_AREAS];
static volatile ULONG KiFloatAreasUsed; // one bit each

static BOOLEAN KiHasFxsave(VOID)
{
    return (KiReadCr4() & 0x200) != 0; // OSFXSR
}

VOID KiStoreFloatState(PVOID State)
{
    if (KiHasFxsave())
        __asm__ volatile("fxsave (%0); fninit; ldmxcsr %1" ::"r"(State), "m"(KiInitialMxCsr)
                         : "memory");
    else
        __asm__ volatile("fnsave (%0)" ::"r"(State) : "memory");
}

VOID KiLoadFloatState(const VOID *State)
{
    if (KiHasFxsave())
        __asm__ volatile("fxrstor (%0)" ::"r"(State) : "memory");
    else
        __asm__ volatile("fnclex; frstor (%0)" ::"r"(State) : "memory");
}

static KI_FLOAT_AREA *KiTakeFloatArea(VOID)
{
    for (ULONG i = 0; i < FLOAT_AREAS; i++)
        if (!(__atomic_fetch_or(&KiFloatAreasUsed, 1u << i, __ATOMIC_ACQUIRE) >> i & 1))
            return &KiFloatAreas[i];
    return NULL;
}

static VOID KiReturnFloatArea(KI_FLOAT_AREA *Area)
{
    Area->Owner = NULL;
    __atomic_fetch_and(&KiFloatAreasUsed, ~(1u << (Area - KiFloatAreas)), __ATOMIC_RELEASE);
}

// KeSaveFloatingPointState: saves the x87, MMX and SSE state and leaves a fresh one for the caller
// to use until KeRestoreFloatingPointState on the same thread.
// IRQL: <= DISPATCH_LEVEL. Fails: STATUS_INSUFFICIENT_RESOURCES when too many states are saved at
// once, STATUS_ILLEGAL_FLOAT_CONTEXT above DISPATCH_LEVEL. Source: WDK wdm.h,
// KeSaveFloatingPointState.
NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave);
NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    KI_FLOAT_AREA *Area;

    if (KiGetIrql() > DISPATCH_LEVEL)
        return STATUS_ILLEGAL_FLOAT_CONTEXT;
    Area = KiTakeFloatArea();
    if (Area == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Area->Owner = FloatSave;
    Area->Thread = KiCurrentThread();
    Area->Irql = KiGetIrql();
    Area->Thread->FloatSaved++; // first: a switch after the store is to keep the fresh state
    KiStoreFloatState(Area->State);
    FloatSave->Spare1 = (ULONG)(Area - KiFloatAreas);
    return STATUS_SUCCESS;
}
EXPORT(KeSaveFloatingPointState, DISPATCH_LEVEL, "WDK wdm.h KeSaveFloatingPointState");

// KeRestoreFloatingPointState: puts back what FloatSave stands for.
// IRQL: that of the save. Fails: bugcheck INVALID_FLOATING_POINT_STATE when FloatSave stands for
// nothing (0, FloatSave, the thread), was saved at another IRQL (1, that, the current one) or by
// another thread (2, that, the current one).
// Source: WDK wdm.h, KeRestoreFloatingPointState, and "Bug Check 0xE7".
NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave);
NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave)
{
    PKTHREAD Thread = KiCurrentThread();
    KI_FLOAT_AREA *Area = &KiFloatAreas[FloatSave->Spare1 % FLOAT_AREAS];

    if (Area->Owner != FloatSave)
        KiBugCheck(INVALID_FLOATING_POINT_STATE, 0, (ULONG_PTR)FloatSave, (ULONG_PTR)Thread, 0,
                   NULL, "A floating point state was restored that was not saved.");
    if (Area->Thread != Thread)
        KiBugCheck(INVALID_FLOATING_POINT_STATE, 2, (ULONG_PTR)Area->Thread, (ULONG_PTR)Thread, 0,
                   NULL, "A floating point state was restored by another thread than saved it.");
    if (Area->Irql != KiGetIrql())
        KiBugCheck(INVALID_FLOATING_POINT_STATE, 1, Area->Irql, KiGetIrql(), 0, NULL,
                   "A floating point state was restored at another IRQL than it was saved at.");
    Thread->FloatSaved--;
    KiLoadFloatState(Area->State);
    KiReturnFloatArea(Area);
    return STATUS_SUCCESS;
}
EXPORT(KeRestoreFloatingPointState, DISPATCH_LEVEL, "WDK wdm.h KeRestoreFloatingPointState");
