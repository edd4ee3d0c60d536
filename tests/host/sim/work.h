// SPDX-License-Identifier: MIT
// What the parts of the work share: each calls those before it in this list, and work.c all.
#pragma once

#include "sim.h"

#define FIRST_THREADED 5              // sim_dpc from here on is threaded,
#define FLUSH_DPC      (SIM_DPCS - 1) // and the last is work_flush's

VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number);
VOID NTAPI KeInitializeThreadedDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                   PVOID DeferredContext);
KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);

// ---- calls.c ------------------------------------------------------------------------------------
SIM_THREAD_STATE *work_self(void);
int work_is_server(const SIM_THREAD_STATE *thread);
int work_in_dpc(void);
ULONG64 work_time(void);
void work_refer(SIM_OP *op, int by); // what it names stays (1), may go (-1)
LONG64 work_call(SIM_OP *op);

// ---- operations.c -------------------------------------------------------------------------------
extern unsigned work_hogs; // threads 1 to this only compute

SIM_OBJECT_STATE *work_object(SIM_KIND kind);
SIM_THREAD_STATE *work_thread(void); // NULL: one that has ended
SIM_DPC *work_dpc(void);
KAFFINITY work_some_processors(void);
void work_set_timeout(SIM_OP *op, LONG64 most);

void work_signal(BOOLEAN wait_next);
void work_reset(void);
void work_timer(void);
void work_insert(void);
void work_priority(void);
void work_affinity(void);
void work_alert(void);
void work_queue_dpc(void);
void work_look(void);

// ---- threads.c ----------------------------------------------------------------------------------
extern KSPIN_LOCK work_lock;
extern volatile int work_inside; // processors that hold it

void work_operation(void); // any
void work_queue_apc(void);
void work_release(SIM_OBJECT_STATE *mutant);
