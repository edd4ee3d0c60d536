// SPDX-License-Identifier: MIT
// What threads and DPC routines do: nothing that waits. One function an operation: it chooses its
// objects and parameters at random, so that each that the kernel allows may come, and calls.
#include "work.h"

// ---- choices ------------------------------------------------------------------------------------
SIM_OBJECT_STATE *work_object(SIM_KIND kind)
{
    unsigned at = sim_random(SIM_OBJECTS);

    while (sim_object[at].kind != kind)
        at = (at + 1) % SIM_OBJECTS;
    return &sim_object[at];
}

SIM_THREAD_STATE *work_thread(void)
{
    SIM_THREAD_STATE *thread = &sim_thread[sim_random(SIM_WORKERS)];
    return thread->slot >= SLOT_ALIVE ? thread : NULL;
}

SIM_DPC *work_dpc(void)
{
    return &sim_dpc[sim_random(FLUSH_DPC)];
}

void work_set_timeout(SIM_OP *op, LONG64 most)
{
    LONG64 after = 1 + sim_random((uint32_t)most);

    op->timed = TRUE;
    op->due = work_time() + (ULONG64)after;
    op->timeout.QuadPart = sim_chance(5) ? (LONG64)(KiBootTime + op->due) : -after;
}

// ---- operations ---------------------------------------------------------------------------------
void work_signal(BOOLEAN wait_next)
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

void work_reset(void)
{
    work_call(&(SIM_OP){.kind = OP_RESET_EVENT,
                        .count = 1,
                        .object = {work_object(SIM_EVENT)},
                        .adjustment = (LONG)sim_random(2)});
}

void work_timer(void)
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

void work_insert(void)
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

unsigned work_hogs;

void work_priority(void)
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

KAFFINITY work_some_processors(void)
{
    return 1 + sim_random((1u << sim_processors) - 1);
}

void work_affinity(void)
{
    SIM_OP op = {.kind = OP_SET_AFFINITY,
                 .thread = work_thread(),
                 .affinity = work_some_processors()};

    if (op.thread != NULL && op.thread->index != 0)
        work_call(&op);
}

void work_alert(void)
{
    SIM_OP op = {.kind = OP_ALERT,
                 .thread = work_thread(),
                 .mode = sim_chance(2) ? KernelMode : UserMode};

    if (op.thread != NULL && op.thread->slot == SLOT_ALIVE)
        work_call(&op);
}

void work_queue_dpc(void)
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

void work_look(void) // a wait that does not wait
{
    SIM_OP op = {.kind = OP_WAIT,
                 .type = WaitAny,
                 .count = 1,
                 .object = {work_object(sim_chance(2) ? SIM_EVENT : SIM_SEMAPHORE)},
                 .timed = TRUE,
                 .irql = DISPATCH_LEVEL};
    work_call(&op);
}
