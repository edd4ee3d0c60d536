// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/poolbook.c mm/pooltag.c mm/poolbug.c
// Links: mm/poollarge.c
// Links: mm/poolquery.c mm/poolcheck.c
// Links: kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: tests/host/fake_ke.c
//
// Every mistake with the pool (tests/guest/pool/mistakes.h) x every pool x every size x every
// configuration ends in its bugcheck, parameters and all, and leaves the pools sound.
#include "pool_test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANYTHING        ((ULONG_PTR)0x7E57A000u)
#define IN_DRIVER       ANYTHING
#define SYSTEM_START    SYSTEM_RANGE_START
#define FOREIGN_ADDRESS ((ULONG_PTR)0xFFFFF80000001000ull)
#define RTL_NUMBER_OF_HOST(a) (sizeof(a) / sizeof((a)[0]))

// Multi-character constants count from the other end here than for a driver, which does not matter.
#define KeRaiseIrql(Irql, Old) (*(Old) = HostIrql, HostIrql = (Irql))
#undef RtlCompareMemory
#define RtlCompareMemory(A, B, Bytes) ((SIZE_T)memcmp(A, B, Bytes))

static HOST_BUGCHECK expected;

static void Expect(ULONG code, ULONG_PTR p1, ULONG_PTR p2, ULONG_PTR p3, ULONG_PTR p4)
{
    expected = (HOST_BUGCHECK){.Code = code, .Parameter = {p1, p2, p3, p4}};
}

#include "../guest/pool/mistakes.h"

static const char *const options[] = {
    "", "VERIFIER=8", "VERIFIER=9", "SPECIALPOOL=all", "SPECIALPOOL=all,underrun", "POOLGUARD=1",
};
C_ASSERT(sizeof(options) / sizeof(options[0]) == sizeof(Watches) / sizeof(Watches[0]));

static ULONG watch;  // which of them this process has
static int made;     // mistakes

static void check(const char *name, ULONG pool, ULONG size)
{
    if (HostBugCheck.Code != expected.Code)
        fail_msg("%s-%s-%s: 0x%X instead of 0x%X: %s", name, Pools[pool].Name, Sizes[size].Name,
                 HostBugCheck.Code, expected.Code, HostBugCheck.Sentence);
    for (int i = 0; i < 4; i++)
        if (expected.Parameter[i] != ANYTHING &&
            HostBugCheck.Parameter[i] != expected.Parameter[i])
            fail_msg("%s-%s-%s: parameter %d is 0x%llx instead of 0x%llx: %s", name,
                     Pools[pool].Name, Sizes[size].Name, i + 1,
                     (unsigned long long)HostBugCheck.Parameter[i],
                     (unsigned long long)expected.Parameter[i], HostBugCheck.Sentence);
    if (HostBugCheck.Code != KMODE_EXCEPTION_NOT_HANDLED && strlen(HostBugCheck.Sentence) < 40)
        fail_msg("%s: says no more than \"%s\"", name, HostBugCheck.Sentence);
}

static void make_one(const MISTAKE *mistake, ULONG pool, ULONG size)
{
    SCENE scene = MakeScene(pool, size, watch);
    if (!IsPossible(mistake, &scene, size) || (mistake->Where & FAULTS))
        return;
    memset(&HostBugCheck, 0, sizeof(HostBugCheck));
    if (!BUGCHECKS(mistake->Make(&scene)))
        fail_msg("%s-%s-%s: nobody noticed", mistake->Name, Pools[pool].Name, Sizes[size].Name);
    check(mistake->Name, pool, size);
    made++;
    if (mistake->Where & CHECKED)
        return;  // found half way through an allocation, which nobody ends
    const char *wrong = ExValidatePool();
    if (wrong != NULL)
        fail_msg("%s-%s-%s: %s", mistake->Name, Pools[pool].Name, Sizes[size].Name, wrong);
}

static void each_mistake_ends_in_its_bugcheck_and_harms_nobody(void **state)
{
    for (size_t m = 0; m < RTL_NUMBER_OF_HOST(Mistakes); m++)
        for (ULONG pool = 0; pool < RTL_NUMBER_OF_HOST(Pools); pool++)
            for (ULONG size = 0; size < RTL_NUMBER_OF_HOST(Sizes); size++)
                make_one(&Mistakes[m], pool, size);
    assert_true(made > 100);
}

// The pool starts once in a process, with the options it finds.
static int run_all(ULONG number)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_ends_in_its_bugcheck_and_harms_nobody),
    };
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return waitpid(child, &status, 0) != child || status != 0;
    watch = number;
    fake_mm_all_code_is_a_driver = TRUE;
    HostOptions = options[number];
    exit(_cmocka_run_group_tests(Watches[number].Name, tests, 1, start_pool, NULL));
}

int main(void)
{
    int failed = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF_HOST(options); i++)
        failed |= run_all(i);
    return failed;
}
