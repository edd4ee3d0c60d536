// SPDX-License-Identifier: MIT
// The model and the kernel compared: after each step, whenever no lock is held, and when nothing is
// half done. What each of them asks is said in model.c.
#include "model.h"

#define OVERDUE (64ull * SIM_TICK) // nothing is later than this
#define STARVED 500u               // clock ticks for which nobody is ready and does not run

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

void model_compare(void)
{
    for (int i = 0; i < SIM_OBJECTS; i++)
        model_compare_object(&sim_object[i], i);
    for (unsigned i = 0; i < sim_processors; i++)
        model_compare_object(&sim_threaded_event[i], 200 + i);
    model_compare_object(&sim_flushed, 300);
    for (int i = 0; i < SIM_THREADS; i++)
        model_compare_thread(&sim_thread[i]);
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

// A DPC that has been passed to the thread is taken by it: it does not wait, or it has been told.
static void model_check_threaded(const SIM_PROCESSOR *processor)
{
    const KPRCB *Prcb = &processor->pcr.Prcb;
    const SIM_THREAD_STATE *server = &sim_thread[SIM_WORKERS + sim_number(processor)];
    const LIST_ENTRY *head = &Prcb->ThreadedListHead;

    for (const LIST_ENTRY *entry = head->Flink; entry != head; entry = entry->Flink) {
        const KDPC *dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
        SIM_CHECK(dpc->DpcData == (PVOID)((ULONG_PTR)Prcb | 1) && dpc->Type == ThreadedDpcObject,
                  "a DPC is on a thread's list that is not its own");
    }
    SIM_CHECK(head->Flink == head || server->wait == NULL ||
                  server->wait->kind != OP_SERVE_DPCS,
              "threaded DPCs wait on processor %u and their thread sleeps",
              Prcb->ProcessorNumber);
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

    if (op == NULL || (op->kind != OP_WAIT && op->kind != OP_SERVE_DPCS))
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
        model_check_threaded(&sim_processor[i]);
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
