// SPDX-License-Identifier: MIT
// The simulated machine: processors, their interrupts, and who goes on when.
//
// Everything runs in one thread of the host. A simulated processor is a stack pointer, an IRQL, an
// interrupt flag and the registers of a local APIC; the stacks are those of the kernel's threads.
// The kernel's sources are compiled with the thread sanitizer's instrumentation, but its routines
// are these: before every access to memory that others may see, and in every primitive of arch.h,
// the simulator may let another processor go on, move time, or deliver an interrupt on the stack
// that runs. Which of them is the seed's decision alone, so a run can be repeated. A "step" is one
// such decision; between two of them the seed lets pass 1 to some hundreds of accesses.
//
// Memory is sequentially consistent here: what depends on the order in which a processor's stores
// become visible is not explored.
//
// A processor that switches threads has no stack while it waits for the new thread's registers
// (incoming), as in swap.S. One that halts goes on with its next interrupt; when all have halted,
// time moves to the next clock tick.
//
// Sometimes a processor is stalled for a while, wherever it is, so that the others can do much in a
// window that is a few instructions wide. And now and then the machine is settled: every processor
// goes on until it is below DISPATCH_LEVEL, and stays there until the model has looked.
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_SIZE  0x20000
#define TRACE_SIZE  4096u
#define TRACE_SHOWN 80u
#define CHECK_EVERY 32u
#define SETTLE_EVERY 256u
#define SETTLE_LIMIT 200000ul

SIM_PROCESSOR sim_processor[SIM_PROCESSORS];
unsigned sim_processors;
ULONG64 sim_now;
int sim_stopping;
SIM_COUNTS sim_counts;
const SIM_MISTAKE *sim_mistake;

typedef struct {
    unsigned long step;
    unsigned processor;
    KIRQL irql;
    int thread;
    const char *what;
    const void *subject;
    long a, b;
} SIM_TRACE;

static struct {
    const SIM_OPTIONS *options;
    SIM_PROCESSOR *current;
    int running, failed, settling;
    long countdown;
    unsigned long settle_accesses;
    uint64_t random;
    uint32_t burst, stickiness, pace;
    unsigned long taken[HAL_VECTOR_COUNT]; // interrupts by vector
    void *main_stack;
    SIM_TRACE trace[TRACE_SIZE];
    unsigned long traced;
} sim;

// What ke has from elsewhere.
PKPRCB KiProcessorBlock[MAXIMUM_PROCESSORS];
volatile CCHAR KeNumberProcessors;
volatile KAFFINITY KeActiveProcessors;
volatile BOOLEAN KiBugCheckActive;
LOADER_BLOCK KeLoaderBlockStorage;
KE_DEBUG_ROUTINE *KeDebugRoutine;
ULONG HalClockVector = CLOCK_VECTOR;
ULONG64 HalCounterFrequency = 10000000;
static KUSER_SHARED_DATA sim_shared_data;

SIM_PROCESSOR *sim_current(void)
{
    return sim.current;
}

unsigned sim_number(const SIM_PROCESSOR *processor)
{
    return (unsigned)(processor - sim_processor);
}

// ---- chance -------------------------------------------------------------------------------------
static uint64_t sim_next_random(void)
{
    sim.random += 0x9E3779B97F4A7C15ull; // splitmix64
    uint64_t value = sim.random;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
}

uint32_t sim_random(uint32_t below)
{
    return (uint32_t)((sim_next_random() >> 32) * below >> 32);
}

int sim_chance(uint32_t one_in)
{
    return sim_random(one_in) == 0;
}

// ---- reports ------------------------------------------------------------------------------------
static void sim_print_trace(const SIM_TRACE *trace)
{
    fprintf(stderr, "# %8lu  processor %u irql %2u thread %3d  %-24s %5ld %5ld  %p\n", trace->step,
            trace->processor, trace->irql, trace->thread, trace->what, trace->a, trace->b,
            trace->subject);
}

void sim_trace(const char *what, const void *subject, long a, long b)
{
    SIM_TRACE *trace = &sim.trace[sim.traced++ % TRACE_SIZE];
    SIM_THREAD_STATE *thread = sim_thread_of(sim.current->pcr.Prcb.CurrentThread);

    *trace = (SIM_TRACE){sim_counts.steps,
                         sim_number(sim.current),
                         sim.current->irql,
                         thread != NULL ? thread->index : -1,
                         what,
                         subject,
                         a,
                         b};
    if (sim.options->trace)
        sim_print_trace(trace);
}

static void sim_print_processor(const SIM_PROCESSOR *processor)
{
    const KPRCB *Prcb = &processor->pcr.Prcb;
    const SIM_THREAD_STATE *current = sim_thread_of(Prcb->CurrentThread);
    const SIM_THREAD_STATE *next = sim_thread_of(Prcb->NextThread);

    fprintf(stderr,
            "# processor %u: irql %u, interrupts %u, halted %u, thread %d, next %d, ready 0x%X, "
            "reschedule %u, quantum end %u, DPCs %u active %u requested %u, held %u%s\n",
            Prcb->ProcessorNumber, processor->irql, processor->enabled, processor->halted,
            current != NULL ? current->index : -1, next != NULL ? next->index : -1,
            Prcb->ReadySummary, Prcb->Reschedule, Prcb->QuantumEnd, Prcb->DpcQueueDepth,
            Prcb->DpcActive, Prcb->DpcRequested, KiDispatcherLock == (ULONG_PTR)Prcb,
            processor->incoming != NULL ? ", switching" : "");
}

static void sim_print_thread(const SIM_THREAD_STATE *thread)
{
    const KTHREAD *tcb = &thread->tcb;
    const SIM_OP *wait = thread->wait;

    if (thread->slot == SLOT_FREE)
        return;
    fprintf(stderr,
            "# thread %d: state %u, priority %d (base %d), processor %u, affinity 0x%llx, "
            "in context %u, disables %d %d, owns %d, call %d",
            thread->index, tcb->State, tcb->Priority, tcb->BasePriority, (unsigned)tcb->Processor,
            (unsigned long long)tcb->Affinity, tcb->InContext, tcb->KernelApcDisable,
            tcb->SpecialApcDisable, thread->owns, thread->op != NULL ? (int)thread->op->kind : 0);
    if (wait != NULL)
        fprintf(stderr, ", waits for %s of %u until %llu:",
                wait->type == WaitAll ? "all" : "any", (unsigned)wait->count,
                wait->timed ? (unsigned long long)thread->timer.due : 0);
    for (ULONG i = 0; wait != NULL && i < wait->count; i++)
        fprintf(stderr, " %ld", wait->object[i]->kind == SIM_THREAD
                                    ? -1L : (long)(wait->object[i] - sim_object));
    fprintf(stderr, "\n");
}

DECLSPEC_NORETURN void sim_fail(const char *format, ...)
{
    va_list arguments;
    unsigned long first = sim.traced > TRACE_SHOWN ? sim.traced - TRACE_SHOWN : 0;
    void *here;
    extern void sim_swap(void **save, void **load);

    if (!sim.options->trace)
        for (unsigned long i = first; i < sim.traced; i++)
            sim_print_trace(&sim.trace[i % TRACE_SIZE]);
    for (unsigned i = 0; i < sim_processors; i++)
        sim_print_processor(&sim_processor[i]);
    for (int i = 0; i < SIM_THREADS; i++)
        sim_print_thread(&sim_thread[i]);
    fprintf(stderr, "# step %lu, processor %u, irql %u: ", sim_counts.steps,
            sim_number(sim.current), sim.current->irql);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr,
            "\n# replay: build/host/test_scheduler --seed %llu --steps %lu --processors %u "
            "--trace\n",
            (unsigned long long)sim.options->seed, sim.options->steps, sim.options->processors);
    sim.failed = 1;
    if (!sim.running)
        exit(1);
    sim_swap(&here, &sim.main_stack);
    __builtin_unreachable();
}

// The stop that the run's mistake was to bring about, or another.
static void sim_check_stop(ULONG code, const ULONG_PTR *parameter)
{
    int wrong = code != sim_mistake->code;

    for (int i = 0; i < 4; i++)
        wrong |= sim_mistake->parameter[i] != SIM_ANYTHING &&
                 sim_mistake->parameter[i] != parameter[i];
    if (!wrong)
        sim_finish();
}

DECLSPEC_NORETURN VOID KiBugCheck(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                  ULONG_PTR P4, PKTRAP_FRAME Frame, const char *Sentence)
{
    if (sim_mistake != NULL)
        sim_check_stop(Code, (const ULONG_PTR[]){P1, P2, P3, P4});
    sim_fail("bugcheck 0x%X (0x%llx, 0x%llx, 0x%llx, 0x%llx) %s", Code, (unsigned long long)P1,
             (unsigned long long)P2, (unsigned long long)P3, (unsigned long long)P4,
             Sentence != NULL ? Sentence : "");
}

DECLSPEC_NORETURN VOID NTAPI KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3,
                                          ULONG_PTR P4)
{
    KiBugCheck(Code, P1, P2, P3, P4, NULL, NULL);
}

DECLSPEC_NORETURN VOID KdAssertionFailed(const char *Expression, const char *File, ULONG Line)
{
    sim_fail("%s:%u: %s", File, Line, Expression);
}

DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status);
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status)
{
    SIM_THREAD_STATE *thread = sim_thread_of(sim.current->pcr.Prcb.CurrentThread);
    jmp_buf *to = sim.current->pcr.Prcb.DpcActive ? sim.current->dpc_raised
                  : thread != NULL                ? thread->raised
                                                  : NULL;

    SIM_CHECK(to != NULL, "0x%X is raised", (unsigned)Status);
    longjmp(*to, 1);
}

// Output of the kernel's, which nobody reads.
VOID KdLog(const char *Component, const char *Format, ...) {}
VOID KdPrintf(const char *Format, ...) {}
ULONG64 KdQueryOptionNumber(const char *Name, ULONG64 Default) { return 0; }
BOOLEAN KdSymbolize(ULONG_PTR Address, char *Buffer, SIZE_T Size) { return FALSE; }
BOOLEAN KdParseNumber(const char **Text, ULONG64 *Value) { return FALSE; }
int RtlFormat(char *Buffer, SIZE_T Size, const char *Format, ...) { return 0; }
KAFFINITY KiFreezeProcessors(VOID) { return 0; }
VOID KiThawProcessors(VOID) {}
BOOLEAN KeSafeCopy(PVOID Destination, const VOID *Source, SIZE_T Length) { return FALSE; }

// ---- stacks -------------------------------------------------------------------------------------
// Saves the stack pointer in *save and goes on with *load.
void sim_swap(void **save, void **load);
__asm__(".text\n.globl sim_swap\nsim_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n"
        "    popq %rbp\n    ret\n");

static void *sim_new_stack(void)
{
    char *memory = mmap(NULL, STACK_SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, PAGE_SIZE, PROT_NONE) != 0)
        abort();
    return memory + PAGE_SIZE + STACK_SIZE;
}

// What sim_swap finds on a stack that begins with a call of entry.
static void *sim_first_frame(void *top, void (*entry)(void))
{
    void **frame = (void **)top - 8;

    memset(frame, 0, 8 * sizeof(*frame));
    frame[6] = (void *)entry;
    return frame;
}

static void sim_thread_entry(void)
{
    KiStartThread();
}

static void sim_idle_entry(void)
{
    sim.current->enabled = TRUE;
    KiLowerIrql(PASSIVE_LEVEL);
    KeIdleLoop();
}

VOID KiInitializeContext(PKTHREAD Thread)
{
    Thread->KernelStack = sim_first_frame(Thread->StackBase, sim_thread_entry);
}

static void sim_point(void);

// ---- the local APICs ----------------------------------------------------------------------------
void sim_request(SIM_PROCESSOR *processor, ULONG vector)
{
    processor->requested[vector / 64] |= 1ull << vector % 64;
}

int sim_is_requested(const SIM_PROCESSOR *processor, ULONG vector)
{
    return processor->requested[vector / 64] >> vector % 64 & 1;
}

static unsigned sim_highest(const uint64_t bits[4])
{
    for (int i = 3; i >= 0; i--)
        if (bits[i] != 0)
            return (unsigned)i * 64 + 63 - (unsigned)__builtin_clzll(bits[i]);
    return 0;
}

// The vector that the processor takes next if its interrupt flag lets it, 0: none.
static unsigned sim_deliverable(const SIM_PROCESSOR *processor)
{
    unsigned vector = sim_highest(processor->requested);
    unsigned above = sim_highest(processor->in_service) >> 4;

    if (processor->irql > above)
        above = processor->irql;
    return vector >> 4 > above ? vector : 0;
}

VOID HalRequestSoftwareInterrupt(KIRQL Irql)
{
    sim_request(sim.current, Irql == APC_LEVEL ? APC_VECTOR : DPC_VECTOR);
}

VOID HalRequestRemoteInterrupt(ULONG Number, KIRQL Irql)
{
    sim_point();
    sim_trace("ipi", NULL, Number, Irql);
    sim_request(&sim_processor[Number], Irql == APC_LEVEL ? APC_VECTOR : DPC_VECTOR);
}

VOID HalSendIpi(KAFFINITY Processors, KAFFINITY Self)
{
    sim_point();
    sim_trace("call ipi", NULL, (long)Processors, 0);
    for (unsigned i = 0; i < sim_processors; i++)
        if (Processors >> i & 1)
            sim_request(&sim_processor[i], IPI_VECTOR);
}

VOID HalRequestVector(ULONG Vector)
{
    sim_request(sim.current, Vector);
}

BOOLEAN HalBeginSystemInterrupt(ULONG Vector)
{
    return TRUE;
}

VOID HalEndSystemInterrupt(ULONG Vector)
{
    unsigned served = sim_highest(sim.current->in_service);

    SIM_CHECK(served == Vector, "end of vector 0x%X, but 0x%X is in service", Vector, served);
    sim.current->in_service[served / 64] &= ~(1ull << served % 64);
}

ULONG HalAcknowledgeLegacyInterrupt(ULONG Irq) { return 0; }
KIRQL HalVectorToIrql(ULONG Vector) { return (KIRQL)(Vector >> 4); }
VOID HalDescribeVector(ULONG Vector, char *Buffer, SIZE_T Size) {}
BOOLEAN HalEnableSystemInterrupt(ULONG Vector, KIRQL Irql, KINTERRUPT_MODE Mode, ULONG Processor)
{
    return TRUE;
}

KAFFINITY HalInterruptTargets(VOID) { return KeActiveProcessors; }
VOID HalDisableSystemInterrupt(ULONG Vector, KIRQL Irql) {}

// ---- interrupts ---------------------------------------------------------------------------------
VOID KiDpcInterrupt(VOID);

// As KiDpcEntry in trap.S.
static void sim_dispatch_entry(void)
{
    sim.current->irql = DISPATCH_LEVEL;
    KiDpcInterrupt();
    if (KeGetCurrentPrcb()->Reschedule)
        KiDispatchSwitch();
}

VOID KiRunOnDpcStack(VOID)
{
    KiRetireDpcs();
}

static void sim_take(SIM_PROCESSOR *processor, unsigned vector)
{
    KTRAP_FRAME frame = {.PreviousIrql = processor->irql,
                         .Vector = vector,
                         .EFlags = EFLAGS_IF,
                         .Rip = sim_counts.steps};

    sim_trace("interrupt", NULL, vector, processor->irql);
    processor->requested[vector / 64] &= ~(1ull << vector % 64);
    processor->in_service[vector / 64] |= 1ull << vector % 64;
    processor->enabled = processor->halted = FALSE;
    sim_counts.interrupts++;
    sim.taken[vector]++;
    if (vector == DPC_VECTOR) {
        sim_dispatch_entry();
        sim.current->irql = (KIRQL)frame.PreviousIrql;
    } else {
        KiInterrupt(&frame);
    }
    SIM_CHECK(sim.current->irql == frame.PreviousIrql, "vector 0x%X came at IRQL %u, left at %u",
              vector, frame.PreviousIrql, sim.current->irql);
    sim.current->enabled = TRUE;
}

static void sim_deliver(void)
{
    unsigned vector;

    while (sim.running && sim.current->enabled && (vector = sim_deliverable(sim.current)) != 0)
        sim_take(sim.current, vector);
}

// ---- who goes on --------------------------------------------------------------------------------
static int sim_runnable(const SIM_PROCESSOR *processor)
{
    if (processor->incoming != NULL)
        return !processor->incoming->InContext;
    return !processor->halted || sim_deliverable(processor) != 0;
}

// What another processor waits for it still does.
static int sim_settled(const SIM_PROCESSOR *processor)
{
    return processor->incoming == NULL && processor->enabled && processor->irql < DISPATCH_LEVEL &&
           !sim_is_requested(processor, IPI_VECTOR);
}

static void sim_move_time(ULONG64 to)
{
    sim_now = to;
    for (unsigned i = 0; i < sim_processors; i++) {
        SIM_PROCESSOR *processor = &sim_processor[i];
        if (processor->next_tick > sim_now)
            continue;
        sim_request(processor, CLOCK_VECTOR);
        processor->next_tick += (sim_now - processor->next_tick) / SIM_TICK * SIM_TICK + SIM_TICK;
        sim_counts.ticks++;
    }
}

static void sim_next_tick(void)
{
    ULONG64 next = sim_processor[0].next_tick;

    for (unsigned i = 1; i < sim_processors; i++)
        if (sim_processor[i].next_tick < next)
            next = sim_processor[i].next_tick;
    sim_move_time(next);
}

// One of the processors for which may() is true, other than but if there is another; NULL: none.
static SIM_PROCESSOR *sim_pick(const SIM_PROCESSOR *but, int heed_stalls)
{
    SIM_PROCESSOR *candidate[SIM_PROCESSORS];
    unsigned count = 0;

    for (unsigned i = 0; i < sim_processors; i++) {
        SIM_PROCESSOR *processor = &sim_processor[i];
        if (processor == but || !sim_runnable(processor) ||
            (heed_stalls && !sim.settling && processor->stalled_until > sim_counts.steps) ||
            (sim.settling && sim_settled(processor)))
            continue;
        candidate[count++] = processor;
    }
    return count != 0 ? candidate[sim_random(count)] : NULL;
}

static SIM_PROCESSOR *sim_choose(const SIM_PROCESSOR *but)
{
    SIM_PROCESSOR *chosen;

    for (unsigned long tries = 0;; tries++) {
        if ((chosen = sim_pick(but, 1)) != NULL || (chosen = sim_pick(but, 0)) != NULL)
            return chosen;
        if (but != NULL && sim_runnable(but) && !(sim.settling && sim_settled(but)))
            return (SIM_PROCESSOR *)but;
        if (sim.settling)
            return NULL;
        SIM_CHECK(tries < 1000, "every processor waits for a thread's registers");
        sim_next_tick();
        sim_counts.steps++;
    }
}

// Leaves the code that runs, at *save, and goes on with a processor.
static void sim_go(SIM_PROCESSOR *processor, void **save)
{
    void **load = &processor->stack;

    if (processor->incoming != NULL) {
        PKTHREAD thread = processor->incoming;
        processor->incoming = NULL;
        thread->InContext = TRUE;
        processor->pcr.Prcb.CurrentThread = thread;
        load = &thread->KernelStack;
        sim_counts.switches++;
    }
    sim.current = processor;
    if (load != save)
        sim_swap(save, load);
}

// No interrupt is being served: the kernel has counted every one that was taken.
static void sim_check_vectors(void)
{
    for (unsigned i = 0; i < HAL_VECTOR_COUNT; i++)
        SIM_CHECK(KiVectors[i].Count == sim.taken[i] || i == APC_VECTOR || i == DPC_VECTOR,
                  "vector 0x%X was taken %lu times and counted %lu times", i, sim.taken[i],
                  (unsigned long)KiVectors[i].Count);
}

static void sim_end_settling(void)
{
    sim.settling = 0;
    sim.countdown = 1;
    sim_counts.settled++;
    model_check_settled();
    sim_check_vectors();
}

// In the middle of settling: this processor is left where it is once it has settled.
static void sim_settle(void)
{
    SIM_PROCESSOR *next;

    SIM_CHECK(++sim.settle_accesses < SETTLE_LIMIT, "a processor stays at DISPATCH_LEVEL");
    sim.countdown = 1;
    if (sim.current->enabled && sim_deliverable(sim.current) >= IPI_VECTOR)
        sim_take(sim.current, IPI_VECTOR);
    if (!sim.settling || (!sim_settled(sim.current) && !sim_chance(16)))
        return;
    next = sim_choose(NULL);
    if (next == NULL)
        sim_end_settling();
    else
        sim_go(next, &sim.current->stack);
}

static void sim_happen(void)
{
    sim_move_time(sim_now + sim_random(sim.pace));
    if (sim_chance(1 + 100000 / sim.burst))
        sim_move_time(sim_now + sim_random(3 * SIM_TICK));
    if (sim_chance(1 + 4000 / sim.burst))
        sim_request(&sim_processor[sim_random(sim_processors)], 0x50 + sim_random(2) * 0x20);
    if (sim_chance(100))
        sim.current->stalled_until = sim_counts.steps + sim_random(300);
}

static int sim_locks_are_free(void)
{
    if (KiDispatcherLock != 0)
        return 0;
    for (unsigned i = 0; i < sim_processors; i++)
        if (sim_processor[i].pcr.Prcb.ReadyLock != 0)
            return 0;
    return 1;
}

static void sim_count_step(void)
{
    sim_counts.steps++;
    if (sim_counts.steps >= sim.options->steps)
        sim_stopping = 1;
    SIM_CHECK(sim_counts.steps < sim.options->steps * 2 + 400000,
              "the threads do not come to an end: somebody waits for ever");
    if (sim_counts.steps % CHECK_EVERY == 0 && sim_locks_are_free())
        model_check();
    if (sim_counts.steps % SETTLE_EVERY == 0) {
        sim.settling = 1;
        sim.settle_accesses = 0;
    }
}

static void sim_step(int spins)
{
    SIM_PROCESSOR *next;

    if (sim.settling) {
        sim_settle();
        return;
    }
    sim.countdown = 1 + sim_random(sim_chance(8) ? 4 * sim.burst : sim.burst);
    sim_count_step();
    sim_happen();
    if (spins || sim.current->halted || sim.current->stalled_until > sim_counts.steps)
        next = sim_choose(sim.current);
    else
        next = sim_chance(sim.stickiness) ? sim_choose(NULL) : sim.current;
    if (next != NULL)
        sim_go(next, &sim.current->stack);
    sim_deliver();
}

// Notes what the kernel reads of the interrupt time, outside interrupt service: its decisions
// depend on it.
static void sim_note_time(const void *address)
{
    SIM_PROCESSOR *processor = sim.current;
    KSYSTEM_TIME *time = (KSYSTEM_TIME *)&sim_shared_data.InterruptTime;

    if (processor->pcr.Prcb.InterruptDepth != 0)
        return;
    if (address == &time->LowPart)
        processor->time_low = (ULONG64)(ULONG)time->High1Time << 32 | time->LowPart;
    else if (address == &time->High2Time && processor->time_low >> 32 == (ULONG)time->High2Time) {
        if (processor->times == RTL_NUMBER_OF(processor->time))
            processor->times = 0;
        processor->time[processor->times++] = processor->time_low;
    }
}

// Before every access that others may see. Here is also where the use of what is gone is found.
static inline void sim_access(const void *address)
{
    size_t offset = (size_t)((const char *)address - (const char *)sim_thread);

    if (offset < sizeof(sim_thread))
        SIM_CHECK(sim_thread[offset / sizeof(sim_thread[0])].slot != SLOT_FREE,
                  "thread %zu is touched, and is gone", offset / sizeof(sim_thread[0]));
    if (sim.running && --sim.countdown <= 0)
        sim_step(0);
    if ((size_t)((const char *)address - (const char *)&sim_shared_data.InterruptTime) <
        sizeof(KSYSTEM_TIME))
        sim_note_time(address);
}

static void sim_point(void)
{
    if (sim.running && --sim.countdown <= 0)
        sim_step(0);
}

void sim_compute(unsigned accesses)
{
    while (accesses-- != 0)
        sim_point();
}

// ---- primitives ---------------------------------------------------------------------------------
PKPCR KeGetPcr(VOID)
{
    sim_point();
    return &sim.current->pcr;
}

PKPRCB KeGetCurrentPrcb(VOID)
{
    sim_point();
    return &sim.current->pcr.Prcb;
}

PKTHREAD KiCurrentThread(VOID)
{
    sim_point();
    return sim.current->pcr.Prcb.CurrentThread;
}

KIRQL KiGetIrql(VOID)
{
    return sim.current->irql;
}

VOID KiSetIrql(KIRQL Irql)
{
    sim_point();
    sim.current->irql = Irql;
    sim_deliver();
}

KIRQL KiRaiseIrql(KIRQL NewIrql)
{
    KIRQL OldIrql = sim.current->irql;
    KiSetIrql(NewIrql);
    return OldIrql;
}

VOID KiLowerIrql(KIRQL NewIrql)
{
    KiSetIrql(NewIrql);
}

VOID KiCli(VOID)
{
    sim_point();
    sim.current->enabled = FALSE;
}

VOID KiSti(VOID)
{
    sim.current->enabled = TRUE;
    sim_deliver();
}

BOOLEAN KiDisableInterrupts(VOID)
{
    BOOLEAN enabled;

    sim_point();
    enabled = sim.current->enabled;
    sim.current->enabled = FALSE;
    return enabled;
}

VOID KiRestoreInterrupts(BOOLEAN Enabled)
{
    if (Enabled)
        KiSti();
}

VOID KiPause(VOID)
{
    if (sim.running)
        sim_step(1);
}

VOID KiEnableAndHalt(VOID)
{
    SIM_PROCESSOR *processor = sim.current;

    processor->enabled = processor->halted = TRUE;
    do
        sim_step(0);
    while (processor->halted);
}

ULONG64 KiReadTsc(VOID) { return sim_now; }
ULONG64 HalQueryCounter(VOID) { return sim_now; }
ULONG64 HalQueryRealTime(VOID) { return 0x01D0000000000000ull; }
VOID HalAcknowledgeClock(VOID) {}
VOID HalSetClockInterval(ULONG Interval) {}
VOID HalStallExecution(ULONG Microseconds) {}

VOID KiSwapContext(PKTHREAD Old, PKTHREAD New)
{
    SIM_PROCESSOR *processor = sim.current;

    SIM_CHECK(!processor->enabled && processor->irql == DISPATCH_LEVEL,
              "a switch at IRQL %u with interrupts %s", processor->irql,
              processor->enabled ? "on" : "off");
    SIM_CHECK(processor->pcr.Prcb.CurrentThread == Old, "a switch from a thread that does not run");
    sim_point();
    sim_trace("switch", New, Old->State, New->Priority);
    processor->incoming = New;
    Old->InContext = FALSE;
    processor = sim_choose(NULL);
    SIM_CHECK(processor != NULL, "every processor waits for a thread's registers");
    sim_go(processor, &Old->KernelStack);
}

// Nothing here is a sequence that starts again: the range of those is empty.
const UCHAR RestartTextStart[1] = {0};
extern const UCHAR RestartTextEnd[1] __attribute__((alias("RestartTextStart")));

ULONG_PTR FASTCALL KiRestartPoint(ULONG_PTR Pc)
{
    return Pc;
}

// ---- what the compiler calls --------------------------------------------------------------------
#define SIM_ACCESS(name)                                                                           \
    void __tsan_##name(void *address);                                                             \
    void __tsan_##name(void *address)                                                              \
    {                                                                                              \
        sim_access(address);                                                                       \
    }
#define SIM_ACCESSES(size)                                                                         \
    SIM_ACCESS(read##size) SIM_ACCESS(write##size) SIM_ACCESS(unaligned_read##size)                \
        SIM_ACCESS(unaligned_write##size)
SIM_ACCESSES(1)
SIM_ACCESSES(2)
SIM_ACCESSES(4)
SIM_ACCESSES(8)
SIM_ACCESSES(16)

void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) {}
void __tsan_func_exit(void *caller);
void __tsan_func_exit(void *caller) {}
void __tsan_read_range(void *address, long size);
void __tsan_read_range(void *address, long size) { sim_access(address); }
void __tsan_write_range(void *address, long size);
void __tsan_write_range(void *address, long size) { sim_access(address); }
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order) { sim_point(); }
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order) {}

// A lock has been taken, or is about to be released.
static void sim_took_lock(volatile void *lock)
{
    SIM_CHECK(sim.current->irql >= DISPATCH_LEVEL || !sim.current->enabled,
              "a spin lock is taken at IRQL %u", sim.current->irql);
    if (lock == &KiDispatcherLock)
        model_locked();
    else if ((size_t)((volatile char *)lock - (volatile char *)sim_thread) < sizeof(sim_thread))
        model_apc_locked();
}

static void sim_before_store(volatile void *target, uint64_t value)
{
    size_t offset = (size_t)((const char *)target - (const char *)sim_dpc);

    if (offset < sizeof(sim_dpc) && sim.running)
        sim_dpc[offset / sizeof(sim_dpc[0])].taken++;
    if (target == &KiDispatcherLock && value == 0 && sim.running)
        model_unlocking();
}

static void sim_exchanged(volatile void *target, uint64_t value)
{
    size_t offset = (size_t)((const char *)target - (const char *)sim_dpc);

    if (!sim.running)
        return;
    if (value == (ULONG_PTR)&sim.current->pcr.Prcb && offset >= sizeof(sim_dpc))
        sim_took_lock(target);
    if (offset < sizeof(sim_dpc))
        sim_dpc[offset / sizeof(sim_dpc[0])].inserted++;
}

#define SIM_ATOMIC(bits, type)                                                                     \
    type __tsan_atomic##bits##_load(const volatile void *target, int order);                       \
    type __tsan_atomic##bits##_load(const volatile void *target, int order)                        \
    {                                                                                              \
        sim_access((const void *)target);                                                          \
        return *(const volatile type *)target;                                                     \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile void *target, type value, int order);                \
    void __tsan_atomic##bits##_store(volatile void *target, type value, int order)                 \
    {                                                                                              \
        sim_access((const void *)target);                                                          \
        sim_before_store(target, value);                                                           \
        *(volatile type *)target = value;                                                          \
    }                                                                                              \
    _Bool __tsan_atomic##bits##_compare_exchange_strong(volatile void *target, void *expected,     \
                                                        type value, int order, int failure);       \
    _Bool __tsan_atomic##bits##_compare_exchange_strong(volatile void *target, void *expected,     \
                                                        type value, int order, int failure)        \
    {                                                                                              \
        sim_access((const void *)target);                                                          \
        type old = *(volatile type *)target;                                                       \
        if (old != *(type *)expected) {                                                            \
            *(type *)expected = old;                                                               \
            return 0;                                                                              \
        }                                                                                          \
        *(volatile type *)target = value;                                                          \
        sim_exchanged(target, value);                                                              \
        return 1;                                                                                  \
    }
#define SIM_MODIFY(bits, type, name, expression)                                                   \
    type __tsan_atomic##bits##_##name(volatile void *target, type value, int order);               \
    type __tsan_atomic##bits##_##name(volatile void *target, type value, int order)                \
    {                                                                                              \
        sim_access((const void *)target);                                                          \
        type old = *(volatile type *)target;                                                       \
        *(volatile type *)target = (type)(expression);                                             \
        return old;                                                                                \
    }
#define SIM_ATOMICS(bits, type)                                                                    \
    SIM_ATOMIC(bits, type)                                                                         \
    SIM_MODIFY(bits, type, exchange, value)                                                        \
    SIM_MODIFY(bits, type, fetch_add, old + value)                                                 \
    SIM_MODIFY(bits, type, fetch_sub, old - value)                                                 \
    SIM_MODIFY(bits, type, fetch_and, old &value)                                                  \
    SIM_MODIFY(bits, type, fetch_or, old | value)
SIM_ATOMICS(8, uint8_t)
SIM_ATOMICS(16, uint16_t)
SIM_ATOMICS(32, uint32_t)
SIM_ATOMICS(64, uint64_t)

// ---- start and end ------------------------------------------------------------------------------
static void sim_device(KI_VECTOR *Vector, PKTRAP_FRAME Frame)
{
    work_device();
}

static void sim_start_processor(unsigned number)
{
    SIM_PROCESSOR *processor = &sim_processor[number];
    PKPRCB Prcb = &processor->pcr.Prcb;
    static void *stacks[SIM_PROCESSORS];

    if (stacks[number] == NULL)
        stacks[number] = sim_new_stack();
    memset(processor, 0, sizeof(*processor));
    processor->irql = DISPATCH_LEVEL;
    processor->next_tick = SIM_TICK + sim_random(SIM_TICK);
    processor->pcr.Self = &processor->pcr;
    processor->pcr.CurrentPrcb = Prcb;
    Prcb->ProcessorNumber = number;
    Prcb->ProcessorMask = (KAFFINITY)1 << number;
    KiInitializeRwLocks(Prcb);
    KiInitializeIdleThread(&processor->idle, stacks[number], (char *)stacks[number] - STACK_SIZE);
    KiInitializeScheduler(Prcb, &processor->idle);
    KiInitializeDpcs(Prcb, stacks[number]);
    KiInitializeTimers(Prcb);
    processor->stack = sim_first_frame(stacks[number], sim_idle_entry);
    KiProcessorBlock[number] = Prcb;
    KeActiveProcessors |= Prcb->ProcessorMask;
    KeNumberProcessors++;
}

static void sim_make_threads_stacks(void)
{
    for (int i = 0; i < SIM_THREADS; i++)
        if (sim_thread[i].memory == NULL)
            sim_thread[i].memory = sim_new_stack();
}

static void sim_reset(const SIM_OPTIONS *options)
{
    extern LIST_ENTRY KiThreadList;
    extern volatile KAFFINITY KiIdleProcessors;

    memset(&sim, 0, sizeof(sim));
    memset(&sim_counts, 0, sizeof(sim_counts));
    memset(KiVectors, 0, sizeof(KiVectors));
    memset(KiProcessorBlock, 0, sizeof(KiProcessorBlock));
    memset(&sim_shared_data, 0, sizeof(sim_shared_data));
    sim.options = options;
    sim_mistake = options->mistake;
    sim.random = options->seed;
    sim.countdown = 1;
    sim_processors = options->processors != 0 ? options->processors : 1 + sim_random(4);
    sim.burst = 1u << (1 + sim_random(7));
    sim.stickiness = 1u << sim_random(5);
    sim.pace = sim.burst * 16u << 2 * sim_random(3);
    sim_now = 0;
    sim_stopping = 0;
    KiDispatcherLock = 0;
    KiIdleProcessors = 0;
    InitializeListHead(&KiThreadList);
    KeActiveProcessors = 0;
    KeNumberProcessors = 0;
    KeSharedUserData = &sim_shared_data;
}

int sim_run(const SIM_OPTIONS *options, SIM_COUNTS *counts)
{
    sim_reset(options);
    sim_make_threads_stacks();
    KiInitializeVectors();
    sim.current = &sim_processor[0];
    for (unsigned i = 0; i < sim_processors; i++)
        sim_start_processor(i);
    KiInitializeIpis();
    KiConnectVector(0x50, sim_device);
    KiConnectVector(0x70, sim_device);
    KiInitializeTime();
    work_start();
    sim.running = 1;
    sim_swap(&sim.main_stack, &sim.current->stack);
    sim.running = 0;
    *counts = sim_counts;
    return sim.failed;
}

void sim_finish(void)
{
    void *here;
    sim_swap(&here, &sim.main_stack);
}
