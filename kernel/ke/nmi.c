// SPDX-License-Identifier: MIT
// NMI callbacks: drivers that know why the hardware might raise one, and what to do then.
//
// An NMI comes at any instruction, also inside this file, so there is no lock: a slot belongs to
// whoever exchanges its State from free to filling, and its callback is called once State says
// registered. When no callback claims the NMI, the system stops with NMI_HARDWARE_FAILURE
// (fatal.c).
#include "ki.h"

#define NMI_SLOTS 16

enum { NMI_FREE, NMI_FILLING, NMI_REGISTERED };

typedef struct _KI_NMI_SLOT {
    volatile LONG State;  // NMI_*
    PNMI_CALLBACK Routine;
    PVOID Context;
} KI_NMI_SLOT;

static KI_NMI_SLOT KiNmiSlots[NMI_SLOTS];

BOOLEAN KiCallNmiCallbacks(VOID)
{
    BOOLEAN Handled = FALSE;

    for (ULONG i = 0; i < NMI_SLOTS; i++) {
        KI_NMI_SLOT *Slot = &KiNmiSlots[i];
        if (__atomic_load_n(&Slot->State, __ATOMIC_ACQUIRE) == NMI_REGISTERED)
            Handled |= Slot->Routine(Slot->Context, Handled);
    }
    return Handled;
}

// KeRegisterNmiCallback: has CallbackRoutine(CallbackContext, Handled) called at every NMI; it
// returns TRUE when the NMI was its own. Returns a handle for KeDeregisterNmiCallback.
// IRQL: <= APC_LEVEL. Fails: NULL when too many are registered.
// Source: WDK wdm.h, KeRegisterNmiCallback.
PVOID NTAPI KeRegisterNmiCallback(PNMI_CALLBACK CallbackRoutine, PVOID CallbackContext);
PVOID NTAPI KeRegisterNmiCallback(PNMI_CALLBACK CallbackRoutine, PVOID CallbackContext)
{
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    for (ULONG i = 0; i < NMI_SLOTS; i++) {
        KI_NMI_SLOT *Slot = &KiNmiSlots[i];
        LONG Free = NMI_FREE;
        if (!__atomic_compare_exchange_n(&Slot->State, &Free, NMI_FILLING, FALSE, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        Slot->Routine = CallbackRoutine;
        Slot->Context = CallbackContext;
        __atomic_store_n(&Slot->State, NMI_REGISTERED, __ATOMIC_RELEASE);
        return Slot;
    }
    return NULL;
}
EXPORT(KeRegisterNmiCallback, APC_LEVEL, "WDK wdm.h KeRegisterNmiCallback");

// KeDeregisterNmiCallback: takes the callback back.
// IRQL: <= APC_LEVEL. Fails: STATUS_INVALID_HANDLE when Handle names no registration.
// Source: WDK wdm.h, KeDeregisterNmiCallback.
NTSTATUS NTAPI KeDeregisterNmiCallback(PVOID Handle);
NTSTATUS NTAPI KeDeregisterNmiCallback(PVOID Handle)
{
    ASSERT_IRQL_AT_MOST(APC_LEVEL);
    for (ULONG i = 0; i < NMI_SLOTS; i++) {
        LONG Registered = NMI_REGISTERED;
        if (Handle == &KiNmiSlots[i] &&
            __atomic_compare_exchange_n(&KiNmiSlots[i].State, &Registered, NMI_FREE, FALSE,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return STATUS_SUCCESS;
    }
    return STATUS_INVALID_HANDLE;
}
EXPORT(KeDeregisterNmiCallback, APC_LEVEL, "WDK wdm.h KeDeregisterNmiCallback");

static ULONG KiNmiLeaks(ULONG_PTR Start, ULONG_PTR End)
{
    char Name[128];
    ULONG Count = 0;

    for (ULONG i = 0; i < NMI_SLOTS; i++) {
        ULONG_PTR Routine = (ULONG_PTR)KiNmiSlots[i].Routine;
        if (KiNmiSlots[i].State != NMI_REGISTERED || Routine < Start || Routine >= End)
            continue;
        KdSymbolize(Routine, Name, sizeof(Name));
        KLOG("leak", "NMI callback %s", Name);
        Count++;
    }
    return Count;
}
LEAK_SOURCE(nmi, "NMI callbacks", KiNmiLeaks);
