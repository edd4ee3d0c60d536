// SPDX-License-Identifier: MIT
// Structured exceptions written as drivers write them: __try, __except, __finally, __leave.
//
// Compiled by clang, which knows them; ../seh.c covers the same ground and more without it.
// Functions that fault are not inlined, so that there are frames to unwind.
#include "../guest.h"

#define UNMAPPED ((volatile ULONG *)0x10000)  // user space, where nothing is
#define NOINLINE __attribute__((noinline))

static volatile ULONG Sink;

NOINLINE static ULONG ReadAt(volatile ULONG *Address)
{
    return *Address;
}

NOINLINE static NTSTATUS Guarded(volatile ULONG *Address)
{
    NTSTATUS Status = STATUS_SUCCESS;

    __try {
        Sink = ReadAt(Address);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    return Status;
}

static VOID ExceptCatchesAFaultInACallee(VOID)
{
    ULONG Good = 3;
    CHECK_EQUAL(Guarded(&Good), 0);
    CHECK_EQUAL((ULONG)Guarded(UNMAPPED), (ULONG)STATUS_ACCESS_VIOLATION);
}

// On i386 clang takes a body without a call for one that cannot fault.
#ifdef __x86_64__
NOINLINE static NTSTATUS GuardedHere(volatile ULONG *Address)
{
    __try {
        Sink = *Address;
        return STATUS_SUCCESS;
    } __except (GetExceptionCode() == STATUS_ACCESS_VIOLATION ? EXCEPTION_EXECUTE_HANDLER
                                                               : EXCEPTION_CONTINUE_SEARCH) {
        return STATUS_UNSUCCESSFUL;
    }
}

static VOID ExceptCatchesAFaultInItsOwnBody(VOID)
{
    ULONG Good = 3;
    CHECK_EQUAL(GuardedHere(&Good), 0);
    CHECK_EQUAL((ULONG)GuardedHere(UNMAPPED), (ULONG)STATUS_UNSUCCESSFUL);
}
#endif

NOINLINE static VOID FinallyWithin(volatile ULONG *Address, volatile ULONG *Count)
{
    __try {
        Sink = ReadAt(Address);
    } __finally {
        *Count += AbnormalTermination() ? 100 : 1;
    }
}

static VOID FinallyKnowsWhyItRuns(VOID)
{
    volatile ULONG Count = 0;
    ULONG Good = 3;

    FinallyWithin(&Good, &Count);
    CHECK_EQUAL(Count, 1);
    __try {
        FinallyWithin(UNMAPPED, &Count);
        CHECK(FALSE);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Count += 1000;
    }
    CHECK_EQUAL(Count, 1101);
}

static VOID ScopesNestInOneFunction(VOID)
{
    volatile ULONG Steps = 0;

    __try {
        __try {
            __try {
                Sink = ReadAt(UNMAPPED);
            } __except (Steps++, EXCEPTION_CONTINUE_SEARCH) {
                CHECK(FALSE);
            }
        } __finally {
            Steps += 10;
        }
    } __except (Steps == 1 ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        Steps += 100;
    }
    CHECK_EQUAL(Steps, 111);
}

static VOID LeaveRunsFinally(VOID)
{
    volatile ULONG Steps = 0;

    __try {
        Steps = 1;
        if (Steps == 1)
            __leave;
        Steps = 50;
    } __finally {
        Steps += AbnormalTermination() ? 100 : 10;
    }
    CHECK_EQUAL(Steps, 11);
}

NOINLINE static NTSTATUS CopyFromUser(PVOID Buffer, PVOID Address, SIZE_T Length)
{
    __try {
        ProbeForRead(Address, Length, sizeof(ULONG));
        RtlCopyMemory(Buffer, Address, Length);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static VOID TheUsualCopyFromUserSpaceFailsSafely(VOID)
{
    UCHAR Buffer[300];
    CHECK_EQUAL((ULONG)CopyFromUser(Buffer, (PVOID)UNMAPPED, sizeof(Buffer)),
                (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK_EQUAL((ULONG)CopyFromUser(Buffer, Buffer, sizeof(Buffer)),
                (ULONG)STATUS_ACCESS_VIOLATION);
    CHECK_EQUAL((ULONG)CopyFromUser(Buffer, (PVOID)0x10001, sizeof(Buffer)),
                (ULONG)STATUS_DATATYPE_MISALIGNMENT);
}

static VOID LocalsKeepTheirValues(VOID)
{
    volatile ULONG A = 1, B = 2, C = 3;
    for (ULONG i = 0; i < 20; i++) {
        __try {
            A += i;
            B += ReadAt(UNMAPPED);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            C += i;
        }
    }
    CHECK_EQUAL(A, 191);
    CHECK_EQUAL(B, 2);
    CHECK_EQUAL(C, 193);
}

static const GUEST_CASE Cases[] = {
    {"except catches a fault in a callee", ExceptCatchesAFaultInACallee},
#ifdef __x86_64__
    {"except catches a fault in its own body", ExceptCatchesAFaultInItsOwnBody},
#endif
    {"finally knows why it runs", FinallyKnowsWhyItRuns},
    {"scopes nest in one function", ScopesNestInOneFunction},
    {"leave runs finally", LeaveRunsFinally},
    {"the usual copy from user space fails safely", TheUsualCopyFromUserSpaceFailsSafely},
    {"locals keep their values", LocalsKeepTheirValues},
};
GUEST_DRIVER(Cases)
