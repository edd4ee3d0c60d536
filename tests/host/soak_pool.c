// SPDX-License-Identifier: MIT
// The pools for minutes: random operations (pool_model.c), round after round, each with a seed of
// its own that is printed and can be given again.
//
//   soak_pool [SECONDS] [SEED]        one thread; built with the address and behaviour sanitizers
//   soak_pool_race [SECONDS] [SEED]   three threads that share blocks; the thread sanitizer
//
// A round is a process of its own: the seed chooses the kernel's options, the memory there is, and
// every operation. With a SEED that round alone is run. (Of three threads each does what the seed
// says; how they interleave is not in its hands.)
#include "pool_model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define NAME    "soak_pool_race"
#define THREADS 3
#define TURNS   400000
#else
#define NAME    "soak_pool"
#define THREADS 1
#define TURNS   2000000
#endif
#define OPERATIONS_A_ROUND ((ULONG64)TURNS * THREADS)
#define EXCHANGES          64

static const char *const options[] = {
    "", "", "", "POOLGUARD=50", "POOLGUARD=100000", "VERIFIER=8", "VERIFIER=9",
    "SPECIALPOOL=size:1-100", "SPECIALPOOL=tag:Mda?,underrun", "SPECIALPOOL=driver:nobody",
    "FAULTS=300", "FAULTS=50,Md*",
};

static ULONG64 seed_of_round;

static ULONG64 next(ULONG64 *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    ULONG64 word = *state ^ *state >> 29;
    return word * 0xBF58476D1CE4E5B9ull >> 32;
}

// ---- blocks that change hands ------------------------------------------------------------------
static MODEL_SLOT *exchange[EXCHANGES];

// One of this thread's blocks for one of another's, if there is one.
static void swap_a_block(MODEL *model, ULONG64 random)
{
    MODEL_SLOT *slot = &model->Slot[random % MODEL_SLOTS];
    MODEL_SLOT *given = NULL;
    if (slot->Block != NULL) {
        given = malloc(sizeof(*given));
        *given = *slot;
    }
    given = __atomic_exchange_n(&exchange[random >> 8 & (EXCHANGES - 1)], given, __ATOMIC_ACQ_REL);
    slot->Block = NULL;
    if (given != NULL)
        *slot = *given;
    free(given);
}

static void take_back(MODEL *model)
{
    for (int i = 0; i < EXCHANGES; i++) {
        if (exchange[i] == NULL)
            continue;
        ModelEmpty(model);
        model->Slot[0] = *exchange[i];
        free(exchange[i]);
        exchange[i] = NULL;
    }
    ModelEmpty(model);
}

// ---- a round -----------------------------------------------------------------------------------
static void *run(void *argument)
{
    ULONG number = (ULONG)(ULONG_PTR)argument;
    MODEL model = {.Alone = THREADS == 1, .Keeper = number == 0};
    ULONG64 state = seed_of_round * 0x9E3779B97F4A7C15ull + number;
    HostPrcb.ProcessorNumber = number;
    if (number != 0 && !ExInitializePoolProcessor(&HostPrcb))
        abort();
    for (ULONG i = 0; i < TURNS; i++) {
        ULONG operation = (ULONG)next(&state);
        ModelTurn(&model, (UCHAR *)&operation);
        if (THREADS > 1 && i % 16 == 0)
            swap_a_block(&model, next(&state));
        if (model.Alone && i % (TURNS / 4) == 0 && ExValidatePool() != NULL)
            abort();
    }
    if (number == 0)
        return memcpy(malloc(sizeof(model)), &model, sizeof(model));
    ModelEmpty(&model);
    return NULL;
}

// What a round does, whoever runs it.
static void run_round(void)
{
    pthread_t thread[THREADS];
    HostOptions = options[seed_of_round % (sizeof(options) / sizeof(options[0]))];
    fake_mm_all_code_is_a_driver = TRUE;
    ModelStart();
    for (ULONG_PTR i = 1; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, (void *)i) != 0)
            abort();
    MODEL *model = run(NULL);
    for (int i = 1; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    take_back(model);
    free(model);
    ModelCheckBooks();
}

static int round_fails(ULONG64 seed)
{
    int status = 0;
    seed_of_round = seed;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        run_round();
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        printf(NAME ": seed 0x%llx FAILED (options \"%s\"); again: build/host/" NAME " 0 0x%llx\n",
               (unsigned long long)seed,
               options[seed % (sizeof(options) / sizeof(options[0]))], (unsigned long long)seed);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
    ULONG64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (ULONG64)time(NULL) << 16;
    ULONG64 rounds = 0;
    if (argc > 2)
        return round_fails(seed);
    printf(NAME ": first seed 0x%llx\n", (unsigned long long)seed);
    do {
        if (round_fails(seed + rounds))
            return 1;
        rounds++;
    } while (time(NULL) < end);
    printf(NAME ": %llu operations in %llu rounds, seeds 0x%llx to 0x%llx, nothing wrong\n",
           (unsigned long long)(rounds * OPERATIONS_A_ROUND), (unsigned long long)rounds,
           (unsigned long long)seed, (unsigned long long)(seed + rounds - 1));
    return 0;
}
