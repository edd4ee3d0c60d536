// SPDX-License-Identifier: MIT
// gdb's threads: the processors, and the kernel's threads that none of them runs.
//
// A processor is a thread to gdb, numbered from 1, because it is what runs, stops and steps: its
// registers are those of the trap that stopped it or of the NMI that froze it. A kernel thread that
// waits or is ready stands in KiSwapContext; its registers are those that the switch kept, and
// cannot be changed. Its number is its thread id, beyond the processors'. One that runs is not
// listed again: the processor's name says which it is.
//
// The list of threads may be what is broken, so nothing on it is touched before it is known to be
// readable, and the walk ends after a while.
#include "kdgdb.h"
#include "ps.h"

#define FIRST_THREAD 0x1000u
#define THREAD_LIMIT 4096u

static KD_STOPPED KdpOther; // whatever was asked for last, but the processor that talks
static KTRAP_FRAME KdpOtherFrame;

// ---- processors ---------------------------------------------------------------------------------
ULONG KdpThreadOfProcessor(VOID)
{
    return KeGetCurrentPrcb()->ProcessorNumber + 1;
}

static PKPRCB KdpProcessorOfThread(ULONG Thread)
{
    return Thread - 1 < MAXIMUM_PROCESSORS ? KiProcessorBlock[Thread - 1] : NULL;
}

static BOOLEAN KdpIsStopped(const KPRCB *Prcb)
{
    return Prcb != NULL && (Prcb == KeGetCurrentPrcb() || Prcb->FreezeFrame != NULL);
}

static KD_STOPPED *KdpStoppedElsewhere(PKPRCB Prcb, PKTRAP_FRAME Frame)
{
    KdpOther.Frame = Frame;
    KdpOther.Prcb = Prcb;
    KdpOther.Cr2 = KdpStoppedHere->Cr2;
    KdpOther.Cr4 = KdpStoppedHere->Cr4;
    KdpOther.ExtendedValid = FALSE; // of a processor: as long as it is asked for one of these
    return &KdpOther;
}

// ---- kernel threads -----------------------------------------------------------------------------
static BOOLEAN KdpIsReadable(const VOID *Address, SIZE_T Length)
{
    UCHAR Byte;
    return KeSafeCopy(&Byte, Address, 1) &&
           KeSafeCopy(&Byte, (const UCHAR *)Address + Length - 1, 1);
}

static BOOLEAN KdpStandsStill(const KTHREAD *Thread)
{
    return !Thread->InContext && Thread->KernelStack != NULL &&
           (Thread->State == ThreadReady || Thread->State == ThreadWaiting ||
            Thread->State == ThreadStandby) &&
           KdpIsReadable(Thread->KernelStack, sizeof(KTRAP_FRAME));
}

static ULONG KdpNumberOf(const KTHREAD *Thread)
{
    return FIRST_THREAD + (ULONG)(ULONG_PTR)((const ETHREAD *)Thread)->Cid.UniqueThread;
}

// The next thread behind Entry that stands still; NULL: there is none.
static PKTHREAD KdpNextStanding(PLIST_ENTRY *Entry)
{
    for (ULONG i = 0; i < THREAD_LIMIT && *Entry != &KiThreadList; i++) {
        PKTHREAD Thread = CONTAINING_RECORD(*Entry, KTHREAD, ThreadListEntry);
        if (!KdpIsReadable(Thread, sizeof(ETHREAD)))
            return NULL;
        *Entry = Thread->ThreadListEntry.Flink;
        if (KdpStandsStill(Thread))
            return Thread;
    }
    return NULL;
}

static PKTHREAD KdpFindStanding(ULONG Number)
{
    PLIST_ENTRY Entry = KiThreadList.Flink;
    PKTHREAD Thread = KdpNextStanding(&Entry);
    while (Thread != NULL && KdpNumberOf(Thread) != Number)
        Thread = KdpNextStanding(&Entry);
    return Thread;
}

// ---- by number ----------------------------------------------------------------------------------
KD_STOPPED *KdpStoppedThread(ULONG Thread)
{
    PKPRCB Prcb = KdpProcessorOfThread(Thread);
    if (KdpStoppedHere == NULL)
        return NULL;
    if (Prcb != NULL && Prcb == KdpStoppedHere->Prcb)
        return KdpStoppedHere;
    if (KdpIsStopped(Prcb))
        return KdpStoppedElsewhere(Prcb, Prcb->FreezeFrame);
    PKTHREAD Standing = Thread >= FIRST_THREAD ? KdpFindStanding(Thread) : NULL;
    if (Standing == NULL)
        return NULL;
    KiThreadFrame(Standing, &KdpOtherFrame);
    return KdpStoppedElsewhere(NULL, &KdpOtherFrame);
}

// After a bugcheck the others are not to run again, not even for a step.
BOOLEAN KdpCanStep(ULONG Thread)
{
    const KD_STOPPED *Stopped = KdpStoppedThread(Thread);
    return Stopped != NULL && Stopped->Prcb != NULL &&
           (Stopped == KdpStoppedHere || KeLastBugCheck == NULL);
}

static ULONG KdpNextProcessor(ULONG Previous)
{
    for (ULONG Thread = Previous + 1; Thread <= MAXIMUM_PROCESSORS; Thread++)
        if (KdpIsStopped(KdpProcessorOfThread(Thread)))
            return Thread;
    return 0;
}

ULONG KdpNextThread(ULONG Previous)
{
    PLIST_ENTRY Entry = KiThreadList.Flink;
    PKTHREAD Thread = NULL;
    ULONG Processor = Previous < FIRST_THREAD ? KdpNextProcessor(Previous) : 0;
    if (Processor != 0)
        return Processor;
    do
        Thread = KdpNextStanding(&Entry);
    while (Thread != NULL && Previous >= FIRST_THREAD && KdpNumberOf(Thread) != Previous);
    if (Thread != NULL && Previous >= FIRST_THREAD)
        Thread = KdpNextStanding(&Entry);
    return Thread != NULL ? KdpNumberOf(Thread) : 0;
}

// ---- names --------------------------------------------------------------------------------------
static VOID KdpNameThread(const KTHREAD *Thread, char *Buffer, SIZE_T Size)
{
    if (Thread->Name != NULL)
        RtlFormat(Buffer, Size, "%s", Thread->Name);
    else
        KdSymbolize((ULONG_PTR)Thread->StartRoutine, Buffer, Size);
}

static VOID KdpDescribeProcessor(const KPRCB *Prcb, const KTRAP_FRAME *Frame, char *Buffer,
                                 SIZE_T Size)
{
    char Name[40] = "none";
    KIRQL Irql = (KIRQL)Frame->PreviousIrql;
    if (Prcb->CurrentThread != NULL)
        KdpNameThread(Prcb->CurrentThread, Name, sizeof(Name));
    RtlFormat(Buffer, Size, "processor %u, IRQL %u (%s), thread %s", Prcb->ProcessorNumber,
              (ULONG)Irql, KeIrqlName(Irql), Name);
}

VOID KdpDescribeThread(ULONG Thread, char *Buffer, SIZE_T Size)
{
    const KD_STOPPED *Stopped = KdpStoppedThread(Thread);
    char Name[40];
    if (Stopped == NULL)
        return;
    if (Stopped->Prcb != NULL) {
        KdpDescribeProcessor(Stopped->Prcb, Stopped->Frame, Buffer, Size);
        return;
    }
    KdpNameThread(KdpFindStanding(Thread), Name, sizeof(Name));
    RtlFormat(Buffer, Size, "%s", Name);
}
