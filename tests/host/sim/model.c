// SPDX-License-Identifier: MIT
// What the kernel should do, said plainly, and compared with what it does.
//
// Everything that changes what is waited for happens under the dispatcher lock. So each time the
// lock is about to be released the model makes the step that the caller (SIM_OP) asked for, on its
// own arrays and in the order in which the lock was held, and then compares: every object's state,
// who waits for it and in which order, every thread, whether it waits and what ended its wait.
// What a call returns is compared when it has returned (work.c).
//
// What happens without that lock is checked by what must hold: whenever no lock is held
// (model_check), and more of it when besides no processor is at DISPATCH_LEVEL or above, so that
// nothing is half done (model_check_settled). There an interrupt that was owed must be on its way.
#include "sim.h"

#define OVERDUE (64ull * SIM_TICK) // nothing is later than this
#define STARVED 500u               // clock ticks for which nobody is ready and does not run

SIM_THREAD_STATE sim_thread[SIM_THREADS];
SIM_OBJECT_STATE sim_object[SIM_OBJECTS];
SIM_ENTRY sim_entry[SIM_ENTRIES];
SIM_DPC sim_dpc[SIM_DPCS];
SIM_APC sim_apc[SIM_APCS];

static unsigned long model_order;

static ULONG64 model_time(void)
{
    return (ULONG64)(ULONG)KeSharedUserData->InterruptTime.High1Time << 32 |
           KeSharedUserData->InterruptTime.LowPart;
}

SIM_THREAD_STATE *sim_thread_of(const KTHREAD *thread)
{
    size_t offset = (size_t)((const char *)thread - (const char *)sim_thread);
    return offset < sizeof(sim_thread) ? &sim_thread[offset / sizeof(sim_thread[0])] : NULL;
}

static SIM_THREAD_STATE *model_current(void)
{
    return sim_thread_of(sim_current()->pcr.Prcb.CurrentThread);
}

SIM_OP *sim_current_op(void)
{
    static SIM_OP expire = {.kind = OP_EXPIRE};
    SIM_PROCESSOR *processor = sim_current();
    PKPRCB Prcb = &processor->pcr.Prcb;
    SIM_THREAD_STATE *thread = model_current();

    if (Prcb->DpcActive)
        return Prcb->DpcRoutine == (PVOID)(ULONG_PTR)Prcb->TimerDpc.DeferredRoutine
                   ? &expire
                   : processor->dpc_op;
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

// ---- waits --------------------------------------------------------------------------------------
static int model_can_consume(const SIM_OBJECT_STATE *object, const SIM_THREAD_STATE *thread)
{
    return object->state > 0 || (object->kind == SIM_MUTANT && object->owner == thread);
}

static void model_own(SIM_THREAD_STATE *thread, SIM_OBJECT_STATE *mutant)
{
    for (int i = thread->owns++; i > 0; i--)
        thread->owned[i] = thread->owned[i - 1];
    thread->owned[0] = mutant; // the last is the first to be abandoned
    mutant->owner = thread;
}

static void model_disown(SIM_OBJECT_STATE *mutant)
{
    SIM_THREAD_STATE *owner = mutant->owner;
    int at = 0;

    while (owner->owned[at] != mutant)
        at++;
    for (owner->owns--; at < owner->owns; at++)
        owner->owned[at] = owner->owned[at + 1];
    mutant->owner = NULL;
}

static LONG64 model_consume(SIM_OBJECT_STATE *object, SIM_THREAD_STATE *thread)
{
    LONG64 status = 0;

    if (object->synchronization)
        object->state = 0;
    else if (object->kind == SIM_SEMAPHORE)
        object->state--;
    else if (object->kind == SIM_MUTANT && --object->state == 0) {
        model_own(thread, object);
        status = object->abandoned ? STATUS_ABANDONED_WAIT_0 : 0;
        object->abandoned = FALSE;
    }
    return status;
}

static int model_can_consume_all(const SIM_OP *op, const SIM_THREAD_STATE *thread)
{
    for (ULONG i = 0; i < op->count; i++)
        if (!model_can_consume(op->object[i], thread))
            return 0;
    return op->count != 0;
}

static LONG64 model_consume_all(SIM_OP *op, SIM_THREAD_STATE *thread)
{
    LONG64 status = 0;
    for (ULONG i = 0; i < op->count; i++)
        status |= model_consume(op->object[i], thread);
    return status;
}

static void model_stop_waiting_for(SIM_OBJECT_STATE *object, SIM_THREAD_STATE *thread)
{
    int at = 0;

    while (object->waiter[at] != thread)
        at++;
    for (object->waiters--; at < object->waiters; at++)
        object->waiter[at] = object->waiter[at + 1];
}

// A boost lifts to the base plus the increment, not into the real-time range, and never lowers but
// by one level for a quantum that is over.
static void model_check_boost(SIM_THREAD_STATE *thread, LONG increment)
{
    LONG base = thread->tcb.BasePriority, boosted = base + increment, now = thread->tcb.Priority;

    if (base >= LOW_REALTIME_PRIORITY) {
        SIM_CHECK(now == base, "thread %d: priority %d, base %d", thread->index, now, base);
        return;
    }
    if (boosted >= LOW_REALTIME_PRIORITY)
        boosted = LOW_REALTIME_PRIORITY - 1;
    SIM_CHECK(now <= (boosted > thread->priority ? boosted : thread->priority),
              "thread %d: boost by %d over base %d and %d gave %d", thread->index, increment, base,
              thread->priority, now);
    if (increment != 0 && boosted > thread->priority && thread->tcb.Starved == 0 &&
        thread->tcb.State != ThreadRunning) // then it may have used a quantum already
        SIM_CHECK(now >= boosted - 1, "thread %d: boost by %d over base %d gave %d", thread->index,
                  increment, base, now);
    if (now > thread->priority)
        thread->boost_time = thread->tcb.KernelTime;
}

static void model_end_wait(SIM_THREAD_STATE *thread, LONG64 status, LONG increment)
{
    for (ULONG i = 0; i < thread->wait->count; i++)
        model_stop_waiting_for(thread->wait->object[i], thread);
    thread->timer.inserted = FALSE;
    if (thread->queue != NULL)
        thread->queue->current++;
    sim_trace("wakes", NULL, thread->index, (long)status);
    thread->wait->result = status;
    thread->wait = NULL;
    thread->wait_status = status;
    thread->wait_ended = TRUE;
    model_check_boost(thread, increment);
}

static int model_satisfy(SIM_OBJECT_STATE *object, SIM_THREAD_STATE *thread, LONG increment)
{
    SIM_OP *op = thread->wait;
    LONG64 key = 0;

    if (op->type == WaitAll && op->count > 0) {
        if (!model_can_consume_all(op, thread))
            return 0;
        model_end_wait(thread, model_consume_all(op, thread), increment);
        return 1;
    }
    while (op->object[key] != object)
        key++;
    model_end_wait(thread, key + model_consume(object, thread), increment);
    return 1;
}

// Who waits for a signalled object gets it, first come, first served.
static void model_signal(SIM_OBJECT_STATE *object, LONG increment)
{
    for (int i = 0; object->state > 0 && i < object->waiters;)
        i = model_satisfy(object, object->waiter[i], increment) ? 0 : i + 1;
}

// ---- queues -------------------------------------------------------------------------------------
static SIM_ENTRY *model_pop(SIM_OBJECT_STATE *queue)
{
    SIM_ENTRY *entry = queue->entry[0];

    for (int i = 1; i < queue->entries; i++)
        queue->entry[i - 1] = queue->entry[i];
    queue->entries--;
    queue->state--;
    return entry;
}

static void model_push(SIM_OBJECT_STATE *queue, SIM_ENTRY *entry, int at_head)
{
    int at = at_head ? 0 : queue->entries;

    for (int i = queue->entries++; i > at; i--)
        queue->entry[i] = queue->entry[i - 1];
    queue->entry[at] = entry;
    queue->state++;
}

static void model_hand_over(SIM_OBJECT_STATE *queue, SIM_ENTRY *entry)
{
    model_end_wait(queue->waiter[queue->waiters - 1], (LONG64)(ULONG_PTR)&entry->link, 0);
}

static void model_give_place(SIM_OBJECT_STATE *queue)
{
    queue->current--;
    if (queue->entries != 0 && queue->waiters != 0 && queue->current < queue->maximum)
        model_hand_over(queue, model_pop(queue));
}

static void model_insert(SIM_OP *op, int at_head)
{
    SIM_OBJECT_STATE *queue = op->object[0];
    SIM_THREAD_STATE *thread = model_current();

    op->result = queue->state;
    if (queue->waiters != 0 && queue->current < queue->maximum &&
        (thread == NULL || thread->queue != queue || !thread->waited_for_queue))
        model_hand_over(queue, op->entry);
    else
        model_push(queue, op->entry, at_head);
}

static void model_run_down(SIM_OP *op)
{
    SIM_OBJECT_STATE *queue = op->object[0];

    op->result = queue->entries;
    queue->entries = queue->state = queue->current = 0;
    for (int i = 0; i < SIM_THREADS; i++)
        if (sim_thread[i].queue == queue)
            sim_thread[i].queue = NULL;
    while (queue->waiters != 0)
        model_end_wait(queue->waiter[0], STATUS_ABANDONED, 0);
}

// ---- beginning waits ----------------------------------------------------------------------------
static void model_add_timer(SIM_OBJECT_STATE *timer, ULONG64 due)
{
    timer->inserted = TRUE;
    timer->due = due;
    timer->order = ++model_order;
    timer->processor = sim_number(sim_current());
}

// The wait did not end at once: the thread waits now.
static void model_block(SIM_OP *op, SIM_THREAD_STATE *thread)
{
    ULONG64 due = thread->tcb.Timer.DueTime.QuadPart;

    thread->wait = op;
    for (ULONG i = 0; i < op->count; i++) {
        SIM_OBJECT_STATE *object = op->object[i];
        object->waiter[object->waiters++] = thread;
    }
    if (op->timed) {
        SIM_CHECK(due >= op->due && due <= op->due_limit, "thread %d waits until %llu, not %llu",
                  thread->index, (unsigned long long)due, (unsigned long long)op->due);
        model_add_timer(&thread->timer, due);
    }
    if (op->kind != OP_REMOVE_QUEUE && thread->queue != NULL)
        model_give_place(thread->queue);
    thread->waited_for_queue = op->kind == OP_REMOVE_QUEUE;
}

// Whether user APCs are queued. Their list changes under the dispatcher lock only, but when the
// thread ends.
static int model_has_user_apcs(const SIM_THREAD_STATE *thread)
{
    return !IsListEmpty(&thread->tcb.ApcListHead[UserMode]);
}

static int model_take_alert(SIM_THREAD_STATE *thread, KPROCESSOR_MODE mode)
{
    int alerted = thread->alerted[(int)mode];

    thread->alerted[(int)mode] = FALSE;
    return alerted;
}

static LONG64 model_alert(SIM_OP *op, SIM_THREAD_STATE *thread)
{
    if (!op->alertable)
        return op->mode == UserMode && thread->user_apc ? STATUS_USER_APC : 0;
    if (model_take_alert(thread, op->mode))
        return STATUS_ALERTED;
    if (op->mode == UserMode && model_has_user_apcs(thread)) {
        thread->user_apc = TRUE;
        return STATUS_USER_APC;
    }
    return model_take_alert(thread, KernelMode) ? STATUS_ALERTED : 0;
}

// The objects are not to be had. Whether the wait ends all the same.
static int model_ends_at_once(SIM_OP *op, SIM_THREAD_STATE *thread, int blocked)
{
    LONG64 status = thread != NULL ? model_alert(op, thread) : 0;

    if (status == 0 && op->timed && !blocked) {
        SIM_CHECK(op->timeout.QuadPart == 0 || op->due <= model_time(),
                  "a wait until %llu ended at %llu", (unsigned long long)op->due,
                  (unsigned long long)model_time());
        status = STATUS_TIMEOUT;
    }
    if (status != 0)
        op->result = status;
    return status != 0;
}

static int model_try(SIM_OP *op, SIM_THREAD_STATE *thread)
{
    if (op->type == WaitAll) {
        if (!model_can_consume_all(op, thread))
            return 0;
        op->result = model_consume_all(op, thread);
        return 1;
    }
    for (ULONG i = 0; i < op->count; i++)
        if (model_can_consume(op->object[i], thread)) {
            op->result = i + model_consume(op->object[i], thread);
            return 1;
        }
    return 0;
}

// The wait's limit is computed once, here at the latest.
static void model_set_limit(SIM_OP *op)
{
    if (op->timed && op->due_limit == 0)
        op->due_limit = op->timeout.QuadPart < 0 ? model_time() - (ULONG64)op->timeout.QuadPart
                                                 : op->due;
}

static int model_apc_comes_first(SIM_OP *op, const SIM_THREAD_STATE *thread)
{
    return thread != NULL && thread->tcb.KernelApcPending && thread->tcb.SpecialApcDisable == 0 &&
           op->irql < APC_LEVEL;
}

static void model_wait(SIM_OP *op)
{
    SIM_THREAD_STATE *thread = model_current();
    int blocked = thread != NULL && thread->tcb.State == ThreadWaiting;

    if (model_apc_comes_first(op, thread)) {
        SIM_CHECK(!blocked, "thread %d waits with an APC to run", thread->index);
        return;
    }
    model_set_limit(op);
    if (model_try(op, thread) || model_ends_at_once(op, thread, blocked)) {
        SIM_CHECK(!blocked, "thread %d waits for what it could have", thread->index);
        return;
    }
    SIM_CHECK(blocked, "a wait ended, and nothing was to be had");
    model_block(op, thread);
}

static void model_serve(SIM_THREAD_STATE *thread, SIM_OBJECT_STATE *queue)
{
    SIM_OBJECT_STATE *old = thread->queue;

    if (old == queue) {
        queue->current--;
        return;
    }
    thread->queue = queue;
    if (old != NULL)
        model_give_place(old);
}

static void model_remove(SIM_OP *op)
{
    SIM_THREAD_STATE *thread = model_current();
    SIM_OBJECT_STATE *queue = op->object[0];
    int blocked = thread->tcb.State == ThreadWaiting;

    if (model_apc_comes_first(op, thread)) {
        SIM_CHECK(!blocked, "thread %d waits with an APC to run", thread->index);
        return;
    }
    model_serve(thread, queue);
    model_set_limit(op);
    if (queue->entries != 0 && queue->current < queue->maximum)
        op->result = (LONG64)(ULONG_PTR)&model_pop(queue)->link;
    else if (!model_ends_at_once(op, thread, blocked)) {
        SIM_CHECK(blocked, "a wait for a queue ended with nothing");
        model_block(op, thread);
        return;
    }
    SIM_CHECK(!blocked, "thread %d waits for an entry that it could have", thread->index);
    queue->current++;
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
    op->apc->sequence = ++model_order;
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

// ---- comparing ----------------------------------------------------------------------------------
static void model_compare_waiters(const SIM_OBJECT_STATE *object, long id)
{
    int count = 0;

    for (PLIST_ENTRY entry = object->header->WaitListHead.Flink;
         entry != &object->header->WaitListHead; entry = entry->Flink, count++) {
        SIM_THREAD_STATE *thread =
            sim_thread_of(CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry)->Thread);
        SIM_CHECK(count < object->waiters && object->waiter[count] == thread,
                  "object %ld: thread %d waits, thread %d should", id, thread->index,
                  count < object->waiters ? object->waiter[count]->index : -1);
    }
    SIM_CHECK(count == object->waiters, "object %ld: %d threads wait, %d should", id, count,
              object->waiters);
}

static void model_compare_queue(const SIM_OBJECT_STATE *object, long id)
{
    const KQUEUE *queue = &object->real.queue;
    PLIST_ENTRY entry = queue->EntryListHead.Flink;

    SIM_CHECK((LONG)queue->CurrentCount == object->current, "queue %ld: %d threads run, not %d", id,
              (int)queue->CurrentCount, (int)object->current);
    for (int i = 0; i < object->entries; i++, entry = entry->Flink)
        SIM_CHECK(entry == &object->entry[i]->link, "queue %ld: another entry at %d", id, i);
    SIM_CHECK(entry == &queue->EntryListHead, "queue %ld: more than %d entries", id,
              object->entries);
}

static void model_compare_object(const SIM_OBJECT_STATE *object, long id)
{
    SIM_CHECK(object->header->SignalState == object->state, "object %ld: state %d, should be %d",
              id, (int)object->header->SignalState, (int)object->state);
    model_compare_waiters(object, id);
    if (object->kind == SIM_QUEUE)
        model_compare_queue(object, id);
    if (object->kind == SIM_TIMER) {
        const KTIMER *timer = &object->real.timer;
        SIM_CHECK(timer->Header.Inserted == object->inserted, "timer %ld is %sset", id,
                  object->inserted ? "not " : "");
        SIM_CHECK(!object->inserted || timer->DueTime.QuadPart == object->due,
                  "timer %ld is due at %llu, should be at %llu", id,
                  (unsigned long long)timer->DueTime.QuadPart, (unsigned long long)object->due);
    }
    if (object->kind == SIM_MUTANT) {
        const KMUTANT *mutant = &object->real.mutant;
        SIM_CHECK(mutant->OwnerThread == (object->owner != NULL ? &object->owner->tcb : NULL),
                  "mutant %ld has another owner", id);
        SIM_CHECK(mutant->Abandoned == object->abandoned, "mutant %ld: abandoned %d", id,
                  mutant->Abandoned);
        SIM_CHECK(object->state == 1 ? object->owner == NULL : object->owner != NULL,
                  "mutant %ld: state %d", id, (int)object->state);
    }
}

static void model_compare_thread(SIM_THREAD_STATE *thread)
{
    const KTHREAD *tcb = &thread->tcb;

    if (thread->slot < SLOT_ALIVE)
        return;
    SIM_CHECK((tcb->State == ThreadWaiting) == (thread->wait != NULL), "thread %d %s",
              thread->index, thread->wait != NULL ? "was woken too early" : "was not woken");
    SIM_CHECK(!thread->wait_ended || tcb->WaitStatus == thread->wait_status,
              "thread %d: the wait ended with 0x%llx, should be 0x%llx", thread->index,
              (unsigned long long)tcb->WaitStatus, (unsigned long long)thread->wait_status);
    SIM_CHECK(tcb->UserApcPending == thread->user_apc, "thread %d: a user APC is %spending",
              thread->index, thread->user_apc ? "not " : "");
    SIM_CHECK(tcb->Timer.Header.Inserted == thread->timer.inserted, "thread %d: timer is %sset",
              thread->index, thread->timer.inserted ? "not " : "");
    SIM_CHECK((tcb->State == ThreadTerminated) == (thread->slot == SLOT_ENDED), "thread %d ended",
              thread->index);
    model_compare_object(&thread->self, 100 + thread->index);
    thread->wait_ended = FALSE;
    thread->priority = tcb->Priority;
}

static void model_compare(void)
{
    for (int i = 0; i < SIM_OBJECTS; i++)
        model_compare_object(&sim_object[i], i);
    for (int i = 0; i < SIM_THREADS; i++)
        model_compare_thread(&sim_thread[i]);
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

// ---- what holds whenever no lock is held --------------------------------------------------------
static void model_check_priority(const SIM_THREAD_STATE *thread)
{
    const KTHREAD *tcb = &thread->tcb;

    SIM_CHECK(tcb->Priority >= tcb->BasePriority, "thread %d: priority %d is below its base %d",
              thread->index, tcb->Priority, tcb->BasePriority);
    SIM_CHECK(tcb->Priority == tcb->BasePriority || tcb->Priority < LOW_REALTIME_PRIORITY,
              "thread %d: boosted to %d", thread->index, tcb->Priority);
    SIM_CHECK(tcb->Priority == tcb->BasePriority || tcb->Starved != 0 ||
                  tcb->KernelTime - thread->boost_time < 64,
              "thread %d keeps its boost, %d over %d", thread->index, tcb->Priority,
              tcb->BasePriority);
}

static void model_check_ready_queue(SIM_PROCESSOR *processor, int priority, int *places)
{
    PKPRCB Prcb = &processor->pcr.Prcb;
    PLIST_ENTRY head = &Prcb->ReadyListHead[priority];
    int set = Prcb->ReadySummary >> priority & 1;

    SIM_CHECK(set == !IsListEmpty(head), "processor %u: bit %d is %d", sim_number(processor),
              priority, set);
    for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink) {
        PKTHREAD Thread = CONTAINING_RECORD(entry, KTHREAD, ReadyEntry);
        SIM_THREAD_STATE *thread = sim_thread_of(Thread);
        SIM_CHECK(thread != NULL && thread->slot == SLOT_ALIVE, "a thread is ready and is gone");
        SIM_CHECK(Thread->State == ThreadReady && Thread->Priority == priority &&
                      Thread->Processor == Prcb->ProcessorNumber,
                  "thread %d in queue %d of processor %u: state %d, priority %d, processor %u",
                  thread->index, priority, Prcb->ProcessorNumber, Thread->State, Thread->Priority,
                  (unsigned)Thread->Processor);
        SIM_CHECK(Thread->Affinity & Prcb->ProcessorMask, "thread %d is ready where it may not run",
                  thread->index);
        places[thread->index]++;
    }
}

// Whether RunningThread is not just about to leave, perhaps chosen by another processor already.
static int model_runs(const KPRCB *Prcb)
{
    return Prcb->RunningThread->State == ThreadRunning &&
           Prcb->RunningThread->Processor == Prcb->ProcessorNumber;
}

static void model_check_chosen(SIM_PROCESSOR *processor, int *places)
{
    PKPRCB Prcb = &processor->pcr.Prcb;
    PKTHREAD Next = Prcb->NextThread, Running = Prcb->RunningThread;
    SIM_THREAD_STATE *thread = sim_thread_of(Running);

    if (Next != NULL) {
        places[sim_thread_of(Next)->index]++;
        SIM_CHECK(Next->State == ThreadStandby && Next->Processor == Prcb->ProcessorNumber &&
                      Prcb->Reschedule,
                  "thread %d is next on processor %u, in state %d, of processor %u, reschedule %d",
                  sim_thread_of(Next)->index, Prcb->ProcessorNumber, Next->State,
                  (unsigned)Next->Processor, Prcb->Reschedule);
        SIM_CHECK(Next->Affinity & Prcb->ProcessorMask, "thread %d is next where it may not run",
                  sim_thread_of(Next)->index);
    }
    SIM_CHECK(model_runs(Prcb) ||
                  (Prcb->CurrentThread == Running && processor->irql >= DISPATCH_LEVEL),
              "processor %u runs thread %d in state %d", Prcb->ProcessorNumber,
              thread != NULL ? thread->index : -1, Running->State);
    if (thread != NULL && model_runs(Prcb))
        places[thread->index]++;
}

// The best of those who may is the one who runs or is next.
static void model_check_best(SIM_PROCESSOR *processor)
{
    PKPRCB Prcb = &processor->pcr.Prcb;
    PKTHREAD front = Prcb->NextThread != NULL ? Prcb->NextThread : Prcb->RunningThread;

    if (!model_runs(Prcb))
        return;
    SIM_CHECK(front->Priority == 31 || Prcb->ReadySummary >> (front->Priority + 1) == 0,
              "processor %u runs priority %d with 0x%X ready", Prcb->ProcessorNumber,
              front->Priority, Prcb->ReadySummary);
    SIM_CHECK(Prcb->NextThread == NULL ||
                  Prcb->NextThread->Priority >= Prcb->RunningThread->Priority || Prcb->QuantumEnd,
              "processor %u: priority %d is to give way to %d", Prcb->ProcessorNumber,
              Prcb->RunningThread->Priority, Prcb->NextThread->Priority);
}

static void model_check_place(const SIM_THREAD_STATE *thread, int places)
{
    int state = thread->tcb.State;
    int expected = state == ThreadReady || state == ThreadRunning || state == ThreadStandby;

    SIM_CHECK(places == expected, "thread %d, state %d, is in %d places", thread->index, state,
              places);
}

static void model_check_overdue(const SIM_OBJECT_STATE *timer, ULONG64 now)
{
    SIM_CHECK(!timer->inserted || timer->due + OVERDUE > now,
              "a timer for %llu is lost, it is %llu", (unsigned long long)timer->due,
              (unsigned long long)now);
}

static void model_check_wheel(const SIM_PROCESSOR *processor)
{
    const KPRCB *Prcb = &processor->pcr.Prcb;

    for (unsigned hand = 0; hand < TIMER_HANDS; hand++) {
        const LIST_ENTRY *head = &Prcb->TimerListHead[hand];
        ULONG64 last = 0;
        if (head->Flink == head)
            continue;
        SIM_CHECK(Prcb->TimerSummary[hand / 32] >> hand % 32 & 1, "hand %u is not marked", hand);
        for (const LIST_ENTRY *entry = head->Flink; entry != head; entry = entry->Flink) {
            const KTIMER *timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);
            SIM_CHECK(timer->Header.Inserted && timer->DueTime.QuadPart >= last,
                      "hand %u is not in order", hand);
            last = timer->DueTime.QuadPart;
        }
    }
}

void model_check(void)
{
    int places[SIM_THREADS] = {0};

    for (unsigned i = 0; i < sim_processors; i++) {
        for (int priority = 0; priority < MAXIMUM_PRIORITY; priority++)
            model_check_ready_queue(&sim_processor[i], priority, places);
        model_check_chosen(&sim_processor[i], places);
        model_check_best(&sim_processor[i]);
    }
    for (int i = 0; i < SIM_THREADS; i++) {
        if (sim_thread[i].slot < SLOT_ALIVE)
            continue;
        model_check_place(&sim_thread[i], places[i]);
        model_check_priority(&sim_thread[i]);
        model_check_overdue(&sim_thread[i].timer, model_time());
    }
    for (int i = 0; i < SIM_OBJECTS; i++)
        model_check_overdue(&sim_object[i], model_time());
}

// ---- what holds when nothing is half done -------------------------------------------------------
static int model_has_signal(const SIM_PROCESSOR *processor)
{
    return sim_is_requested(processor, DPC_VECTOR);
}

// A DPC that is not urgent may wait for the next tick; the depth tells only that there is one.
static void model_check_dpcs(const SIM_PROCESSOR *processor)
{
    const KPRCB *Prcb = &processor->pcr.Prcb;
    unsigned depth = 0;

    for (const LIST_ENTRY *entry = Prcb->DpcListHead.Flink; entry != &Prcb->DpcListHead;
         entry = entry->Flink, depth++) {
        const KDPC *dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
        SIM_CHECK(dpc->DpcData == Prcb, "a DPC is on a queue that is not its own");
        SIM_CHECK(dpc->Importance == LowImportance || dpc->Number != 0 || Prcb->DpcRequested,
                  "a DPC waits on processor %u and nobody asked for it", Prcb->ProcessorNumber);
    }
    SIM_CHECK(depth == Prcb->DpcQueueDepth, "processor %u: %u DPCs wait, it says %u",
              Prcb->ProcessorNumber, depth, Prcb->DpcQueueDepth);
    SIM_CHECK(!Prcb->DpcRequested || model_has_signal(processor),
              "processor %u does not know that DPCs wait", Prcb->ProcessorNumber);
}

static void model_check_apcs(const SIM_PROCESSOR *processor)
{
    const KTHREAD *tcb = processor->pcr.Prcb.CurrentThread;
    const KAPC *first = CONTAINING_RECORD(tcb->ApcListHead[KernelMode].Flink, KAPC, ApcListEntry);

    if (tcb->ApcListHead[KernelMode].Flink == &tcb->ApcListHead[KernelMode] ||
        tcb->SpecialApcDisable != 0 || processor->irql >= APC_LEVEL ||
        sim_thread_of(tcb)->leaving) // a region, and is about to look
        return;
    if (first->NormalRoutine != NULL && (tcb->KernelApcDisable != 0 || tcb->KernelApcInProgress))
        return;
    SIM_CHECK(sim_is_requested(processor, APC_VECTOR) || model_has_signal(processor),
              "processor %u does not know that its thread has an APC",
              processor->pcr.Prcb.ProcessorNumber);
}

static void model_check_rest(SIM_PROCESSOR *processor)
{
    const KPRCB *Prcb = &processor->pcr.Prcb;

    SIM_CHECK(Prcb->RunningThread == Prcb->CurrentThread &&
                  Prcb->CurrentThread->State == ThreadRunning,
              "processor %u is in the middle of a switch", Prcb->ProcessorNumber);
    SIM_CHECK((Prcb->CurrentThread->Affinity & Prcb->ProcessorMask) || model_has_signal(processor),
              "processor %u runs thread %d, which may not run there", Prcb->ProcessorNumber,
              sim_thread_of(Prcb->CurrentThread)->index);
    SIM_CHECK((Prcb->NextThread == NULL && !Prcb->Reschedule) || model_has_signal(processor),
              "processor %u does not know that another thread is next", Prcb->ProcessorNumber);
}

// No processor sleeps that could run a thread which is ready, unless another has been woken for it.
static void model_check_waste(const SIM_THREAD_STATE *thread)
{
    int asleep = -1, awake = 0;

    for (unsigned i = 0; i < sim_processors; i++) {
        const SIM_PROCESSOR *processor = &sim_processor[i];
        const KPRCB *Prcb = &processor->pcr.Prcb;
        if (thread->tcb.State != ThreadReady || Prcb->CurrentThread != Prcb->IdleThread ||
            !(thread->tcb.Affinity & Prcb->ProcessorMask))
            continue;
        if (processor->halted && !model_has_signal(processor) &&
            !sim_is_requested(processor, CLOCK_VECTOR))
            asleep = (int)i;
        else
            awake++;
    }
    SIM_CHECK(asleep < 0 || awake > 0, "thread %d is ready while processor %d sleeps",
              thread->index, asleep);
}

static void model_check_starved(const SIM_THREAD_STATE *thread)
{
    const KTHREAD *tcb = &thread->tcb;

    SIM_CHECK(tcb->State != ThreadReady || tcb->Priority >= LOW_REALTIME_PRIORITY - 1 ||
                  KiTickCount() - tcb->ReadyTime < STARVED,
              "thread %d has been ready for %u ticks", thread->index,
              (unsigned)(KiTickCount() - tcb->ReadyTime));
}

static void model_check_lost(const SIM_THREAD_STATE *thread)
{
    const SIM_OP *op = thread->wait;

    if (op == NULL || op->kind != OP_WAIT)
        return;
    SIM_CHECK(op->type != WaitAll || !model_can_consume_all(op, thread),
              "thread %d waits, and has all it waits for", thread->index);
    for (ULONG i = 0; op->type == WaitAny && i < op->count; i++)
        SIM_CHECK(!model_can_consume(op->object[i], thread),
                  "thread %d waits for what is signalled", thread->index);
}

static void model_check_counts(const SIM_DPC *dpc)
{
    unsigned long queued = dpc->dpc.DpcData != NULL;

    SIM_CHECK(dpc->run + queued <= dpc->inserted &&
                  dpc->run + queued + dpc->removed + SIM_THREADS >= dpc->inserted,
              "a DPC was queued %lu times, ran %lu times and was removed %lu times", dpc->inserted,
              dpc->run, dpc->removed);
}

void model_check_settled(void)
{
    model_check();
    for (unsigned i = 0; i < sim_processors; i++) {
        model_check_rest(&sim_processor[i]);
        model_check_dpcs(&sim_processor[i]);
        model_check_apcs(&sim_processor[i]);
        model_check_wheel(&sim_processor[i]);
    }
    for (int i = 0; i < SIM_THREADS; i++)
        if (sim_thread[i].slot == SLOT_ALIVE) {
            model_check_waste(&sim_thread[i]);
            model_check_starved(&sim_thread[i]);
            model_check_lost(&sim_thread[i]);
        }
    for (int i = 0; i < SIM_DPCS; i++)
        model_check_counts(&sim_dpc[i]);
}
