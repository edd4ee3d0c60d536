// SPDX-License-Identifier: MIT
// What malloc costs, whichever it is: bench.py runs this with one library after another preloaded.
//
//     alloc [NAME...]    only these, in the order of `all`
//
// Output: lines "BENCH name value"; nanoseconds an operation (a pair, a replacement, a message),
// for the mixed sizes also resident bytes over live bytes, for scaling per cent. A figure is the
// median of five runs.
// What one thread does is timed by the thread's own clock, which stands still while others run.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUNS     5
#define BATCH    1000
#define SLOTS    10000
#define MESSAGES 200000
#define RING     1024

static void *volatile escape;  // what the compiler must believe to be used

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t worked(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

// ---- one thread --------------------------------------------------------------------------------
static double pairs(void)
{
    enum { COUNT = 2000000 };
    uint64_t start = worked();
    for (int i = 0; i < COUNT; i++) {
        escape = malloc(64);
        free(escape);
    }
    return (double)(worked() - start) / COUNT;
}

static void *batch[BATCH];
static int order[BATCH];

static double batches(void)
{
    enum { ROUNDS = 1000 };
    uint64_t start = worked();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++)
            batch[i] = malloc(64);
        for (int i = 0; i < BATCH; i++)
            free(batch[order[i]]);
    }
    return (double)(worked() - start) / ROUNDS / BATCH;
}

static double in_order(void)
{
    for (int i = 0; i < BATCH; i++)
        order[i] = i;
    return batches();
}

static double in_reverse(void)
{
    for (int i = 0; i < BATCH; i++)
        order[i] = BATCH - 1 - i;
    return batches();
}

static double at_random(void)
{
    uint32_t seed = 1;
    for (int i = 0; i < BATCH; i++)
        order[i] = i;
    for (int i = BATCH - 1; i > 0; i--) {
        int j = (int)(next_random(&seed) % (uint32_t)(i + 1)), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    return batches();
}

static size_t resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *slot[SLOTS];
static size_t slot_size[SLOTS], live;

static void replace(int i, uint32_t *seed)
{
    free(slot[i]);
    live -= slot_size[i];
    slot_size[i] = 16 + next_random(seed) % 2033;
    slot[i] = malloc(slot_size[i]);
    memset(slot[i], 1, slot_size[i]);
    live += slot_size[i];
}

static double overhead;

static double mixed(void)
{
    enum { COUNT = 500000 };
    static size_t before;
    uint32_t seed = 1;
    if (before == 0) {
        memset(slot_size, 0, sizeof(slot_size));
        before = resident();
    }
    for (int i = 0; i < SLOTS; i++)
        replace(i, &seed);
    uint64_t start = worked();
    for (int i = 0; i < COUNT; i++)
        replace((int)(next_random(&seed) % SLOTS), &seed);
    double result = (double)(worked() - start) / COUNT;
    overhead = (double)(resident() - before) / (double)live;
    return result;
}

static double overhead_of_mixed(void)
{
    return overhead;
}

// ---- two threads -------------------------------------------------------------------------------
static void *volatile ring[RING];

static void *consume(void *argument)
{
    for (int i = 0; i < MESSAGES; i++) {
        void *message;
        while ((message = __atomic_load_n(&ring[i % RING], __ATOMIC_ACQUIRE)) == NULL)
            __builtin_ia32_pause();
        __atomic_store_n(&ring[i % RING], NULL, __ATOMIC_RELEASE);
        free(message);
    }
    return argument;
}

static double producing(void)
{
    pthread_t consumer;
    uint64_t start = now();
    pthread_create(&consumer, NULL, consume, NULL);
    for (int i = 0; i < MESSAGES; i++) {
        void *message = malloc(64);
        *(int *)message = i;
        while (__atomic_load_n(&ring[i % RING], __ATOMIC_ACQUIRE) != NULL)
            __builtin_ia32_pause();
        __atomic_store_n(&ring[i % RING], message, __ATOMIC_RELEASE);
    }
    pthread_join(consumer, NULL);
    return (double)(now() - start) / MESSAGES;
}

static void *pairs_of_one(void *argument)
{
    enum { COUNT = 1000000 };
    void *volatile mine;
    for (int i = 0; i < COUNT; i++) {
        mine = malloc(64);
        free(mine);
    }
    return argument;
}

static double time_threads(int count)
{
    pthread_t thread[2];
    uint64_t start = now();
    for (int i = 0; i < count; i++)
        pthread_create(&thread[i], NULL, pairs_of_one, NULL);
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
    return (double)(now() - start) / 1000000;
}

static double two_at_once(void)
{
    return time_threads(2);
}

// Per cent of one thread's work that two get done in the same time.
static double scaling(void)
{
    double one = time_threads(1);
    return 200 * one / time_threads(2);
}

// ---- all ---------------------------------------------------------------------------------------
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *name, double (*run)(void))
{
    double value[RUNS];
    for (int i = 0; i < RUNS; i++)
        value[i] = run();
    qsort(value, RUNS, sizeof(value[0]), compare);
    printf("BENCH %s %.3f\n", name, value[RUNS / 2]);
}

static const struct {
    const char *name;
    double (*run)(void);
} all[] = {
    {"mixed", mixed},  // first: nothing else is resident yet
    {"overhead", overhead_of_mixed},
    {"pairs", pairs},
    {"in-order", in_order},
    {"in-reverse", in_reverse},
    {"at-random", at_random},
    {"producing", producing},
    {"two-at-once", two_at_once},
    {"scaling", scaling},
};

static int wanted(const char *name, char **names)
{
    int found = *names == NULL;
    for (; *names != NULL; names++)
        found |= strcmp(*names, name) == 0;
    return found;
}

int main(int count, char **arguments)
{
    (void)count;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (wanted(all[i].name, arguments + 1))
            measure(all[i].name, all[i].run);
    }
    return 0;
}
