// SPDX-License-Identifier: MIT
// What is wrong with a pool request: the bugchecks, each with the sentence that says whose mistake
// it is.
//
// Codes and parameters are the documented ones (0xC2 BAD_POOL_CALLER, 0x19 BAD_POOL_HEADER; the
// parameters stand beside each case). Where Windows reports an address inside its block header,
// which does not exist here, the block's own address or the block's record (call site, owner, size
// in one word) is reported.
//
// A verified driver, with any flag of /VERIFIER, gets the verifier's code for the same mistake:
// 0xC4, 0x00 no bytes, 0x01 and 0x02 IRQL at allocation, 0x10 no block, 0x11 and 0x12 IRQL at free,
// 0x13 second free, 0x16 not a block's start, 0x10B quota in a DPC; with call stacks 0x51 for an
// overrun. Special pool's own codes (0xC1) come before either. docs/DRIVERS.md lists all, and those
// that cannot arise.
//
// A sentence is built in a static buffer: the machine is about to stop, and nothing may be
// allocated.
#include "poolp.h"

#define POOL_TAG_BIG     0x00474942u  // "BIG"
#define POOL_TAG_BIG_PAD 0x20474942u  // "BIG "

static char ExpSentence[512];

typedef struct _POOL_NAME { char Text[96]; } POOL_NAME;

// "edu.sys+0x1234 EduStart+0x10", or the bare address.
static POOL_NAME ExpNameCode(ULONG_PTR Address)
{
    POOL_NAME Name;
    if (Address == 0 || !KdSymbolize(Address, Name.Text, sizeof(Name.Text)))
        RtlFormat(Name.Text, sizeof(Name.Text), Address != 0 ? "%p" : "an unknown place",
                  (PVOID)Address);
    return Name;
}

static const char *ExpNamePool(POOL_TYPE Type)
{
    return Type & PagedPool ? "paged" : "nonpaged";
}

static KIRQL ExpHighestIrql(POOL_TYPE Type)
{
    return Type & PagedPool ? APC_LEVEL : DISPATCH_LEVEL;
}

typedef struct _POOL_BLOCK_NAME { char Text[280]; } POOL_BLOCK_NAME;

// "block FFFF... of 24 bytes, tag "Abcd", allocated by edu.sys+0x1234 EduStart+0x10"; its call
// stacks go into the log, if there are any.
static POOL_BLOCK_NAME ExpNameBlock(PVOID P, SIZE_T Bytes, ULONG Tag, ULONG_PTR AllocatedBy)
{
    POOL_BLOCK_NAME Name;
    RtlFormat(Name.Text, sizeof(Name.Text), "block %p of %Iu bytes, tag \"%s\", allocated by %s", P,
              Bytes, ExpTagText(Tag).Text, ExpNameCode(AllocatedBy).Text);
    ExpLogHistory(P);
    return Name;
}

// The same for a block that was freed: who had allocated it is known to pool tracking only.
static POOL_BLOCK_NAME ExpNameFreedBlock(PVOID P, ULONG Tag, ULONG_PTR FreedBy)
{
    POOL_BLOCK_NAME Name;
    ULONG_PTR AllocatedBy = ExpAllocatorOf(P);
    int Length = RtlFormat(Name.Text, sizeof(Name.Text), "block %p, tag \"%s\"", P,
                           ExpTagText(Tag).Text);
    Length += RtlFormat(Name.Text + Length, sizeof(Name.Text) - Length, ", which ");
    if (AllocatedBy != 0)
        Length += RtlFormat(Name.Text + Length, sizeof(Name.Text) - Length, "%s had allocated and ",
                            ExpNameCode(AllocatedBy).Text);
    RtlFormat(Name.Text + Length, sizeof(Name.Text) - Length, "%s had freed",
              ExpNameCode(FreedBy).Text);
    ExpLogHistory(P);
    return Name;
}

// What would say more next time.
static const char *ExpAdviseTracking(VOID)
{
    return ExpTracking ? "" : " /VERIFIER=8 would tell who had allocated it.";
}

#define SAY(...) (RtlFormat(ExpSentence, sizeof(ExpSentence), __VA_ARGS__), ExpSentence)

// The parameters of the usual bugcheck and of a verified driver's.
typedef struct _POOL_STOP { ULONG_PTR P[4]; } POOL_STOP;

#define STOP(...) ((POOL_STOP){{__VA_ARGS__}})

static DECLSPEC_NORETURN VOID ExpStop(ULONG_PTR Caller, POOL_STOP Usual, POOL_STOP Verified,
                                      const char *Sentence)
{
    BOOLEAN IsVerified = ExIsVerified(Caller);
    const ULONG_PTR *P = IsVerified ? Verified.P : Usual.P;
    KiBugCheck(IsVerified ? DRIVER_VERIFIER_DETECTED_VIOLATION : BAD_POOL_CALLER, P[0], P[1], P[2],
               P[3], NULL, Sentence);
}

static ULONG64 ExpRecordWord(const POOL_RECORD *Record)
{
    return ((ULONG64)Record->Size << 48) | ((ULONG64)Record->Cell << 32) | ExpNotedCaller(Record);
}

// ---- allocation --------------------------------------------------------------------------------
static DECLSPEC_NORETURN VOID ExpReportIrql(const POOL_REQUEST *Request, KIRQL Irql)
{
    const char *Sentence =
        SAY("%s allocated %Iu bytes, tag \"%s\", of %s pool at IRQL %u; the highest for it is %u.",
            ExpNameCode(Request->Caller).Text, Request->Bytes, ExpTagText(Request->Tag).Text,
            ExpNamePool(Request->Type), Irql, ExpHighestIrql(Request->Type));
    if (Request->Bytes < PAGE_SIZE && ExpWantsSpecial(Request))
        KiBugCheck(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, Irql, Request->Type, Request->Bytes,
                   0x30, NULL, Sentence);
    ExpStop(Request->Caller, STOP(0x08, Irql, Request->Type, Request->Bytes),
            STOP(Request->Type & PagedPool ? 0x01 : 0x02, Irql, Request->Type, Request->Bytes),
            Sentence);
}

static BOOLEAN ExpTagHasText(ULONG Tag)
{
    for (; Tag != 0; Tag >>= 8) {
        UCHAR Letter = (UCHAR)(Tag | 0x20);
        UCHAR Digit = (UCHAR)Tag;
        if ((Letter >= 'a' && Letter <= 'z') || (Digit >= '0' && Digit <= '9'))
            return TRUE;
    }
    return FALSE;
}

static VOID ExpCheckTag(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag, ULONG_PTR Caller)
{
    if (Tag == 0)
        KiBugCheck(BAD_POOL_CALLER, 0x9B, Type, Bytes, Caller, NULL,
                   SAY("%s allocated %Iu bytes of pool with tag 0, which is no tag.",
                       ExpNameCode(Caller).Text, Bytes));
    if (Tag == POOL_TAG_BIG || Tag == POOL_TAG_BIG_PAD)
        KiBugCheck(
            BAD_POOL_CALLER, 0x9C, Type, Bytes, Caller, NULL,
            SAY("%s allocated pool with the reserved tag \"BIG\".", ExpNameCode(Caller).Text));
    if (!ExpTagHasText(Tag))
        KiBugCheck(BAD_POOL_CALLER, 0x9D, Tag, Type, Caller, NULL,
                   SAY("%s allocated pool with tag 0x%08x, which has neither letter nor digit.",
                       ExpNameCode(Caller).Text, Tag));
}

VOID ExpCheckRequest(const POOL_REQUEST *Request)
{
    KIRQL Irql = KiGetIrql();
    if (Irql > DISPATCH_LEVEL || (Irql == DISPATCH_LEVEL && (Request->Type & PagedPool)))
        ExpReportIrql(Request, Irql);
    if (Request->Type & NonPagedPoolMustSucceed)
        KiBugCheck(BAD_POOL_CALLER, 0x9A, Request->Type, Request->Bytes, Request->Tag, NULL,
                   SAY("%s asked for must-succeed pool, which does not exist any more.",
                       ExpNameCode(Request->Caller).Text));
    ExpCheckTag(Request->Type, Request->Bytes, Request->Tag, Request->Caller);
    if (Request->Bytes == 0 && ExIsVerified(Request->Caller))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x00, Irql, Request->Type, 0, NULL,
                   SAY("%s allocated no bytes, tag \"%s\".", ExpNameCode(Request->Caller).Text,
                       ExpTagText(Request->Tag).Text));
}

// A DPC runs in whatever process was interrupted: that one would pay.
VOID ExpCheckQuotaRequest(const POOL_REQUEST *Request)
{
    if (KeGetCurrentPrcb()->DpcActive && ExIsVerified(Request->Caller))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x10B, 0, 0, 0, NULL,
                   SAY("%s allocated %Iu bytes, tag \"%s\", with quota in a DPC, which runs in "
                       "anybody's process.", ExpNameCode(Request->Caller).Text, Request->Bytes,
                       ExpTagText(Request->Tag).Text));
}

// ---- free --------------------------------------------------------------------------------------
VOID ExpReportFreeIrql(PVOID P, POOL_TYPE Type, KIRQL Irql, ULONG_PTR Caller)
{
    EX_POOL_BLOCK Block;
    BOOLEAN Known = ExQueryPoolBlock(P, &Block) && Block.Allocated;
    ExpStop(Caller, STOP(0x09, Irql, Type, (ULONG_PTR)P),
            STOP(Type & PagedPool ? 0x11 : 0x12, Irql, Type, (ULONG_PTR)P),
            SAY("%s freed %s pool at IRQL %u; the highest for it is %u. It is %s.",
                ExpNameCode(Caller).Text, ExpNamePool(Type), Irql, ExpHighestIrql(Type),
                Known ? ExpNameBlock((PVOID)Block.Address, Block.Size, Block.Tag, Block.Caller).Text
                      : "no block either"));
}

VOID ExpReportTag(PVOID P, const POOL_OWNER *Owner, ULONG Tag, ULONG_PTR AllocatedBy,
                  ULONG_PTR Caller)
{
    ExpLogHistory(P);
    KiBugCheck(BAD_POOL_CALLER, 0x0A, (ULONG_PTR)P, Owner->Tag, Tag, NULL,
               SAY("%s freed block %p with tag \"%s\", but %s allocated it with tag \"%s\".",
                   ExpNameCode(Caller).Text, P, ExpTagText(Tag).Text, ExpNameCode(AllocatedBy).Text,
                   ExpTagText(Owner->Tag).Text));
}

VOID ExpReportOverrun(PVOID P, SIZE_T Bytes, const POOL_OWNER *Owner, ULONG_PTR AllocatedBy,
                      ULONG_PTR Caller)
{
    ULONG64 Found;
    memcpy(&Found, (UCHAR *)P + Bytes, sizeof(Found));
    const char *Sentence = SAY("Somebody wrote behind the end of %s; found when %s freed it. "
                               "/SPECIALPOOL=tag:%s watches each access.",
                               ExpNameBlock(P, Bytes, Owner->Tag, AllocatedBy).Text,
                               ExpNameCode(Caller).Text, ExpTagText(Owner->Tag).Text);
    ULONG FirstByte = (ULONG)__builtin_ctzll(Found ^ ExpGuardFor(P)) / 8;
    if (ExpTracking && ExIsVerified(Caller))
        KiBugCheck(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x51, (ULONG_PTR)P,
                   (ULONG_PTR)P + Bytes + FirstByte, Bytes, NULL, Sentence);
    KiBugCheck(BAD_POOL_HEADER, 0x21, (ULONG_PTR)P, Bytes, (ULONG_PTR)Found, NULL, Sentence);
}

// An address that no allocation returned.
static DECLSPEC_NORETURN VOID ExpStopNoBlock(PVOID P, ULONG_PTR Caller, POOL_STOP Usual,
                                             const char *Sentence)
{
    ExpStop(Caller, Usual, STOP(0x10, (ULONG_PTR)P), Sentence);
}

// Contents: what is known of the block.
static DECLSPEC_NORETURN VOID ExpStopTwice(PVOID P, ULONG_PTR Contents, ULONG_PTR Caller,
                                           const char *Sentence)
{
    ExpStop(Caller, STOP(0x07, 0, Contents, (ULONG_PTR)P), STOP(0x13, 0, (ULONG_PTR)P, Contents),
            Sentence);
}

// An address inside a small block, in use or not, or behind the last one of its page.
static DECLSPEC_NORETURN VOID ExpReportInside(PVOID P, ULONG_PTR Caller)
{
    EX_POOL_BLOCK Block;
    const char *Sentence;
    if (!ExQueryPoolBlock(P, &Block))
        Sentence = SAY("%s freed %p, which lies behind the last block of its page.",
                       ExpNameCode(Caller).Text, P);
    else
        Sentence = SAY("%s freed %p, which lies %u bytes inside %s.", ExpNameCode(Caller).Text, P,
                       (ULONG)((ULONG_PTR)P - Block.Address),
                       Block.Allocated
                           ? ExpNameBlock((PVOID)Block.Address, Block.Size, Block.Tag, Block.Caller)
                                 .Text
                           : ExpNameFreedBlock((PVOID)Block.Address, Block.Tag, Block.Caller).Text);
    ExpStop(Caller, STOP(0x99, (ULONG_PTR)P), STOP(0x16, 0, (ULONG_PTR)P), Sentence);
}

// An address in a page of small blocks: a free block, or the middle of one.
static DECLSPEC_NORETURN VOID ExpReportSmall(POOL_PAGE *Page, PVOID P, ULONG_PTR Caller)
{
    ULONG Index = POOL_OFFSET(P) / Page->BlockSize;
    if (Index >= Page->BlockCount || POOL_OFFSET(P) % Page->BlockSize != 0)
        ExpReportInside(P, Caller);
    const POOL_RECORD *Record = &Page->Records[Index];
    if (Record->Cell == 0)
        ExpStopNoBlock(
            P, Caller, STOP(0x46, (ULONG_PTR)P),
            SAY("%s freed %p, a block that was never allocated.", ExpNameCode(Caller).Text, P));
    ULONG Tag = ExpOwnerOf(Record->Cell)->Tag;
    ExpStopTwice(P, (ULONG_PTR)ExpRecordWord(Record), Caller,
                 SAY("%s freed a second time %s.%s", ExpNameCode(Caller).Text,
                     ExpNameFreedBlock(P, Tag, ExpExpandCaller(ExpNotedCaller(Record))).Text,
                     ExpAdviseTracking()));
}

static DECLSPEC_NORETURN VOID ExpReportLarge(POOL *Pool, POOL_PAGE *Page, PVOID P, ULONG_PTR Caller)
{
    POOL_PAGE *Head = Page->State == PoolPageLargeTail ? ExpPageOfNumber(Pool, Page->Head) : Page;
    PVOID Start = (PVOID)ExpPageAddress(Pool, Head);
    ULONG Tag = ExpOwnerOf(Head->Cell)->Tag;
    const char *Sentence = SAY("%s freed %p, which lies %Iu bytes inside %s.",
                               ExpNameCode(Caller).Text, P, (ULONG_PTR)P - (ULONG_PTR)Start,
                               ExpNameBlock(Start, Head->Bytes, Tag, Head->Caller).Text);
    ULONG_PTR PageOffset = ((ULONG_PTR)P - Pool->Base) >> PAGE_SHIFT;
    ExpStop(Caller,
            Pool->Type == PagedPool ? STOP(0x41286, 0, 0, PageOffset) : STOP(0x99, (ULONG_PTR)P),
            STOP(0x16, 0, (ULONG_PTR)P), Sentence);
}

static DECLSPEC_NORETURN VOID ExpReportFreedLarge(POOL_PAGE *Page, PVOID P, ULONG_PTR Caller)
{
    ULONG Tag = ExpOwnerOf(Page->Cell)->Tag;
    ExpStopTwice(P, Page->Bytes, Caller,
                 SAY("%s freed a second time %s, when it had %Iu bytes.%s",
                     ExpNameCode(Caller).Text, ExpNameFreedBlock(P, Tag, Page->Caller).Text,
                     Page->Bytes, ExpAdviseTracking()));
}

// A page of a pool's region that the pool has not got.
static DECLSPEC_NORETURN VOID ExpReportNoPage(POOL_TYPE Type, PVOID P, ULONG_PTR Caller)
{
    const char *Sentence =
        SAY("%s freed %p, which lies in %s pool where nothing is allocated (any more).",
            ExpNameCode(Caller).Text, P, ExpNamePool(Type));
    ExpStopNoBlock(P, Caller, STOP(Type == PagedPool ? 0x48 : 0x44, (ULONG_PTR)P), Sentence);
}

// Behind everything that was ever allocated in a pool's region.
static DECLSPEC_NORETURN VOID ExpReportBeyond(const MM_REGION *Region, PVOID P, ULONG_PTR Caller)
{
    const char *Sentence = SAY("%s freed %p, in a part of %s that was never allocated.",
                               ExpNameCode(Caller).Text, P, Region->Name);
    ULONG_PTR PageOffset = ((ULONG_PTR)P - Region->Base) >> PAGE_SHIFT;
    ExpStopNoBlock(P, Caller,
                   Region->Type == MmRegionPagedPool
                       ? STOP(0x50, (ULONG_PTR)P, PageOffset, Region->Size)
                       : STOP(0x44, (ULONG_PTR)P),
                   Sentence);
}

static DECLSPEC_NORETURN VOID ExpReportForeign(PVOID P, ULONG_PTR Caller)
{
    const MM_REGION *Region = MmFindRegion(P);
    ULONG_PTR Address = (ULONG_PTR)P;
    if (Region != NULL && (Region->Type == MmRegionPagedPool || Region->Type == MmRegionNonPagedPool
                           || Region->Type == MmRegionNonPagedPoolExecute))
        ExpReportBeyond(Region, P, Caller);
    if (Address < SYSTEM_RANGE_START)
        ExpStopNoBlock(P, Caller, STOP(0x40, Address, (ULONG_PTR)SYSTEM_RANGE_START),
                       SAY("%s freed %p, a user-mode address.", ExpNameCode(Caller).Text, P));
    ExpStopNoBlock(P, Caller, STOP(0x42, Address),
                   SAY("%s freed %p, which is no pool address: it lies in %s.",
                       ExpNameCode(Caller).Text, P, Region != NULL ? Region->Name : "no region"));
}

// In a large block that is allocated: a further page names its first, which may be free by now.
static BOOLEAN ExpIsInLarge(const POOL *Pool, const POOL_PAGE *Page)
{
    return (Page->State == PoolPageLargeTail ? ExpPageOfNumber(Pool, Page->Head) : Page)->State
        == PoolPageLarge;
}

VOID ExpReportBadPointer(PVOID P, ULONG_PTR Caller)
{
    if (P == NULL)
        ExpStopNoBlock(P, Caller, STOP(0x46),
                       SAY("%s freed NULL, which is no block.", ExpNameCode(Caller).Text));
    POOL *Pool = ExpPoolOfAddress((ULONG_PTR)P);
    if (Pool == NULL)
        ExpReportForeign(P, Caller);
    POOL_PAGE *Page = ExpPageOfOffset(Pool, (ULONG_PTR)P - Pool->Base);
    if (Page->State == PoolPageSmall)
        ExpReportSmall(Page, P, Caller);
    if (ExpIsInLarge(Pool, Page))
        ExpReportLarge(Pool, Page, P, Caller);
    if (Page->State == PoolPageLargeFreed && POOL_OFFSET(P) == 0)
        ExpReportFreedLarge(Page, P, Caller);
    ExpReportNoPage(Pool->Type, P, Caller);
}

// The checked build, when a free block is handed out: whose it is now is known, and by pool
// tracking whose it was.
VOID ExpReportFreedWrite(PVOID P, PVOID Where)
{
    EX_POOL_BLOCK Block;
    BOOLEAN Known = ExQueryPoolBlock(P, &Block);
    ExpLogHistory(P);
    KiBugCheck(DRIVER_CAUGHT_MODIFYING_FREED_POOL, (ULONG_PTR)Where, 1, 0, 4, NULL,
               SAY("Somebody wrote to byte %Iu of block %p after it had been freed; found when %s "
                   "got it for tag \"%s\". /SPECIALPOOL watches each access.",
                   (ULONG_PTR)Where - (ULONG_PTR)P, P, ExpNameCode(Known ? Block.Caller : 0).Text,
                   ExpTagText(Known ? Block.Tag : 0).Text));
}

// ---- special pool ------------------------------------------------------------------------------
static POOL_BLOCK_NAME ExpNameSpecial(const POOL_SPECIAL *Special)
{
    return ExpNameBlock(Special->Block, Special->Bytes, Special->Tag, Special->Caller);
}

// "right behind the end of", "7 bytes before", "3 bytes into": where an address lies.
typedef struct _POOL_PLACE { char Text[40]; } POOL_PLACE;

static POOL_PLACE ExpNamePlace(ULONG_PTR Address, const POOL_SPECIAL *Special)
{
    POOL_PLACE Place;
    LONG_PTR Distance = (LONG_PTR)(Address - (ULONG_PTR)Special->Block);
    LONG_PTR Behind = Distance - (LONG_PTR)Special->Bytes;
    ULONG Bytes = (ULONG)(Distance < 0 ? -Distance : Behind >= 0 ? Behind : Distance);
    if (Distance == 0)
        RtlFormat(Place.Text, sizeof(Place.Text), "at the start of");
    else if (Behind == 0 || Distance == -1)
        RtlFormat(Place.Text, sizeof(Place.Text), "right %s",
                  Behind == 0 ? "behind the end of" : "before");
    else
        RtlFormat(Place.Text, sizeof(Place.Text), "%u byte%s %s", Bytes, Bytes == 1 ? "" : "s",
                  Distance < 0 ? "before" : Behind > 0 ? "behind the end of" : "into");
    return Place;
}

VOID ExpReportSpecialFree(PVOID P, const POOL_SPECIAL *Special, ULONG_PTR Caller)
{
    const char *Sentence =
        Special == NULL
            ? SAY("%s freed %p, which lies in special pool where nothing was ever allocated.",
                  ExpNameCode(Caller).Text, P)
            : SAY("%s freed a second time %s, which %s had freed.", ExpNameCode(Caller).Text,
                  ExpNameSpecial(Special).Text, ExpNameCode(Special->FreedBy).Text);
    KiBugCheck(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)P, 0, 0, 0x20, NULL, Sentence);
}

// The size that the pointer would stand for: from there to the end of the page.
VOID ExpReportSpecialPointer(PVOID P, const POOL_SPECIAL *Special, ULONG Kind, ULONG_PTR Caller)
{
    KiBugCheck(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)P, Special->Bytes,
               PAGE_SIZE - BYTE_OFFSET(P), Kind, NULL,
               SAY("%s freed %p, which is not the start of %s.", ExpNameCode(Caller).Text, P,
                   ExpNameSpecial(Special).Text));
}

VOID ExpReportSpecialIrql(const POOL_SPECIAL *Special, POOL_TYPE Type, KIRQL Irql,
                          ULONG_PTR Caller)
{
    KiBugCheck(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, Irql, Type, (ULONG_PTR)Special->Block, 0x31,
               NULL,
               SAY("%s freed %s special pool at IRQL %u; the highest for it is %u. It is %s.",
                   ExpNameCode(Caller).Text, ExpNamePool(Type), Irql, ExpHighestIrql(Type),
                   ExpNameSpecial(Special).Text));
}

static BOOLEAN ExpIsOneBit(UCHAR Difference)
{
    return (Difference & (Difference - 1)) == 0;
}

VOID ExpReportSpecialPattern(const POOL_SPECIAL *Special, PVOID Where, UCHAR Pattern, ULONG Kind,
                             ULONG_PTR Caller)
{
    UCHAR Found = *(UCHAR *)Where;
    BOOLEAN AtStart = BYTE_OFFSET(Special->Block) == 0;
    KiBugCheck(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, (ULONG_PTR)Special->Block, (ULONG_PTR)Where,
               0, ExpIsOneBit(Found ^ Pattern) ? 0x32 : Kind, NULL,
               SAY("Somebody wrote %s %s; found when %s freed it.%s",
                   ExpNamePlace((ULONG_PTR)Where, Special).Text, ExpNameSpecial(Special).Text,
                   ExpNameCode(Caller).Text,
                   AtStart == (Where < Special->Block) ? ""
                   : AtStart ? " /SPECIALPOOL with overrun would stop at the write."
                             : " /SPECIALPOOL with underrun would stop at the write."));
}

// For the fault handler: "5 bytes behind the end of block ... of 24 bytes, tag ..., allocated by
// ...".
int ExpSayWhereInSpecial(char *Buffer, SIZE_T Size, ULONG_PTR Address, const POOL_SPECIAL *Special)
{
    return RtlFormat(Buffer, Size, "%s %s%s%s", ExpNamePlace(Address, Special).Text,
                     ExpNameSpecial(Special).Text, Special->Freed ? ", freed by " : "",
                     Special->Freed ? ExpNameCode(Special->FreedBy).Text : "");
}
