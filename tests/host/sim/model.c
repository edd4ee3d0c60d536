// SPDX-License-Identifier: MIT
// What the kernel should do, said plainly, and compared with what it does.
//
// Everything that changes what is waited for happens under the dispatcher lock. So each time the
// lock is about to be released the model makes the step that the caller (SIM_OP) asked for, on its
// own arrays and in the order in which the lock was held, and then compares: every object's state,
// who waits for it and in which order, every thread, whether it waits and what ended its wait.
// What a call returns is compared when it has returned (calls.c).
//
// What happens without that lock is checked by what must hold (checks.c): whenever no lock is held
// (model_check), and more of it when besides no processor is at DISPATCH_LEVEL or above, so that
// nothing is half done (model_check_settled). There an interrupt that was owed must be on its way.
#include "model.h"

SIM_THREAD_STATE sim_thread[SIM_THREADS];
SIM_OBJECT_STATE sim_object[SIM_OBJECTS];
SIM_OBJECT_STATE sim_threaded_event[SIM_PROCESSORS];
SIM_OBJECT_STATE sim_flushed;
SIM_ENTRY sim_entry[SIM_ENTRIES];
SIM_DPC sim_dpc[SIM_DPCS];
SIM_APC sim_apc[SIM_APCS];


// Things happen one after the other; this counts them.
unsigned long model_next_order(void)
{
    static unsigned long order;

    return ++order;
}

ULONG64 model_time(void)
{
    return (ULONG64)(ULONG)KeSharedUserData->InterruptTime.High1Time << 32 |
           KeSharedUserData->InterruptTime.LowPart;
}

SIM_THREAD_STATE *sim_thread_of(const KTHREAD *thread)
{
    size_t offset = (size_t)((const char *)thread - (const char *)sim_thread);
    return offset < sizeof(sim_thread) ? &sim_thread[offset / sizeof(sim_thread[0])] : NULL;
}

SIM_THREAD_STATE *model_current(void)
{
    return sim_thread_of(sim_current()->pcr.Prcb.CurrentThread);
}

// What the DPC routine that runs is doing: one of the work's, of the timers, or of threaded DPCs,
// who wake their thread.
static SIM_OP *model_dpc_op(SIM_PROCESSOR *processor)
{
    static SIM_OP expire = {.kind = OP_EXPIRE}, wake[SIM_PROCESSORS];
    PKPRCB Prcb = &processor->pcr.Prcb;
    unsigned number = sim_number(processor);

    if (Prcb->DpcRoutine == (PVOID)(ULONG_PTR)Prcb->TimerDpc.DeferredRoutine)
        return &expire;
    if (processor->dpc_op != NULL)
        return processor->dpc_op;
    wake[number] = (SIM_OP){
        .kind = OP_SET_EVENT, .count = 1, .object = {&sim_threaded_event[number]}};
    return &wake[number];
}

SIM_OP *sim_current_op(void)
{
    SIM_PROCESSOR *processor = sim_current();
    SIM_THREAD_STATE *thread = model_current();

    if (processor->pcr.Prcb.DpcActive)
        return model_dpc_op(processor);
    return thread != NULL ? thread->op : NULL;
}

// ---- making -------------------------------------------------------------------------------------
void model_start_object(SIM_OBJECT_STATE *object, SIM_KIND kind, DISPATCHER_HEADER *header)
{
    *object = (SIM_OBJECT_STATE){.kind = kind, .real = object->real, .header = header};
}

void model_start_thread(SIM_THREAD_STATE *thread)
{
    model_start_object(&thread->self, SIM_THREAD, &thread->tcb.Header);
    model_start_object(&thread->timer, SIM_TIMER, &thread->tcb.Timer.Header);
    thread->op = thread->wait = NULL;
    thread->alerted[0] = thread->alerted[1] = thread->user_apc = FALSE;
    thread->queue = NULL;
    thread->waited_for_queue = FALSE;
    thread->owns = 0;
    thread->boost_time = 0;
    thread->priority = thread->tcb.Priority;
    thread->special_sequence = thread->normal_sequence = 0;
    thread->in_normal_apc = 0;
    thread->raised = NULL;
}

// ---- events, semaphores, mutants ----------------------------------------------------------------
static void model_set(SIM_OP *op)
{
    SIM_OBJECT_STATE *event = op->object[0];

    op->result = event->state;
    event->state = 1;
    model_signal(event, op->increment);
    if (op->kind == OP_PULSE_EVENT)
        event->state = 0;
}

static void model_reset(SIM_OP *op)
{
    op->result = op->object[0]->state;
    op->object[0]->state = 0;
}

static void model_release_semaphore(SIM_OP *op)
{
    SIM_OBJECT_STATE *semaphore = op->object[0];

    op->result = semaphore->state;
    if (semaphore->state + op->adjustment > semaphore->limit || op->adjustment <= 0) {
        op->raises = TRUE;
        return;
    }
    semaphore->state += op->adjustment;
    model_signal(semaphore, op->increment);
}

static void model_free_mutant(SIM_OBJECT_STATE *mutant)
{
    model_disown(mutant);
    mutant->state = 1;
    model_signal(mutant, 1);
}

static void model_release_mutant(SIM_OP *op)
{
    SIM_OBJECT_STATE *mutant = op->object[0];

    op->result = mutant->state;
    if (mutant->owner != model_current())
        op->raises = TRUE;
    else if (mutant->state < 0)
        mutant->state++;
    else
        model_free_mutant(mutant);
}

// ---- timers -------------------------------------------------------------------------------------
static ULONG64 model_next_period(const SIM_OBJECT_STATE *timer, ULONG64 now)
{
    ULONG64 due = timer->due;
    do
        due += timer->period;
    while (due <= now);
    return due;
}

static void model_check_dpc(const SIM_OBJECT_STATE *timer)
{
    const SIM_DPC *dpc = timer->dpc;

    SIM_CHECK(dpc == NULL || dpc->dpc.DpcData != NULL || dpc->removing ||
                  dpc->taken + dpc->removed > dpc->gone,
              "a timer expired and its DPC is not queued");
}

static void model_expire(SIM_OBJECT_STATE *timer, ULONG64 now)
{
    timer->inserted = FALSE;
    timer->state = 1;
    model_signal(timer, 0);
    if (timer->period != 0)
        model_add_timer(timer, model_next_period(timer, now));
    model_check_dpc(timer);
}

static void model_set_timer(SIM_OP *op)
{
    SIM_OBJECT_STATE *timer = op->object[0];
    const ULONG64 *now = sim_current()->time; // read in this order

    op->result = timer->inserted;
    timer->state = 0;
    timer->inserted = FALSE;
    timer->period = (ULONG64)op->period * 10000;
    timer->dpc = op->dpc;
    timer->due = op->timeout.QuadPart < 0 ? *now++ - (ULONG64)op->timeout.QuadPart : op->due;
    if (timer->due > now[0]) {
        model_add_timer(timer, timer->due);
    } else {
        timer->due = now[0]; // periods count from the first expiry
        model_expire(timer, now[0]);
    }
}

static void model_cancel_timer(SIM_OP *op)
{
    op->result = op->object[0]->inserted;
    op->object[0]->inserted = FALSE;
    op->object[0]->period = 0;
}

// The timer of this processor that is due first, NULL: none is.
static SIM_OBJECT_STATE *model_first_due(unsigned processor, ULONG64 now, SIM_THREAD_STATE **of)
{
    SIM_OBJECT_STATE *first = NULL;

    for (int i = 0; i < SIM_OBJECTS + SIM_THREADS; i++) {
        SIM_THREAD_STATE *thread = i < SIM_OBJECTS ? NULL : &sim_thread[i - SIM_OBJECTS];
        SIM_OBJECT_STATE *timer = thread != NULL ? &thread->timer : &sim_object[i];
        if (!timer->inserted || timer->processor != processor || timer->due > now)
            continue;
        if (first != NULL && (timer->due > first->due ||
                              (timer->due == first->due && timer->order > first->order)))
            continue;
        first = timer;
        *of = thread;
    }
    return first;
}

static void model_expire_all(void)
{
    SIM_PROCESSOR *processor = sim_current();
    ULONG64 now = processor->time[0];
    SIM_OBJECT_STATE *timer;
    SIM_THREAD_STATE *thread;

    SIM_CHECK(now <= model_time(), "timers look into the future");
    while ((timer = model_first_due(sim_number(processor), now, &thread)) != NULL) {
        if (thread != NULL)
            model_end_wait(thread, STATUS_TIMEOUT, 0);
        else
            model_expire(timer, now);
    }
}

// ---- threads and APCs ---------------------------------------------------------------------------

// Whether the target of an APC, which waits, is to run it.
static int model_apc_ends_wait(const SIM_APC *apc)
{
    const KTHREAD *tcb = &apc->target->tcb;
    const SIM_OP *wait = apc->target->wait;

    if (apc->apc.ApcMode == UserMode)
        return wait != NULL && wait->mode == UserMode &&
               (wait->alertable || apc->target->user_apc);
    return apc->target->wait != NULL && tcb->WaitIrql < APC_LEVEL && tcb->SpecialApcDisable == 0 &&
           (apc->apc.NormalRoutine == NULL ||
            (tcb->KernelApcDisable == 0 && !tcb->KernelApcInProgress));
}

// The list of APCs has a lock of its own; who holds it decides whether the APC can be queued. What
// the target is doing is seen here too: once it has been woken it may run.
void model_apc_locked(void)
{
    SIM_OP *op = sim_current_op();

    if (op == NULL || (op->kind != OP_QUEUE_APC && op->kind != OP_REMOVE_APC) ||
        KiDispatcherLock != (ULONG_PTR)&sim_current()->pcr.Prcb)
        return; // it is to be delivered or flushed
    if (op->kind == OP_REMOVE_APC) {
        const LIST_ENTRY *entry = &op->apc->apc.ApcListEntry;
        op->result = op->apc->apc.Inserted;
        op->apc->removed += op->result != 0;
        op->adjustment = op->result && op->apc->apc.ApcMode == UserMode &&
                         entry->Flink == entry->Blink; // the last of its list
        return;
    }
    op->result = op->apc->target->tcb.ApcQueueable && !op->apc->apc.Inserted;
    if (!op->result)
        return;
    op->apc->inserted++;
    op->apc->sequence = model_next_order();
    op->apc->removed_then = op->apc->removed;
    op->adjustment = model_apc_ends_wait(op->apc);
}

static void model_queue_apc(SIM_OP *op)
{
    int user = op->apc->apc.ApcMode == UserMode;

    if (!op->result || !op->adjustment)
        return;
    if (user)
        op->apc->target->user_apc = TRUE;
    model_end_wait(op->apc->target, user ? STATUS_USER_APC : STATUS_KERNEL_APC, op->increment);
}

static void model_remove_apc(SIM_OP *op)
{
    if (op->adjustment)
        op->apc->target->user_apc = FALSE;
}

static void model_alert_thread(SIM_OP *op)
{
    SIM_THREAD_STATE *target = op->thread;

    op->result = target->alerted[(int)op->mode];
    if (op->result)
        return;
    if (target->wait != NULL && target->wait->alertable && op->mode <= target->wait->mode)
        model_end_wait(target, STATUS_ALERTED, 2);
    else
        target->alerted[(int)op->mode] = TRUE;
}

static void model_test_alert(SIM_OP *op)
{
    SIM_THREAD_STATE *thread = model_current();
    op->result = model_take_alert(thread, op->mode);
    if (!op->result && op->mode == UserMode && model_has_user_apcs(thread))
        thread->user_apc = TRUE;
}

static void model_end_thread(void)
{
    SIM_THREAD_STATE *thread = model_current();

    while (thread->owns != 0) {
        thread->owned[0]->abandoned = TRUE;
        model_free_mutant(thread->owned[0]);
    }
    if (thread->queue != NULL) {
        SIM_OBJECT_STATE *queue = thread->queue;
        thread->queue = NULL;
        model_give_place(queue);
    }
    thread->self.state = 1;
    model_signal(&thread->self, 0);
    thread->slot = SLOT_ENDED;
}

// The thread of threaded DPCs binds itself to its processor; from then on it waits for them.
static void model_serve_dpcs(SIM_OP *op)
{
    if (KiProcessorBlock[op->object[0] - sim_threaded_event]->ThreadedReady)
        model_wait(op);
}

static void model_apply(SIM_OP *op)
{
    switch (op->kind) {
    case OP_SET_EVENT:
    case OP_PULSE_EVENT: model_set(op); break;
    case OP_RESET_EVENT: model_reset(op); break;
    case OP_RELEASE_SEMAPHORE: model_release_semaphore(op); break;
    case OP_RELEASE_MUTANT: model_release_mutant(op); break;
    case OP_WAIT: model_wait(op); break;
    case OP_REMOVE_QUEUE: model_remove(op); break;
    case OP_INSERT_QUEUE: model_insert(op, 0); break;
    case OP_INSERT_HEAD_QUEUE: model_insert(op, 1); break;
    case OP_RUNDOWN_QUEUE: model_run_down(op); break;
    case OP_SET_TIMER: model_set_timer(op); break;
    case OP_CANCEL_TIMER: model_cancel_timer(op); break;
    case OP_EXPIRE: model_expire_all(); break;
    case OP_QUEUE_APC: model_queue_apc(op); break;
    case OP_REMOVE_APC: model_remove_apc(op); break;
    case OP_ALERT: model_alert_thread(op); break;
    case OP_TEST_ALERT: model_test_alert(op); break;
    case OP_END_THREAD: model_end_thread(); break;
    case OP_SERVE_DPCS: model_serve_dpcs(op); break;
    case OP_NONE:
    case OP_START_THREAD:
    case OP_SET_PRIORITY:
    case OP_SET_AFFINITY: break;
    }
}

void model_locked(void)
{
    SIM_OP *op = sim_current_op();

    if (op == NULL || op->kind != OP_EXPIRE)
        sim_current()->times = 0; // KiTimerDpc reads the time before
    else
        sim_current()->time[0] = sim_current()->time[sim_current()->times - 1];
    for (int i = 0; i < SIM_DPCS; i++)
        sim_dpc[i].gone = sim_dpc[i].taken + sim_dpc[i].removed;
}

void model_unlocking(void)
{
    SIM_OP *op = sim_current_op();

    if (op != NULL) {
        sim_trace("unlock", op->object[0], op->kind, (long)op->holds);
        op->holds++;
        model_apply(op);
    }
    model_compare();
}
