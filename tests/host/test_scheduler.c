// SPDX-License-Identifier: MIT
// The scheduler, waits and timers on 1 to 4 simulated processors, under random work and every
// interleaving that chance brings (sim/machine.c), against a model (sim/model.c).
//
//   build/host/test_scheduler                         all, as `make test` does
//   build/host/test_scheduler --seed S [--steps N] [--processors P] [--trace]
//                                                     one run, such as one that failed
//   build/host/test_scheduler --runs N [--seed S]     many more, from seed S on
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void run_case(unsigned processors)
{
    for (unsigned i = 0; i < RUNS; i++) {
        SIM_OPTIONS options = {processors * 1000 + i, processors, STEPS, 0};
        SIM_COUNTS counts;
        assert_int_equal(sim_run(&options, &counts), 0);
    }
}

static void one_processor_keeps_every_promise(void **state) { run_case(1); }
static void two_processors_keep_every_promise(void **state) { run_case(2); }
static void three_processors_keep_every_promise(void **state) { run_case(3); }
static void four_processors_keep_every_promise(void **state) { run_case(4); }

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_processor_keeps_every_promise),
        cmocka_unit_test(two_processors_keep_every_promise),
        cmocka_unit_test(three_processors_keep_every_promise),
        cmocka_unit_test(four_processors_keep_every_promise),
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
    for (unsigned long i = 0; i < runs; i++)
        if (run_one(&(SIM_OPTIONS){seed + i, (unsigned)processors, steps, trace}))
            return 1;
    return 0;
}
