// SPDX-License-Identifier: MIT
// The work of the simulated system: threads, DPC routines, APCs and a device that call the kernel
// at random, tell the model what they call, and compare what it returns.
//
// Thread 0 looks after the others: it makes new ones in place of those that have ended, relieves
// starvation, and when the run is to end signals everything until all have left. Waits that could
// keep each other waiting for ever, those of a thread that owns a mutant, for a mutant or for a
// thread, have a limit; all others may last as long as nobody signals.
//
// The last threads, one a processor, serve the threaded DPCs, as the kernel's own do; the routines
// of those do what threads do, but wait with a limit, since others wait for them (work_flush).
//
// In some runs as many threads as there are processors do little but compute, so that others would
// never run but for starvation relief.
#include "sim.h"

#include <string.h>

#define QUEUES 2
#define FIRST_QUEUE (SIM_OBJECTS - QUEUES)

#define FIRST_THREADED 5              // sim_dpc from here on is threaded,
#define FLUSH_DPC      (SIM_DPCS - 1) // and the last is work_flush's

VOID NTAPI KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number);
VOID NTAPI KeInitializeThreadedDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine,
                                   PVOID DeferredContext);
KAFFINITY NTAPI KeSetAffinityThread(PKTHREAD Thread, KAFFINITY Affinity);
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);

// ---- calls --------------------------------------------------------------------------------------
static SIM_THREAD_STATE *work_self(void)
{
    return sim_thread_of(sim_current()->pcr.Prcb.CurrentThread);
}

static int work_is_server(const SIM_THREAD_STATE *thread)
{
    return thread->index >= SIM_WORKERS;
}

static ULONG64 work_time(void)
{
    return (ULONG64)(ULONG)KeSharedUserData->InterruptTime.High1Time << 32 |
           KeSharedUserData->InterruptTime.LowPart;
}

static int work_in_dpc(void)
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

static void work_refer(SIM_OP *op, int by)
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
static LONG64 work_call(SIM_OP *op)
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

// ---- choices ------------------------------------------------------------------------------------
static SIM_OBJECT_STATE *work_object(SIM_KIND kind)
{
    unsigned at = sim_random(SIM_OBJECTS);

    while (sim_object[at].kind != kind)
        at = (at + 1) % SIM_OBJECTS;
    return &sim_object[at];
}

static SIM_THREAD_STATE *work_thread(void)
{
    SIM_THREAD_STATE *thread = &sim_thread[sim_random(SIM_WORKERS)];
    return thread->slot >= SLOT_ALIVE ? thread : NULL;
}

static SIM_DPC *work_dpc(void)
{
    return &sim_dpc[sim_random(FLUSH_DPC)];
}

static void work_set_timeout(SIM_OP *op, LONG64 most)
{
    LONG64 after = 1 + sim_random((uint32_t)most);

    op->timed = TRUE;
    op->due = work_time() + (ULONG64)after;
    op->timeout.QuadPart = sim_chance(5) ? (LONG64)(KiBootTime + op->due) : -after;
}

static void work_choose_timeout(SIM_OP *op, int needed)
{
    switch (sim_random(needed || work_is_server(work_self()) ? 2 : 3)) {
    case 0:
        op->timed = TRUE;
        op->timeout.QuadPart = 0;
        break;
    case 1: work_set_timeout(op, sim_chance(4) ? 40 * SIM_TICK : 3 * SIM_TICK); break;
    case 2: break;
    }
}

static int work_has(const SIM_OP *op, const SIM_OBJECT_STATE *object)
{
    for (ULONG i = 0; i < op->count; i++)
        if (op->object[i] == object)
            return 1;
    return 0;
}

// What can be waited for: any object but a queue, or a thread.
static SIM_OBJECT_STATE *work_waitable(void)
{
    SIM_THREAD_STATE *thread = sim_chance(8) ? work_thread() : NULL;

    return thread != NULL && thread != work_self() ? &thread->self
                                                   : &sim_object[sim_random(FIRST_QUEUE)];
}

// ---- operations of threads and DPC routines -----------------------------------------------------
static void work_signal(BOOLEAN wait_next)
{
    static const SIM_KIND kinds[] = {SIM_EVENT, SIM_EVENT, SIM_SEMAPHORE};
    SIM_KIND kind = kinds[sim_random(RTL_NUMBER_OF(kinds))];
    SIM_OP op = {.count = 1,
                 .object = {work_object(kind)},
                 .increment = (LONG)sim_random(4),
                 .adjustment = 1 + (LONG)sim_random(3),
                 .wait_next = wait_next};

    if (kind == SIM_SEMAPHORE)
        op.kind = OP_RELEASE_SEMAPHORE;
    else
        op.kind = sim_chance(4) ? OP_PULSE_EVENT : OP_SET_EVENT;
    work_call(&op);
}

static void work_reset(void)
{
    work_call(&(SIM_OP){.kind = OP_RESET_EVENT,
                        .count = 1,
                        .object = {work_object(SIM_EVENT)},
                        .adjustment = (LONG)sim_random(2)});
}

static void work_timer(void)
{
    SIM_OP op = {.kind = OP_SET_TIMER, .count = 1, .object = {work_object(SIM_TIMER)}};

    if (sim_chance(3)) {
        op.kind = OP_CANCEL_TIMER;
    } else {
        work_set_timeout(&op, sim_chance(8) ? 300 * SIM_TICK : 8 * SIM_TICK);
        if (sim_chance(6)) // in the past
            op.timeout.QuadPart = op.due = 0;
        op.period = sim_chance(3) ? 1 + (LONG)sim_random(100) : 0;
        op.dpc = sim_chance(2) ? work_dpc() : NULL;
    }
    work_call(&op);
}

static void work_insert(void)
{
    SIM_ENTRY *entry = &sim_entry[sim_random(SIM_ENTRIES)];
    SIM_OP op = {.kind = sim_chance(4) ? OP_INSERT_HEAD_QUEUE : OP_INSERT_QUEUE,
                 .count = 1,
                 .object = {work_object(SIM_QUEUE)},
                 .entry = entry};

    if (entry->queued)
        return;
    entry->queued = 1;
    work_call(&op);
}

static unsigned work_hogs; // threads 1 to this

static void work_priority(void)
{
    SIM_OP op = {.kind = OP_SET_PRIORITY, .thread = work_thread()};

    if (op.thread == NULL || op.thread->index <= (int)work_hogs)
        return;
    op.adjustment = (LONG)sim_random(2);
    if (op.adjustment != 0)
        op.increment = (LONG)sim_random(12) - 6;
    else
        op.increment = sim_chance(12) ? 16 + (LONG)sim_random(4) : 1 + (LONG)sim_random(15);
    work_call(&op);
}

static KAFFINITY work_some_processors(void)
{
    return 1 + sim_random((1u << sim_processors) - 1);
}

static void work_affinity(void)
{
    SIM_OP op = {.kind = OP_SET_AFFINITY,
                 .thread = work_thread(),
                 .affinity = work_some_processors()};

    if (op.thread != NULL && op.thread->index != 0)
        work_call(&op);
}

static void work_alert(void)
{
    SIM_OP op = {.kind = OP_ALERT,
                 .thread = work_thread(),
                 .mode = sim_chance(2) ? KernelMode : UserMode};

    if (op.thread != NULL && op.thread->slot == SLOT_ALIVE)
        work_call(&op);
}

static void work_queue_dpc(void)
{
    SIM_DPC *dpc = work_dpc();

    if (sim_chance(6)) {
        dpc->removing++;
        if (KeRemoveQueueDpc(&dpc->dpc))
            dpc->removed++;
        dpc->removing--;
    } else {
        if (dpc->dpc.DpcData == NULL) {
            dpc->dpc.Importance = (UCHAR)sim_random(4);
            if (sim_chance(4))
                KeSetTargetProcessorDpc(&dpc->dpc, (CCHAR)sim_random(sim_processors));
        }
        KeInsertQueueDpc(&dpc->dpc, NULL, NULL);
    }
}

static void work_look(void) // a wait that does not wait
{
    SIM_OP op = {.kind = OP_WAIT,
                 .type = WaitAny,
                 .count = 1,
                 .object = {work_object(sim_chance(2) ? SIM_EVENT : SIM_SEMAPHORE)},
                 .timed = TRUE,
                 .irql = DISPATCH_LEVEL};
    work_call(&op);
}

// ---- APCs ---------------------------------------------------------------------------------------
static void work_operation(void);

static VOID NTAPI work_kernel_routine(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine,
                                      PVOID *NormalContext, PVOID *SystemArgument1,
                                      PVOID *SystemArgument2)
{
    SIM_APC *apc = CONTAINING_RECORD(Apc, SIM_APC, apc);
    SIM_THREAD_STATE *self = work_self();
    unsigned long *last = *NormalRoutine == NULL ? &self->special_sequence : &self->normal_sequence;

    sim_trace("apc", apc, *NormalRoutine != NULL, (long)apc->sequence);
    SIM_CHECK(sim_current()->irql == APC_LEVEL, "an APC's kernel routine runs at another level");
    SIM_CHECK(self == apc->target, "an APC runs in another thread");
    SIM_CHECK(self->tcb.SpecialApcDisable == 0, "an APC runs in a guarded region");
    SIM_CHECK(*NormalRoutine == NULL || self->tcb.KernelApcDisable == 0,
              "a normal APC runs in a critical region");
    // Not if it has been queued again, or queued and removed again.
    if (apc->inserted == apc->delivered + apc->removed + 1 && apc->removed == apc->removed_then) {
        SIM_CHECK(apc->sequence > *last, "APCs run out of order");
        *last = apc->sequence;
    }
    apc->delivered++;
    if (sim_chance(2))
        work_signal(FALSE);
}

static VOID NTAPI work_normal_routine(PVOID NormalContext, PVOID SystemArgument1,
                                      PVOID SystemArgument2)
{
    SIM_THREAD_STATE *self = work_self();

    SIM_CHECK(sim_current()->irql == PASSIVE_LEVEL, "a normal APC runs above PASSIVE_LEVEL");
    SIM_CHECK(!self->in_normal_apc, "a normal APC runs within another");
    self->in_normal_apc = 1;
    for (unsigned i = sim_random(3); i > 0; i--)
        work_operation();
    self->in_normal_apc = 0;
}

static void work_queue_apc(void)
{
    SIM_APC *apc = &sim_apc[sim_random(SIM_APCS)];
    SIM_THREAD_STATE *target = work_thread();
    SIM_OP op = {.kind = OP_QUEUE_APC, .apc = apc, .increment = (LONG)sim_random(2)};

    if (target == NULL || target->index == 0 || apc->making)
        return; // thread 0 is not to wait for anybody
    if (apc->users == 0 && apc->inserted == apc->delivered + apc->removed) { // may be made anew
        apc->target = target;
        apc->making = 1;
        work_refer(&op, 1);
        KeInitializeApc(&apc->apc, &target->tcb, OriginalApcEnvironment, work_kernel_routine, NULL,
                        sim_chance(2) ? work_normal_routine : NULL,
                        sim_chance(4) ? UserMode : KernelMode, NULL);
        apc->making = 0;
        work_call(&op);
        work_refer(&op, -1);
    } else if (apc->target->slot < SLOT_ALIVE) {
        return;
    } else if (sim_chance(3)) {
        op.kind = OP_REMOVE_APC;
        work_call(&op);
    } else {
        work_call(&op);
    }
}

// ---- operations of threads alone ----------------------------------------------------------------
static void work_wait_something(KIRQL irql)
{
    SIM_THREAD_STATE *self = work_self();
    SIM_OP op = {.kind = OP_WAIT, .irql = irql, .alertable = sim_chance(5)};
    int needs_limit = self->owns != 0;

    op.type = sim_chance(3) ? WaitAll : WaitAny;
    op.mode = sim_chance(4) ? UserMode : KernelMode;
    for (unsigned i = sim_chance(2) ? 1 : 1 + sim_random(5); i > 0; i--) {
        SIM_OBJECT_STATE *object = work_waitable();
        if (work_has(&op, object) || (object->mutex && self->in_normal_apc))
            continue; // an APC may not leave its thread in a region
        needs_limit |= object->kind == SIM_MUTANT || object->kind == SIM_THREAD;
        op.object[op.count++] = object;
    }
    if (op.count == 0)
        op.object[op.count++] = &sim_object[0];
    work_choose_timeout(&op, needs_limit);
    work_call(&op);
}

static void work_signal_and_wait(void)
{
    KIRQL irql = sim_current()->irql;

    work_signal(TRUE);
    if (sim_current()->irql == DISPATCH_LEVEL && irql < DISPATCH_LEVEL)
        work_wait_something(irql);
}

static void work_delay(void)
{
    SIM_OP op = {.kind = OP_WAIT,
                 .irql = sim_current()->irql,
                 .alertable = sim_chance(3),
                 .mode = sim_chance(2) ? UserMode : KernelMode};

    work_set_timeout(&op, 4 * SIM_TICK);
    work_call(&op);
}

static void work_serve(void)
{
    SIM_OP op = {.kind = OP_REMOVE_QUEUE,
                 .count = 1,
                 .object = {work_object(SIM_QUEUE)},
                 .irql = sim_current()->irql};
    LONG64 result;

    work_choose_timeout(&op, work_self()->owns != 0);
    result = work_call(&op);
    for (int i = 0; i < SIM_ENTRIES; i++)
        if (result == (LONG64)(ULONG_PTR)&sim_entry[i].link) {
            SIM_CHECK(sim_entry[i].queued, "an entry was taken twice");
            sim_entry[i].queued = 0;
        }
}

static void work_release(SIM_OBJECT_STATE *mutant)
{
    work_call(&(SIM_OP){.kind = OP_RELEASE_MUTANT, .count = 1, .object = {mutant}});
}

static void work_release_something(void)
{
    SIM_THREAD_STATE *self = work_self();

    if (self->owns != 0)
        work_release(self->owned[sim_random((uint32_t)self->owns)]);
    else if (sim_chance(8)) // not its own
        work_release(work_object(SIM_MUTANT));
}

static void work_in_region(void)
{
    int guarded = sim_chance(2);

    if (guarded)
        KeEnterGuardedRegion();
    else
        KeEnterCriticalRegion();
    for (unsigned i = sim_random(3); i > 0; i--)
        work_operation();
    work_self()->leaving = 1;
    if (guarded)
        KeLeaveGuardedRegion();
    else
        KeLeaveCriticalRegion();
    work_self()->leaving = 0;
}

static void work_at_apc_level(void)
{
    KIRQL irql = KfRaiseIrql(APC_LEVEL);

    work_operation();
    KfLowerIrql(irql);
}

static void work_test_alert(void)
{
    work_call(&(SIM_OP){.kind = OP_TEST_ALERT, .mode = sim_chance(2) ? KernelMode : UserMode});
}

static KSPIN_LOCK work_lock;
static volatile int work_inside;

static void work_under_lock(void)
{
    KIRQL irql = KiAcquireLock(&work_lock);

    SIM_CHECK(work_inside++ == 0, "two processors hold a spin lock");
    sim_compute(sim_random(40));
    SIM_CHECK(--work_inside == 0, "two processors hold a spin lock");
    KiReleaseLock(&work_lock, irql);
}

// The rest of the routine runs where it was told to, unless somebody else tells otherwise.
static void work_elsewhere(void)
{
    SIM_THREAD_STATE *self = work_self();
    SIM_OP op = {.kind = OP_SET_AFFINITY, .outer = self->op};
    KAFFINITY before;

    self->op = &op;
    before = KeSetSystemAffinityThreadEx(work_some_processors());
    for (unsigned i = sim_random(3); i > 0; i--)
        work_operation();
    KeRevertToUserAffinityThreadEx(before);
    self->op = op.outer;
}

static ULONG_PTR NTAPI work_broadcast(ULONG_PTR Argument)
{
    unsigned number = sim_number(sim_current());

    SIM_CHECK(sim_current()->irql == IPI_LEVEL, "a call from another processor runs at IRQL %u",
              sim_current()->irql);
    ((unsigned *)Argument)[number]++;
    sim_compute(sim_random(10));
    return number;
}

static void work_called_by_other(PVOID Context)
{
    work_broadcast((ULONG_PTR)Context);
}

static void work_call_others(void)
{
    unsigned called[SIM_PROCESSORS] = {0};
    KAFFINITY targets = work_some_processors(), self;
    KIRQL irql = KfRaiseIrql(DISPATCH_LEVEL);

    self = sim_current()->pcr.Prcb.ProcessorMask;
    if (sim_chance(2)) {
        KeIpiGenericCall(work_broadcast, (ULONG_PTR)called);
        targets = (1u << sim_processors) - 1;
    } else {
        KeCallOthers(targets, work_called_by_other, called);
        targets &= ~self;
    }
    for (unsigned i = 0; i < sim_processors; i++)
        SIM_CHECK(called[i] == (targets >> i & 1), "processor %u was called %u times", i,
                  called[i]);
    KfLowerIrql(irql);
}

// Behind everything that is queued on a processor goes a threaded DPC. When it has run, they have.
static void work_flush(void)
{
    static int flushing;
    SIM_DPC *flush = &sim_dpc[FLUSH_DPC];
    PKPRCB Prcb = &sim_processor[sim_random(sim_processors)].pcr.Prcb;
    unsigned long gone[SIM_DPCS];
    int queued[SIM_DPCS];

    if (flushing || work_is_server(work_self()) || work_self()->owns != 0)
        return;
    flushing = 1;
    for (int i = 0; i < FLUSH_DPC; i++) {
        queued[i] = ((ULONG_PTR)sim_dpc[i].dpc.DpcData & ~1ull) == (ULONG_PTR)Prcb;
        gone[i] = sim_dpc[i].ended + sim_dpc[i].removed;
    }
    flush->dpc.Importance = MediumHighImportance;
    KeSetTargetProcessorDpc(&flush->dpc, (CCHAR)Prcb->ProcessorNumber);
    KeInsertQueueDpc(&flush->dpc, NULL, NULL);
    work_call(&(SIM_OP){.kind = OP_WAIT,
                        .count = 1,
                        .object = {&sim_flushed},
                        .type = WaitAny,
                        .irql = sim_current()->irql});
    for (int i = 0; i < FLUSH_DPC; i++)
        SIM_CHECK(!queued[i] || sim_dpc[i].removing ||
                      sim_dpc[i].ended + sim_dpc[i].removed > gone[i],
                  "DPC %d of processor %u was not flushed", i, Prcb->ProcessorNumber);
    flushing = 0;
}

static void work_operation(void)
{
    SIM_THREAD_STATE *self = work_self();

    sim_counts.operations++;
    if (++self->depth > 3) {
        self->depth--;
        return;
    }
    switch (sim_random(34)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: work_wait_something(sim_current()->irql); break;
    case 6:
    case 7:
    case 8: work_signal(FALSE); break;
    case 9: work_signal_and_wait(); break;
    case 10: work_reset(); break;
    case 11:
    case 12: work_timer(); break;
    case 13:
    case 14: work_insert(); break;
    case 15:
    case 16: work_serve(); break;
    case 17: work_priority(); break;
    case 18: work_alert(); break;
    case 19: work_queue_dpc(); break;
    case 20:
    case 21: work_queue_apc(); break;
    case 22: work_delay(); break;
    case 23: work_release_something(); break;
    case 24: work_in_region(); break;
    case 25: work_at_apc_level(); break;
    case 26: work_test_alert(); break;
    case 27: KeYieldExecution(); break;
    case 28: work_under_lock(); break;
    case 29: sim_compute(sim_random(2000)); break;
    case 30: work_affinity(); break;
    case 31: work_elsewhere(); break;
    case 32: work_call_others(); break;
    case 33: work_flush(); break;
    }
    self->depth--;
}

// ---- DPC routines and the device ----------------------------------------------------------------
static VOID NTAPI work_dpc_routine(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                                   PVOID SystemArgument2)
{
    SIM_DPC *dpc = DeferredContext;

    dpc->run++;
    SIM_CHECK(sim_current()->irql == DISPATCH_LEVEL, "a DPC runs at another level");
    for (unsigned i = sim_random(3); i > 0; i--)
        switch (sim_random(10)) {
        case 0:
        case 1:
        case 2: work_signal(FALSE); break;
        case 3: work_reset(); break;
        case 4: work_timer(); break;
        case 5: work_insert(); break;
        case 6: work_priority(); break;
        case 7: work_queue_apc(); break;
        case 8: work_look(); break;
        case 9: work_affinity(); break;
        }
    dpc->ended++;
}

static void work_release_all(SIM_THREAD_STATE *self)
{
    while (self->owns != 0)
        work_release(self->owned[0]);
}

// Before the thread that serves them is there they run like the others.
static VOID NTAPI work_threaded_routine(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                                        PVOID SystemArgument2)
{
    SIM_DPC *dpc = DeferredContext;
    SIM_THREAD_STATE *self = work_self();

    if (work_in_dpc()) {
        SIM_CHECK(!sim_current()->pcr.Prcb.ThreadedReady, "a threaded DPC runs in no thread");
        work_dpc_routine(Dpc, DeferredContext, SystemArgument1, SystemArgument2);
        return;
    }
    dpc->run++;
    SIM_CHECK(sim_current()->irql == PASSIVE_LEVEL, "a threaded DPC runs above PASSIVE_LEVEL");
    SIM_CHECK(self == &sim_thread[SIM_WORKERS + sim_number(sim_current())],
              "a threaded DPC runs in another processor's thread");
    while (self->wait != NULL) // as in work_call
        KiPause();
    for (unsigned i = sim_random(3); i > 0 && !sim_stopping; i--)
        work_operation();
    work_release_all(self);
    dpc->ended++;
}

static VOID NTAPI work_flush_routine(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                                     PVOID SystemArgument2)
{
    SIM_DPC *dpc = DeferredContext;
    SIM_OP op = {.kind = OP_SET_EVENT, .count = 1, .object = {&sim_flushed}};

    dpc->run++;
    work_call(&op);
    dpc->ended++;
}

void work_device(void)
{
    sim_compute(sim_random(20));
    KeInsertQueueDpc(&work_dpc()->dpc, NULL, NULL);
}

// ---- threads' lives -----------------------------------------------------------------------------
static VOID NTAPI work_thread_routine(PVOID Context)
{
    SIM_THREAD_STATE *self = Context;

    while (!sim_stopping && !sim_chance(400))
        work_operation();
    for (int i = 0; i < self->owns;)
        if (self->owned[i]->mutex || sim_chance(2))
            work_release(self->owned[i]);
        else
            i++; // left behind, abandoned
}

static VOID NTAPI work_server(PVOID Context)
{
    SIM_THREAD_STATE *self = Context;
    unsigned number = (unsigned)self->index - SIM_WORKERS;
    SIM_OP op = {.kind = OP_SERVE_DPCS,
                 .type = WaitAny,
                 .count = 1,
                 .object = {&sim_threaded_event[number]}};

    self->op = &op;
    KeServeThreadedDpcs(KiProcessorBlock[number]);
}

static VOID NTAPI work_hog(PVOID Context)
{
    while (!sim_stopping)
        if (sim_chance(50))
            work_signal(FALSE);
        else
            sim_compute(sim_random(2000));
}

// As ps does it.
static void work_flush_apcs(SIM_THREAD_STATE *self)
{
    PKAPC Apc;

    for (KPROCESSOR_MODE mode = KernelMode; mode <= UserMode; mode++)
        while ((Apc = KeFlushApc(&self->tcb, mode)) != NULL)
            CONTAINING_RECORD(Apc, SIM_APC, apc)->removed++;
}

static VOID work_system_routine(PKSTART_ROUTINE StartRoutine, PVOID StartContext)
{
    SIM_THREAD_STATE *self = StartContext;
    SIM_OP op = {.kind = OP_END_THREAD};

    StartRoutine(StartContext);
    work_flush_apcs(self);
    self->op = &op;
    sim_trace("ends", self, self->owns, 0);
    KeTerminateThread(0);
}

static void work_start_thread(SIM_THREAD_STATE *thread, PKSTART_ROUTINE routine, KPRIORITY priority)
{
    KE_THREAD what = {.StackBase = thread->memory,
                      .StackLimit = thread->memory,
                      .Priority = priority,
                      .SystemRoutine = work_system_routine,
                      .StartRoutine = routine,
                      .StartContext = thread};

    thread->slot = SLOT_MADE;
    KeInitializeThread(&thread->tcb, &what);
    if (thread->index != 0 && !work_is_server(thread) && sim_chance(3)) {
        KAFFINITY some = work_some_processors();
        thread->tcb.Affinity = thread->tcb.UserAffinity = some;
    }
    model_start_thread(thread);
    thread->slot = SLOT_ALIVE;
    if (thread->index == 0)
        KeStartThread(&thread->tcb);
    else
        work_call(&(SIM_OP){.kind = OP_START_THREAD, .thread = thread});
}

static void work_reap(void)
{
    for (int i = 1; i < SIM_WORKERS; i++) {
        SIM_THREAD_STATE *thread = &sim_thread[i];
        if (thread->slot != SLOT_ENDED || thread->references != 0 || !KeThreadHasLeft(&thread->tcb))
            continue;
        if (thread->references != 0)
            continue;
        SIM_CHECK(thread->self.waiters == 0, "a thread that ended is waited for");
        thread->slot = SLOT_FREE;
        memset(&thread->tcb, 0xDD, sizeof(thread->tcb));
        model_start_object(&thread->timer, SIM_TIMER, &thread->tcb.Timer.Header);
    }
}

static void work_populate(void)
{
    for (int i = 1; i < SIM_WORKERS; i++)
        if (sim_thread[i].slot == SLOT_FREE && i <= (int)work_hogs)
            work_start_thread(&sim_thread[i], work_hog, 8);
        else if (sim_thread[i].slot == SLOT_FREE && sim_chance(3))
            work_start_thread(&sim_thread[i], work_thread_routine, 1 + (KPRIORITY)sim_random(15));
}

static void work_signal_everything(void)
{
    for (int i = 0; i < SIM_OBJECTS; i++) {
        SIM_OBJECT_STATE *object = &sim_object[i];
        SIM_OP op = {.count = 1, .object = {object}};
        switch (object->kind) {
        case SIM_EVENT: op.kind = OP_SET_EVENT; break;
        case SIM_SEMAPHORE:
            op.kind = OP_RELEASE_SEMAPHORE;
            op.adjustment = 1;
            break;
        case SIM_TIMER: op.kind = OP_SET_TIMER; break;
        case SIM_QUEUE: op.kind = OP_RUNDOWN_QUEUE; break;
        case SIM_MUTANT:
        case SIM_THREAD: continue;
        }
        work_call(&op);
    }
}

static int work_all_have_left(void)
{
    work_reap();
    for (int i = 1; i < SIM_WORKERS; i++)
        if (sim_thread[i].slot != SLOT_FREE)
            return 0;
    for (int i = 0; i < SIM_DPCS; i++)
        if (sim_dpc[i].run != sim_dpc[i].ended)
            return 0;
    return 1;
}

static void work_check_end(void)
{
    for (int i = 0; i < SIM_APCS; i++)
        SIM_CHECK(sim_apc[i].inserted == sim_apc[i].delivered + sim_apc[i].removed ||
                      sim_apc[i].target == NULL,
                  "APC %d was queued %lu times, ran %lu times and was removed %lu times", i,
                  sim_apc[i].inserted, sim_apc[i].delivered, sim_apc[i].removed);
    for (int i = 0; i < SIM_OBJECTS; i++)
        SIM_CHECK(sim_object[i].waiters == 0, "somebody waits for object %d", i);
}

// Thread 0.
static VOID NTAPI work_keeper(PVOID Context)
{
    if (sim_mistake != NULL) {
        sim_mistake->make();
        sim_fail("%s went unnoticed", sim_mistake->name);
    }
    for (unsigned i = 0; i < sim_processors; i++)
        work_start_thread(&sim_thread[SIM_WORKERS + i], work_server, HIGH_PRIORITY);
    for (unsigned round = 0; !sim_stopping; round++) {
        SIM_OP op = {.kind = OP_WAIT};
        work_set_timeout(&op, 2 * SIM_TICK);
        work_call(&op);
        work_reap();
        work_populate();
        if (round % 4 == 0)
            KeRelieveStarvation();
    }
    while (!work_all_have_left()) {
        SIM_OP op = {.kind = OP_WAIT};
        work_signal_everything();
        KeRelieveStarvation();
        work_set_timeout(&op, 2 * SIM_TICK);
        work_call(&op);
    }
    work_check_end();
    sim_finish();
}

// ---- start --------------------------------------------------------------------------------------
static void work_make_object(int index, SIM_KIND kind, int variant)
{
    SIM_OBJECT_STATE *object = &sim_object[index];

    model_start_object(object, kind, &object->real.event.Header);
    object->synchronization = variant && (kind == SIM_EVENT || kind == SIM_TIMER);
    if (kind == SIM_EVENT) {
        KeInitializeEvent(&object->real.event,
                          variant ? SynchronizationEvent : NotificationEvent, FALSE);
    } else if (kind == SIM_SEMAPHORE) {
        object->limit = 1 + 4 * variant;
        KeInitializeSemaphore(&object->real.semaphore, 0, object->limit);
    } else if (kind == SIM_MUTANT) {
        object->mutex = variant;
        object->state = 1;
        if (variant)
            KeInitializeMutex(&object->real.mutant, 0);
        else
            KeInitializeMutant(&object->real.mutant, FALSE);
    } else if (kind == SIM_TIMER) {
        KeInitializeTimerEx(&object->real.timer,
                            variant ? SynchronizationTimer : NotificationTimer);
    } else {
        object->maximum = 1 + variant;
        KeInitializeQueue(&object->real.queue, (ULONG)object->maximum);
    }
}

static void work_make_dpcs(void)
{
    memset(sim_dpc, 0, sizeof(sim_dpc));
    for (int i = 0; i < FIRST_THREADED; i++)
        KeInitializeDpc(&sim_dpc[i].dpc, work_dpc_routine, &sim_dpc[i]);
    for (int i = FIRST_THREADED; i < FLUSH_DPC; i++)
        KeInitializeThreadedDpc(&sim_dpc[i].dpc, work_threaded_routine, &sim_dpc[i]);
    KeInitializeThreadedDpc(&sim_dpc[FLUSH_DPC].dpc, work_flush_routine, &sim_dpc[FLUSH_DPC]);
    for (unsigned i = 0; i < sim_processors; i++) {
        PKPRCB Prcb = KiProcessorBlock[i];
        model_start_object(&sim_threaded_event[i], SIM_EVENT, &Prcb->ThreadedEvent.Header);
        sim_threaded_event[i].synchronization = 1;
    }
    model_start_object(&sim_flushed, SIM_EVENT, &sim_flushed.real.event.Header);
    sim_flushed.synchronization = 1;
    KeInitializeEvent(&sim_flushed.real.event, SynchronizationEvent, FALSE);
}

void work_start(void)
{
    static const SIM_KIND kinds[SIM_OBJECTS] = {SIM_EVENT,  SIM_EVENT,  SIM_EVENT, SIM_SEMAPHORE,
                                                SIM_SEMAPHORE, SIM_MUTANT, SIM_MUTANT, SIM_TIMER,
                                                SIM_TIMER,  SIM_TIMER,  SIM_QUEUE, SIM_QUEUE};

    for (int i = 0; i < SIM_OBJECTS; i++)
        work_make_object(i, kinds[i], i % 2);
    work_make_dpcs();
    memset(sim_apc, 0, sizeof(sim_apc));
    memset(sim_entry, 0, sizeof(sim_entry));
    work_hogs = sim_chance(4) ? sim_processors : 0;
    work_lock = 0;
    work_inside = 0;
    for (int i = 0; i < SIM_THREADS; i++) {
        void *memory = sim_thread[i].memory;
        memset(&sim_thread[i], 0, sizeof(sim_thread[i]));
        sim_thread[i].index = i;
        sim_thread[i].memory = memory;
        model_start_object(&sim_thread[i].self, SIM_THREAD, &sim_thread[i].tcb.Header);
        model_start_object(&sim_thread[i].timer, SIM_TIMER, &sim_thread[i].tcb.Timer.Header);
    }
    work_start_thread(&sim_thread[0], work_keeper, 18);
}
