// SPDX-License-Identifier: MIT
// The model's waits: who waits for what, who gets it, and queues (KQUEUE), whose entries are waited
// for too.
//
// What is signalled goes to those who wait for it in the order in which they came; a wait for all
// takes nothing until it can take everything. Of a queue the last to come is the first served, and
// no more threads than its maximum run at a time.
#include "model.h"

// ---- waits --------------------------------------------------------------------------------------
int model_can_consume(const SIM_OBJECT_STATE *object, const SIM_THREAD_STATE *thread)
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

void model_disown(SIM_OBJECT_STATE *mutant)
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

int model_can_consume_all(const SIM_OP *op, const SIM_THREAD_STATE *thread)
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

void model_end_wait(SIM_THREAD_STATE *thread, LONG64 status, LONG increment)
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
void model_signal(SIM_OBJECT_STATE *object, LONG increment)
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

void model_give_place(SIM_OBJECT_STATE *queue)
{
    queue->current--;
    if (queue->entries != 0 && queue->waiters != 0 && queue->current < queue->maximum)
        model_hand_over(queue, model_pop(queue));
}

void model_insert(SIM_OP *op, int at_head)
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

void model_run_down(SIM_OP *op)
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
void model_add_timer(SIM_OBJECT_STATE *timer, ULONG64 due)
{
    timer->inserted = TRUE;
    timer->due = due;
    timer->order = model_next_order();
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
int model_has_user_apcs(const SIM_THREAD_STATE *thread)
{
    return !IsListEmpty(&thread->tcb.ApcListHead[UserMode]);
}

int model_take_alert(SIM_THREAD_STATE *thread, KPROCESSOR_MODE mode)
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

void model_wait(SIM_OP *op)
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

void model_remove(SIM_OP *op)
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
