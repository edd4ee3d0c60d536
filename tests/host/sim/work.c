// SPDX-License-Identifier: MIT
// The work of the simulated system: threads, DPC routines and a device that call the kernel at
// random (operations.c, threads.c), tell the model what they call, and compare what it returns
// (calls.c). This part is their lives.
//
// Thread 0 looks after the others: it makes new ones in place of those that have ended, relieves
// starvation, and when the run is to end signals everything until all have left.
//
// The last threads, one a processor, serve the threaded DPCs, as the kernel's own do; the routines
// of those do what threads do.
//
// In some runs as many threads as there are processors do little but compute, so that others would
// never run but for starvation relief.
#include "work.h"

#include <string.h>

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
