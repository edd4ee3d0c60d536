// SPDX-License-Identifier: MIT
// i386: driver frames, and the registers as a bugcheck prints them.
//
// i386 code has no unwind tables, and optimised code no frame pointer. What it has is return
// addresses: a word on the stack that points into an image just behind a call instruction. Between
// the stack pointer and the frame that Fp still names, the first such word is taken; where there is
// none, Fp's own link is.
#include "../kdp.h"

#define SEARCH_WORDS 1024u

static BOOLEAN KdpFollowsCall(ULONG Address)
{
    UCHAR Code[7];

    if (!KdpIsKernelCode(Address) && LdrDriverOfAddress(Address) == NULL)
        return FALSE;
    if (!KeSafeCopy(Code, (const VOID *)(Address - sizeof(Code)), sizeof(Code)))
        return FALSE;
    if (Code[2] == 0xE8) // call rel32
        return TRUE;
    for (ULONG i = 0; i <= 5; i++) // call r/m32 of two to seven bytes
        if (Code[i] == 0xFF && (Code[i + 1] & 0x38) == 0x10)
            return TRUE;
    return FALSE;
}

// Where to search from: a stack that has overflowed into its guard page begins behind that.
static ULONG KdpReadableFrom(ULONG Sp)
{
    ULONG Word;

    return KeSafeCopy(&Word, (const VOID *)Sp, sizeof(Word)) ? Sp : (Sp | (PAGE_SIZE - 1)) + 1;
}

BOOLEAN KdpStepDriverFrame(KD_FRAME *Frame)
{
    ULONG Link[2], Word;
    BOOLEAN Linked = Frame->Fp >= Frame->Sp && (Frame->Fp & 3) == 0 &&
                     KeSafeCopy(Link, (const VOID *)Frame->Fp, sizeof(Link)) &&
                     KdpFollowsCall(Link[1]);
    ULONG Start = KdpReadableFrom(Frame->Sp);
    ULONG Limit = !Linked ? SEARCH_WORDS : Frame->Fp > Start ? (Frame->Fp - Start) / 4 : 0;

    if (Limit > SEARCH_WORDS)
        Limit = SEARCH_WORDS;
    for (ULONG i = 0; i < Limit; i++) {
        ULONG Slot = Start + i * 4;
        if (!KeSafeCopy(&Word, (const VOID *)Slot, sizeof(Word)))
            return FALSE;
        if (KdpFollowsCall(Word)) {
            Frame->Pc = Word;
            Frame->Sp = Slot + 4;
            return TRUE;
        }
    }
    if (!Linked)
        return FALSE;
    Frame->Sp = Frame->Fp + sizeof(Link);
    Frame->Fp = Link[0];
    Frame->Pc = Link[1];
    return TRUE;
}

VOID KdpPrintRegisters(const KTRAP_FRAME *f)
{
    KdPrintf("eax=%08x ebx=%08x ecx=%08x edx=%08x esi=%08x edi=%08x\n", f->Eax, f->Ebx, f->Ecx,
             f->Edx, f->Esi, f->Edi);
    KdPrintf("eip=%08x esp=%08x ebp=%08x efl=%08x cr2=%08x trap %02x error %x\n", f->Eip,
             f->HardwareEsp, f->Ebp, f->EFlags, f->Cr2, f->Vector, f->ErrorCode);
    KdPrintf("cs=%04x ds=%04x es=%04x fs=%04x gs=%04x\n", f->SegCs & 0xFFFF, f->SegDs & 0xFFFF,
             f->SegEs & 0xFFFF, f->SegFs & 0xFFFF, f->SegGs & 0xFFFF);
}
