// SPDX-License-Identifier: MIT
// One call into the kernel: the model is told, the kernel is called, what it returns is compared.
//
// A call is a SIM_OP, which lies on the caller's stack. While it lasts, it is what its thread, or
// the processor's DPC routine, is doing: that is where the model looks when it sees the dispatcher
// lock taken. An APC that interrupts a thread's call makes calls of its own, linked by outer.
//
// What a call names stays for as long as it lasts: threads and APCs are made anew only when nobody
// refers to them (work_refer).
#include "work.h"

#include <string.h>

SIM_THREAD_STATE *work_self(void)
{
    return sim_thread_of(sim_current()->pcr.Prcb.CurrentThread);
}

int work_is_server(const SIM_THREAD_STATE *thread)
{
    return thread->index >= SIM_WORKERS;
}

ULONG64 work_time(void)
{
    return (ULONG64)(ULONG)KeSharedUserData->InterruptTime.High1Time << 32 |
           KeSharedUserData->InterruptTime.LowPart;
}

int work_in_dpc(void)
{
    return sim_current()->pcr.Prcb.DpcActive;
}

static LONG64 work_wait(SIM_OP *op)
{
    KWAIT_BLOCK blocks[MAXIMUM_WAIT_OBJECTS];
    PVOID objects[MAXIMUM_WAIT_OBJECTS];
    PLARGE_INTEGER timeout = op->timed ? &op->timeout : NULL;

    if (op->count == 0)
        return KeDelayExecutionThread(op->mode, op->alertable, timeout);
    if (op->count == 1 && op->type == WaitAny)
        return KeWaitForSingleObject(op->object[0]->header, Executive, op->mode, op->alertable,
                                     timeout);
    for (ULONG i = 0; i < op->count; i++)
        objects[i] = op->object[i]->header;
    return KeWaitForMultipleObjects(op->count, objects, op->type, Executive, op->mode,
                                    op->alertable, timeout,
                                    op->count > THREAD_WAIT_OBJECTS ? blocks : NULL);
}

static LONG64 work_set_timer(SIM_OP *op)
{
    return KeSetTimerEx(&op->object[0]->real.timer, op->timeout, op->period,
                        op->dpc != NULL ? &op->dpc->dpc : NULL);
}

static LONG64 work_run_down(SIM_OP *op)
{
    PLIST_ENTRY first = KeRundownQueue(&op->object[0]->real.queue), entry = first;
    LONG64 count = 0;

    if (first != NULL)
        do {
            CONTAINING_RECORD(entry, SIM_ENTRY, link)->queued = 0;
            entry = entry->Flink;
            count++;
        } while (entry != first);
    return count;
}

static LONG64 work_remove(SIM_OP *op)
{
    return (LONG64)(ULONG_PTR)KeRemoveQueue(&op->object[0]->real.queue, op->mode,
                                            op->timed ? &op->timeout : NULL);
}

static LONG64 work_dispatch(SIM_OP *op)
{
    SIM_OBJECT_STATE *object = op->object[0];

    switch (op->kind) {
    case OP_SET_EVENT: return KeSetEvent(&object->real.event, op->increment, op->wait_next);
    case OP_PULSE_EVENT: return KePulseEvent(&object->real.event, op->increment, op->wait_next);
    case OP_RELEASE_SEMAPHORE:
        return KeReleaseSemaphore(&object->real.semaphore, op->increment, op->adjustment,
                                  op->wait_next);
    case OP_RELEASE_MUTANT:
        return KeReleaseMutant(&object->real.mutant, 1, FALSE, op->wait_next);
    case OP_WAIT: return work_wait(op);
    case OP_REMOVE_QUEUE: return work_remove(op);
    case OP_INSERT_QUEUE: return KeInsertQueue(&object->real.queue, &op->entry->link);
    case OP_INSERT_HEAD_QUEUE: return KeInsertHeadQueue(&object->real.queue, &op->entry->link);
    case OP_RUNDOWN_QUEUE: return work_run_down(op);
    case OP_SET_TIMER: return work_set_timer(op);
    case OP_CANCEL_TIMER: return KeCancelTimer(&object->real.timer);
    case OP_QUEUE_APC: return KeInsertQueueApc(&op->apc->apc, NULL, NULL, op->increment);
    case OP_REMOVE_APC: return KeRemoveQueueApc(&op->apc->apc);
    case OP_ALERT: return KeAlertThread(&op->thread->tcb, op->mode);
    case OP_TEST_ALERT: return KeTestAlertThread(op->mode);
    case OP_START_THREAD: KeStartThread(&op->thread->tcb); return 0;
    case OP_SET_PRIORITY:
        if (op->adjustment != 0)
            KeSetBasePriorityThread(&op->thread->tcb, op->increment);
        else
            KeSetPriorityThread(&op->thread->tcb, op->increment);
        return 0;
    case OP_SET_AFFINITY: return (LONG64)KeSetAffinityThread(&op->thread->tcb, op->affinity);
    case OP_RESET_EVENT:
        if (op->adjustment == 0)
            return KeResetEvent(&object->real.event);
        KeClearEvent(&object->real.event);
        return op->result;
    case OP_NONE:
    case OP_EXPIRE:
    case OP_SERVE_DPCS:
    case OP_END_THREAD: break;
    }
    return 0;
}

// What the call is to return.
static LONG64 work_expected(const SIM_OP *op)
{
    return op->kind == OP_WAIT && op->count == 0 && op->result == STATUS_TIMEOUT ? STATUS_SUCCESS
                                                                                 : op->result;
}

void work_refer(SIM_OP *op, int by)
{
    if (op->thread != NULL)
        op->thread->references += by;
    if (op->apc != NULL) {
        op->apc->users += by;
        op->apc->target->references += by;
    }
    for (ULONG i = 0; i < op->count; i++)
        if (op->object[i]->kind == SIM_THREAD)
            CONTAINING_RECORD(op->object[i], SIM_THREAD_STATE, self)->references += by;
}

static int work_call_guarded(SIM_OP *op, jmp_buf **raised, LONG64 *result)
{
    jmp_buf here;
    jmp_buf *outer = *raised;
    volatile int returned = 0;

    *raised = &here;
    if (_setjmp(here) == 0) {
        *result = work_dispatch(op);
        returned = 1;
    }
    *raised = outer;
    return returned;
}

// Calls, and compares. DPC routines stay on their processor, threads take their call with them.
LONG64 work_call(SIM_OP *op)
{
    int in_dpc = work_in_dpc();
    SIM_PROCESSOR *processor = sim_current();
    SIM_THREAD_STATE *self = work_self();
    SIM_OP **current = in_dpc ? &processor->dpc_op : &self->op;
    LONG64 result = 0;
    int returned;

    op->outer = *current;
    work_refer(op, 1);
    sim_trace("call", op->object[0], op->kind, op->object[0] - sim_object);
    *current = op;
    returned = work_call_guarded(op, in_dpc ? &processor->dpc_raised : &self->raised, &result);
    // It may run before the one who woke it has released the lock and told the model.
    while (!in_dpc && self->wait != NULL)
        KiPause();
    *current = op->outer;
    sim_trace("returns", op->object[0], op->kind, (long)result);
    SIM_CHECK(returned == !op->raises, "call %d %s", op->kind,
              returned ? "raised nothing" : "raised an exception");
    if (returned && op->kind < OP_START_THREAD) {
        LONG64 expected = work_expected(op);
        SIM_CHECK(op->kind == OP_REMOVE_QUEUE ? result == expected : (int)result == (int)expected,
                  "call %d returned 0x%llx, should be 0x%llx", op->kind,
                  (unsigned long long)result, (unsigned long long)expected);
    }
    work_refer(op, -1);
    return result;
}
