// SPDX-License-Identifier: MIT
// What the simulator's parts offer each other: the machine (machine.c), the model (model.c and what
// model.h names), the work (work.c and what work.h names).
#pragma once

#include "kernel/ke/ki.h"

#include <setjmp.h>
#include <stdint.h>

#define SIM_PROCESSORS 4
#define SIM_WORKERS    14
#define SIM_THREADS    (SIM_WORKERS + SIM_PROCESSORS) // the last serve the threaded DPCs
#define SIM_OBJECTS    12 // beside the threads'
#define SIM_ENTRIES    12
#define SIM_DPCS       8
#define SIM_APCS       8
#define SIM_TICK       HAL_CLOCK_INCREMENT

// ---- one run ------------------------------------------------------------------------------------
#define SIM_ANYTHING 0x7E57A000ull // any value of a parameter will do

// Something that must end in a bugcheck.
typedef struct {
    const char *name;
    void (*make)(void);
    ULONG code;
    ULONG_PTR parameter[4];
} SIM_MISTAKE;

extern const SIM_MISTAKE sim_mistakes[]; // mistakes.c
extern const unsigned sim_mistake_count;

typedef struct {
    uint64_t seed;
    unsigned processors; // 0: the seed decides
    unsigned long steps;
    int trace; // every event, not only the last ones of a failure
    const SIM_MISTAKE *mistake; // the run makes it, and does nothing else
} SIM_OPTIONS;

typedef struct {
    unsigned long steps, operations, switches, interrupts, settled, ticks;
} SIM_COUNTS;

// Returns 0, or 1 when a promise was broken; that is printed.
int sim_run(const SIM_OPTIONS *options, SIM_COUNTS *counts);

// ---- machine.c ----------------------------------------------------------------------------------
typedef struct _SIM_OP SIM_OP;

typedef struct {
    KPCR pcr;
    KTHREAD idle;
    KIRQL irql;
    BOOLEAN enabled; // IF
    BOOLEAN halted;
    uint64_t requested[4], in_service[4]; // the local APIC's registers, a bit a vector
    PKTHREAD incoming;                    // KiSwapContext waits for its registers
    void *stack;                          // where it goes on while another processor is simulated
    unsigned long stalled_until;
    ULONG64 next_tick;
    SIM_OP *dpc_op;       // what the DPC routine that runs is doing
    jmp_buf *dpc_raised;  // where an exception in a DPC routine goes
    ULONG64 time_low;     // a reading of the interrupt time that is not complete
    ULONG64 time[4];      // readings since the dispatcher lock was taken, or before
    unsigned times;
} SIM_PROCESSOR;

extern SIM_PROCESSOR sim_processor[SIM_PROCESSORS];
extern unsigned sim_processors;
extern ULONG64 sim_now;  // 100 ns units
extern int sim_stopping; // no new work
extern SIM_COUNTS sim_counts;
extern const SIM_MISTAKE *sim_mistake; // of this run, NULL: none

SIM_PROCESSOR *sim_current(void);
unsigned sim_number(const SIM_PROCESSOR *processor);
uint32_t sim_random(uint32_t below);
int sim_chance(uint32_t one_in);
void sim_compute(unsigned accesses); // works without the kernel
void sim_request(SIM_PROCESSOR *processor, ULONG vector);
int sim_is_requested(const SIM_PROCESSOR *processor, ULONG vector);
void sim_machine_start(const SIM_OPTIONS *options, void (*work)(void));
void sim_finish(void); // from any simulated code: ends the run
DECLSPEC_NORETURN void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_trace(const char *what, const void *subject, long a, long b);
#define SIM_CHECK(condition, ...) ((condition) ? (void)0 : sim_fail(__VA_ARGS__))

// ---- model.c, waits.c, checks.c -----------------------------------------------------------------
typedef enum {
    OP_NONE,
    OP_SET_EVENT,
    OP_RESET_EVENT,
    OP_PULSE_EVENT,
    OP_RELEASE_SEMAPHORE,
    OP_RELEASE_MUTANT,
    OP_WAIT, // any number of objects, none: a delay
    OP_REMOVE_QUEUE,
    OP_INSERT_QUEUE,
    OP_INSERT_HEAD_QUEUE,
    OP_RUNDOWN_QUEUE,
    OP_SET_TIMER,
    OP_CANCEL_TIMER,
    OP_EXPIRE,
    OP_QUEUE_APC,
    OP_REMOVE_APC,
    OP_ALERT,
    OP_TEST_ALERT,
    OP_START_THREAD,
    OP_END_THREAD,
    OP_SET_PRIORITY,
    OP_SET_AFFINITY,
    OP_SERVE_DPCS, // KeServeThreadedDpcs, for ever
} SIM_OP_KIND;

typedef enum { SIM_EVENT, SIM_SEMAPHORE, SIM_MUTANT, SIM_TIMER, SIM_QUEUE, SIM_THREAD } SIM_KIND;

typedef struct _SIM_THREAD_STATE SIM_THREAD_STATE;
typedef struct _SIM_OBJECT_STATE SIM_OBJECT_STATE;

typedef struct {
    KDPC dpc;
    unsigned long inserted, removed, taken;
    unsigned long run, ended; // its routine
    unsigned long gone; // removed and taken when the dispatcher lock was taken
    int removing;       // calls of KeRemoveQueueDpc
} SIM_DPC;

typedef struct {
    KAPC apc;
    unsigned long inserted, delivered, removed;
    unsigned long sequence; // in which it was queued
    unsigned long removed_then;
    int users;              // calls that name it
    int making;             // it is just being initialized
    SIM_THREAD_STATE *target;
} SIM_APC;

typedef struct {
    LIST_ENTRY link;
    int queued;
} SIM_ENTRY;

// An object: the real one, and what the model says it should be.
struct _SIM_OBJECT_STATE {
    SIM_KIND kind;
    int synchronization; // events, timers
    int mutex;
    union {
        KEVENT event;
        KSEMAPHORE semaphore;
        KMUTANT mutant;
        KTIMER timer;
        KQUEUE queue;
    } real;
    DISPATCHER_HEADER *header;
    LONG state;
    SIM_THREAD_STATE *waiter[SIM_THREADS]; // in the order in which they came
    int waiters;
    LONG limit;                // semaphore
    SIM_THREAD_STATE *owner;   // mutant
    BOOLEAN abandoned;         // mutant
    BOOLEAN inserted;          // timer
    ULONG64 due;               // timer
    ULONG64 period;            // timer, 100 ns units
    unsigned long order;       // timer: when inserted
    unsigned processor;        // timer
    SIM_DPC *dpc;              // timer
    LONG current, maximum;     // queue
    SIM_ENTRY *entry[SIM_ENTRIES]; // queue
    int entries;               // queue
};

// One call into the kernel.
struct _SIM_OP {
    SIM_OP_KIND kind;
    SIM_OBJECT_STATE *object[MAXIMUM_WAIT_OBJECTS];
    ULONG count;
    WAIT_TYPE type;
    KPROCESSOR_MODE mode;
    BOOLEAN alertable;
    BOOLEAN timed;
    LARGE_INTEGER timeout;
    ULONG64 due;       // earliest time of a timeout
    ULONG64 due_limit; // latest
    KIRQL irql;        // of the caller
    LONG adjustment;
    LONG increment;
    LONG period;
    KAFFINITY affinity;
    SIM_DPC *dpc;
    SIM_APC *apc;
    SIM_ENTRY *entry;
    SIM_THREAD_STATE *thread; // the subject
    SIM_OP *outer;            // an APC's call interrupts this one
    unsigned holds;           // of the dispatcher lock so far
    BOOLEAN wait_next;        // Wait = TRUE
    BOOLEAN raises;           // the model says that the call raises an exception
    LONG64 result;            // what it says that it returns
};

struct _SIM_THREAD_STATE {
    KTHREAD tcb;
    enum { SLOT_FREE, SLOT_MADE, SLOT_ALIVE, SLOT_ENDED } slot;
    int index;
    void *memory;           // of its stack
    int references;         // calls that name it
    SIM_OBJECT_STATE self;  // as an object
    SIM_OBJECT_STATE timer; // of its waits
    SIM_OP *op;             // what it is doing
    SIM_OP *wait;           // what it waits in; NULL: does not wait
    BOOLEAN wait_ended;     // in this hold of the lock,
    LONG64 wait_status;     // by this
    BOOLEAN alerted[2];
    BOOLEAN user_apc;       // one is pending: ends waits in UserMode
    SIM_OBJECT_STATE *queue;
    BOOLEAN waited_for_queue; // last
    SIM_OBJECT_STATE *owned[SIM_OBJECTS * 2];
    int owns;
    ULONG64 boost_time; // KernelTime when its priority was last raised
    SCHAR priority;     // when the dispatcher lock was last released
    unsigned long special_sequence, normal_sequence;
    int in_normal_apc;
    int leaving; // a region
    int depth;   // of calls within calls
    jmp_buf *raised; // where an exception goes
};

extern SIM_THREAD_STATE sim_thread[SIM_THREADS];
extern SIM_OBJECT_STATE sim_object[SIM_OBJECTS];
extern SIM_OBJECT_STATE sim_threaded_event[SIM_PROCESSORS]; // that threaded DPCs wait there
extern SIM_OBJECT_STATE sim_flushed;                        // the DPC behind all others has run
extern SIM_ENTRY sim_entry[SIM_ENTRIES];
extern SIM_DPC sim_dpc[SIM_DPCS];
extern SIM_APC sim_apc[SIM_APCS];

SIM_THREAD_STATE *sim_thread_of(const KTHREAD *thread); // NULL: an idle thread
SIM_OP *sim_current_op(void);
void model_start_object(SIM_OBJECT_STATE *object, SIM_KIND kind, DISPATCHER_HEADER *header);
void model_start_thread(SIM_THREAD_STATE *thread);
void model_locked(void);    // the dispatcher lock has been taken
void model_apc_locked(void); // a thread's ApcLock has been taken
void model_unlocking(void); // ... is about to be released: the model makes the same step
void model_check(void);     // no lock is held
void model_check_settled(void); // besides, every processor is below DISPATCH_LEVEL

// ---- work.c -------------------------------------------------------------------------------------
void work_start(void); // makes objects and the first threads
void work_device(void); // a device's interrupt service
