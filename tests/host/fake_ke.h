// SPDX-License-Identifier: MIT
// fake_ke.c: what a kernel source expects of ke and kd, for host tests.
#pragma once

#include "ke.h"

#include <setjmp.h>

// The last bugcheck. KiBugCheck ends in HostBugCheckJump when a test expects one, else in abort().
typedef struct _HOST_BUGCHECK {
    ULONG Code;
    ULONG_PTR Parameter[4];
    char Sentence[512];
} HOST_BUGCHECK;

extern HOST_BUGCHECK HostBugCheck;
extern jmp_buf HostBugCheckJump;
extern int HostBugCheckExpected;

// TRUE when Statement ends in a bugcheck; IRQL is as before then.
#define BUGCHECKS(Statement)                                                                       \
    ({                                                                                             \
        volatile KIRQL HostIrqlBefore = HostIrql;                                                  \
        volatile int HostHappened = 1;                                                             \
        HostBugCheckExpected = 1;                                                                  \
        if (setjmp(HostBugCheckJump) == 0) {                                                       \
            Statement;                                                                             \
            HostHappened = 0;                                                                      \
        }                                                                                          \
        HostBugCheckExpected = 0;                                                                  \
        HostIrql = HostIrqlBefore;                                                                 \
        HostHappened;                                                                              \
    })

// The kernel's command line: "NAME=value NAME ...".
extern const char *HostOptions;

// How many spin locks this thread holds. A bugcheck leaves them as they are.
extern __thread int HostLocksHeld;

// Runs the DPCs that are queued for the calling thread, as a processor. Not beside other threads.
void HostRunDpcs(void);
