// SPDX-License-Identifier: MIT
// What only threads do: they wait, own mutants, get APCs, and run elsewhere.
//
// Waits that could keep each other waiting for ever, those of a thread that owns a mutant, for a
// mutant or for a thread, have a limit; all others may last as long as nobody signals. The threads
// that serve threaded DPCs wait with a limit, too, since others wait for them (work_flush).
//
// work_operation chooses among everything, operations.c included. It may lead to itself, within
// a region, at APC_LEVEL, on another processor or in an APC, three deep.
#include "work.h"

#define QUEUES      2 // the last objects
#define FIRST_QUEUE (SIM_OBJECTS - QUEUES)

// ---- waits --------------------------------------------------------------------------------------
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

// ---- APCs ---------------------------------------------------------------------------------------
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

void work_queue_apc(void)
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

// ---- operations ---------------------------------------------------------------------------------
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

void work_release(SIM_OBJECT_STATE *mutant)
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

KSPIN_LOCK work_lock;
volatile int work_inside;

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

void work_operation(void)
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
