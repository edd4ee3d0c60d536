// SPDX-License-Identifier: MIT
// The scheduler, waits and timers on 1 to 4 simulated processors, under random work and every
// interleaving that chance brings (sim/machine.c), against a model (sim/model.c).
//
//   build/host/test_scheduler                         all, as `make test` does
//   build/host/test_scheduler --seed S [--steps N] [--processors P] [--trace]
//                                                     one run, such as one that failed
//   build/host/test_scheduler --runs N [--seed S]     many more, from seed S on
//
// That it finds what is broken has been tried by breaking it. Within the four million steps that
// `make test` takes it found each of these, most within the first run of 25,000:
//     scheduler  the bitmap not cleared; no interrupt sent to the other processor; a displaced
//                thread lost; a ready thread's priority changed in its old queue; an equal thread
//                not chosen at quantum end; a boost that never decays, or reaches 16; affinity not
//                looked at in choosing, or in pulling; an idle processor not told, or not looking
//                again; interrupts on in a switch; the current thread read by two instructions
//     waits      a waiter not woken; one of several blocks left linked; wait-all without its
//                recheck; the status read after the IRQL fell; the IRQL noted before it was raised;
//                KeClearEvent without the lock; a pulse that stays
//     objects    a semaphore's token twice; an abandoned mutant not marked; recursion forgotten; a
//                queue with one thread too many, or one whose server waits elsewhere and counts
//     timers     one tick early; not in order; the earlier one not seen; periods that drift; a
//                wait's timer left set
//     APCs, DPCs normal ones in a critical region; pending ones not looked at after a switch, or
//                when a wait ends at once; a drain's end that forgets that it was asked for
//     threaded DPCs  their thread not woken, not bound, taking one at a time; one that counts as
//                queued after it was taken, or as queued elsewhere; either list out of order
// It did not find relief from starvation that is taken back twice: the base priority bounds that.
// A worse thread that passes a better one, because the priority of the one that leaves the
// processor falls meanwhile, took it 25 million steps.
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define STEPS 25000ul // a run
#define RUNS  40u     // a case: four cases make four million steps

static int run_one(const SIM_OPTIONS *options)
{
    SIM_COUNTS counts;
    int failed = sim_run(options, &counts);

    fprintf(stderr,
            "# seed %llu, %u processors: %lu steps, %lu operations, %lu switches, %lu interrupts, "
            "%lu ticks, settled %lu times%s\n",
            (unsigned long long)options->seed, sim_processors, counts.steps, counts.operations,
            counts.switches, counts.interrupts, counts.ticks, counts.settled,
            failed ? ": FAILED" : "");
    return failed;
}

// In a process of its own: every run finds the kernel's variables as they were made, and one that
// crashes is told too.
static int run_apart(const SIM_OPTIONS *options, int quiet)
{
    SIM_COUNTS counts;
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(quiet ? sim_run(options, &counts) : run_one(options));
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (!WIFEXITED(status))
        fprintf(stderr, "# crashed: --seed %llu --steps %lu --processors %u\n",
                (unsigned long long)options->seed, options->steps, options->processors);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void run_case(unsigned processors)
{
    for (unsigned i = 0; i < RUNS; i++) {
        SIM_OPTIONS options = {processors * 1000 + i, processors, STEPS, 0, NULL};
        assert_int_equal(run_apart(&options, 1), 0);
    }
}

static void one_processor_keeps_every_promise(void **state) { run_case(1); }
static void two_processors_keep_every_promise(void **state) { run_case(2); }
static void three_processors_keep_every_promise(void **state) { run_case(3); }
static void four_processors_keep_every_promise(void **state) { run_case(4); }

// One processor: some can be seen only where no other can be meant.
static void every_mistake_is_named(void **state)
{
    for (unsigned i = 0; i < sim_mistake_count; i++) {
        SIM_OPTIONS options = {i, 1, STEPS, 0, &sim_mistakes[i]};
        if (run_apart(&options, 1) != 0)
            fail_msg("%s", sim_mistakes[i].name);
    }
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_processor_keeps_every_promise),
        cmocka_unit_test(two_processors_keep_every_promise),
        cmocka_unit_test(three_processors_keep_every_promise),
        cmocka_unit_test(four_processors_keep_every_promise),
        cmocka_unit_test(every_mistake_is_named),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    unsigned long seed = 1, steps = STEPS, processors = 0, runs = 1;
    int trace = 0;

    if (argc == 1)
        return run_all();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        unsigned long *number = strcmp(argv[i], "--seed") == 0         ? &seed
                                : strcmp(argv[i], "--steps") == 0      ? &steps
                                : strcmp(argv[i], "--processors") == 0 ? &processors
                                : strcmp(argv[i], "--runs") == 0       ? &runs
                                                                       : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            trace = 1;
        } else if (number != NULL && *value != 0) {
            *number = strtoul(value, NULL, 0);
            i++;
        } else {
            fprintf(stderr, "usage: %s [--seed S] [--steps N] [--processors 1..4] [--runs N] "
                            "[--trace]\n", argv[0]);
            return 2;
        }
    }
    for (unsigned long i = 0; runs > 1 && i < runs; i++)
        if (run_apart(&(SIM_OPTIONS){seed + i, (unsigned)processors, steps, trace, NULL}, 0))
            return 1;
    return runs > 1 ? 0 : run_one(&(SIM_OPTIONS){seed, (unsigned)processors, steps, trace, NULL});
}
