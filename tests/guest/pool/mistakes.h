// SPDX-License-Identifier: MIT
// Every mistake with the pool, once: what a driver does wrong, and which bugcheck that has to end
// in.
//
// The same source runs in two places. tests/host/test_pool_mistakes.c makes each mistake with every
// pool, size and configuration, since there a bugcheck is survived; tests/guest/pool/misuse.c makes
// one of them in a real driver, which tests/system/test_pool_misuse.py chooses so that each is seen
// on both architectures and builds. Whoever includes this has:
//
//     Expect(Code, P1, P2, P3, P4)   announces the bugcheck that comes next; ANYTHING and IN_DRIVER
//                                    stand for parameters that cannot be known
//     SYSTEM_START, FOREIGN_ADDRESS  where system space begins; an address there in no pool
//
// The routines that allocate and free are functions of their own, so that a report can name them:
// the table says which of them it has to name.
#pragma once

#define NX        ((POOL_TYPE)512)
#define RAISES    16u
#define GOOD_TAG  'kaTM'
#define WRONG_TAG 'gnrW'
#define MISTAKE_DISPATCH DISPATCH_LEVEL

// What is wrong is done in here.
typedef struct _SCENE {
    POOL_TYPE Type;
    SIZE_T Bytes;
    BOOLEAN Alone;    // the block is alone in a page of special pool
    BOOLEAN AtStart;  // and at its start
    BOOLEAN Watched;  // requests go to special pool by option, not because they are a sample
    BOOLEAN Verified; // the verifier has bugchecks of its own for some mistakes
} SCENE;

// ---- the driver's own routines -----------------------------------------------------------------
// Keeps a call from becoming a jump, which would leave no trace of who made it.
#define STAY() __asm__ volatile("")

static __attribute__((noinline)) PVOID Allocates(POOL_TYPE Type, SIZE_T Bytes, ULONG Tag)
{
    PVOID Block = ExAllocatePoolWithTag(Type, Bytes, Tag);
    STAY();
    return Block;
}

static __attribute__((noinline)) VOID FreesFirst(PVOID Block)
{
    ExFreePoolWithTag(Block, GOOD_TAG);
    STAY();
}

static __attribute__((noinline)) VOID Frees(PVOID Block, ULONG Tag)
{
    ExFreePoolWithTag(Block, Tag);
    STAY();
}

// Also opens the cell of this tag and size: a cell's first allocation is never a sample.
static UCHAR *Take(const SCENE *Scene)
{
    FreesFirst(Allocates(Scene->Type, Scene->Bytes, GOOD_TAG));
    return Allocates(Scene->Type, Scene->Bytes, GOOD_TAG);
}

static KIRQL TooHigh(const SCENE *Scene)
{
    return Scene->Type & PagedPool ? MISTAKE_DISPATCH : MISTAKE_DISPATCH + 1;
}

static VOID RaiseTo(KIRQL Irql)
{
    KIRQL Old;
    KeRaiseIrql(Irql, &Old);
}

static volatile UCHAR Seen;

// ---- asking ------------------------------------------------------------------------------------
static VOID TagZero(const SCENE *Scene)
{
    Expect(0xC2, 0x9B, Scene->Type, Scene->Bytes, IN_DRIVER);
    Allocates(Scene->Type, Scene->Bytes, 0);
}

static VOID TagBig(const SCENE *Scene)
{
    Expect(0xC2, 0x9C, Scene->Type, Scene->Bytes, IN_DRIVER);
    Allocates(Scene->Type, Scene->Bytes, ' GIB');
}

static VOID TagUnreadable(const SCENE *Scene)
{
    Expect(0xC2, 0x9D, '!?!?', Scene->Type, IN_DRIVER);
    Allocates(Scene->Type, Scene->Bytes, '!?!?');
}

// Bit 1 of a type says so: of one that is reserved (3), the bound (7), session pool (34) too.
static VOID MustSucceed(const SCENE *Scene)
{
    static const UCHAR Types[] = {NonPagedPoolMustSucceed, DontUseThisType,
                                  NonPagedPoolCacheAlignedMustS, MaxPoolType, 32 + 2};
    POOL_TYPE Type = (POOL_TYPE)Types[(Scene->Type / 512 + Scene->Type % 512 * 2 +
                                       Scene->Bytes / PAGE_SIZE) % sizeof(Types)];
    Expect(0xC2, 0x9A, Type, Scene->Bytes, GOOD_TAG);
    Allocates(Type, Scene->Bytes, GOOD_TAG);
}

static VOID NoBytes(const SCENE *Scene)
{
    Expect(0xC4, 0x00, PASSIVE_LEVEL, Scene->Type, 0);
    Allocates(Scene->Type, 0, GOOD_TAG);
}

static VOID AllocateIrql(const SCENE *Scene)
{
    KIRQL Irql = TooHigh(Scene);
    if (Scene->Alone && Scene->Watched)
        Expect(0xC1, Irql, Scene->Type, Scene->Bytes, 0x30);
    else if (Scene->Verified)
        Expect(0xC4, Scene->Type & PagedPool ? 0x01 : 0x02, Irql, Scene->Type, Scene->Bytes);
    else
        Expect(0xC2, 0x08, Irql, Scene->Type, Scene->Bytes);
    RaiseTo(Irql);
    Allocates(Scene->Type, Scene->Bytes, GOOD_TAG);
}

static VOID Raises(const SCENE *Scene)
{
    Expect(0x1E, (ULONG_PTR)(LONG)STATUS_INSUFFICIENT_RESOURCES, ANYTHING, ANYTHING, ANYTHING);
    Allocates((POOL_TYPE)(Scene->Type | RAISES), ~(SIZE_T)0 / 2, GOOD_TAG);
}

// ---- giving back -------------------------------------------------------------------------------
static VOID FreeIrql(const SCENE *Scene)
{
    PVOID Block = Take(Scene);
    KIRQL Irql = TooHigh(Scene);
    if (Scene->Alone)
        Expect(0xC1, Irql, Scene->Type, (ULONG_PTR)Block, 0x31);
    else if (Scene->Verified)
        Expect(0xC4, Scene->Type & PagedPool ? 0x11 : 0x12, Irql, Scene->Type, (ULONG_PTR)Block);
    else
        Expect(0xC2, 0x09, Irql, Scene->Type, (ULONG_PTR)Block);
    RaiseTo(Irql);
    Frees(Block, GOOD_TAG);
}

static VOID WrongTag(const SCENE *Scene)
{
    PVOID Block = Take(Scene);
    Expect(0xC2, 0x0A, (ULONG_PTR)Block, GOOD_TAG, WRONG_TAG);
    Frees(Block, WRONG_TAG);
}

static VOID Twice(const SCENE *Scene)
{
    PVOID Block = Take(Scene);
    FreesFirst(Block);
    if (Scene->Alone)
        Expect(0xC1, (ULONG_PTR)Block, 0, 0, 0x20);
    else if (Scene->Verified)
        Expect(0xC4, 0x13, 0, (ULONG_PTR)Block, ANYTHING);
    else
        Expect(0xC2, 0x07, 0, ANYTHING, (ULONG_PTR)Block);
    Frees(Block, GOOD_TAG);
}

// Verified: what a free of an address ends in that is not the start of a block, or no block's.
static BOOLEAN IsForVerifier(const SCENE *Scene, ULONG_PTR Code, PVOID Address)
{
    if (Scene->Verified && Code == 0x16)
        Expect(0xC4, Code, 0, (ULONG_PTR)Address, 0);
    else if (Scene->Verified)
        Expect(0xC4, Code, (ULONG_PTR)Address, 0, 0);
    return Scene->Verified;
}

static VOID Middle(const SCENE *Scene)
{
    UCHAR *Inside = Take(Scene) + 16;
    if (Scene->Alone)
        Expect(0xC1, (ULONG_PTR)Inside, Scene->Bytes, PAGE_SIZE - BYTE_OFFSET(Inside),
               Scene->AtStart ? 0x22 : 0x21);
    else if (IsForVerifier(Scene, 0x16, Inside))
        ;
    else if (Scene->Bytes >= PAGE_SIZE && Scene->Type == PagedPool)
        Expect(0xC2, 0x41286, 0, 0, ANYTHING);
    else
        Expect(0xC2, 0x99, (ULONG_PTR)Inside, 0, 0);
    Frees(Inside, GOOD_TAG);
}

static VOID LaterPage(const SCENE *Scene)
{
    UCHAR *Inside = Take(Scene) + PAGE_SIZE;
    if (IsForVerifier(Scene, 0x16, Inside))
        ;
    else if (Scene->Type == PagedPool)
        Expect(0xC2, 0x41286, 0, 0, ANYTHING);
    else
        Expect(0xC2, 0x99, (ULONG_PTR)Inside, 0, 0);
    Frees(Inside, GOOD_TAG);
}

static VOID FreedPages(const SCENE *Scene)
{
    UCHAR *Inside = Take(Scene);
    FreesFirst(Inside);
    Inside += PAGE_SIZE;
    if (!IsForVerifier(Scene, 0x10, Inside))
        Expect(0xC2, Scene->Type == PagedPool ? 0x48 : 0x44, (ULONG_PTR)Inside, 0, 0);
    Frees(Inside, GOOD_TAG);
}

static VOID NeverAllocated(const SCENE *Scene)
{
    UCHAR *Beyond = Take(Scene) + (16 << 20);
    if (IsForVerifier(Scene, 0x10, Beyond))
        ;
    else if (Scene->Type == PagedPool)
        Expect(0xC2, 0x50, (ULONG_PTR)Beyond, ANYTHING, ANYTHING);
    else
        Expect(0xC2, 0x44, (ULONG_PTR)Beyond, 0, 0);
    Frees(Beyond, GOOD_TAG);
}

// Was this block handed out by NeverUsed?
static PVOID HandedOut[64];

static BOOLEAN IsHandedOut(PVOID Block)
{
    for (ULONG i = 0; i < sizeof(HandedOut) / sizeof(HandedOut[0]); i++)
        if (HandedOut[i] == Block)
            return TRUE;
    return FALSE;
}

// The first block of a page of a class that hardly anybody else uses, while it still waits there.
// The pages of the kernel's own blocks of that size, if there are any, come first, and are passed.
static VOID NeverUsed(const SCENE *Scene)
{
    static ULONG Count;
    ULONG Pass = Count + 8;
    UCHAR *Block;
    do
        HandedOut[Count++] = Block = Allocates(Scene->Type, 1300, GOOD_TAG);
    while (Count < Pass || IsHandedOut(PAGE_ALIGN(Block)));
    if (!IsForVerifier(Scene, 0x10, PAGE_ALIGN(Block)))
        Expect(0xC2, 0x46, (ULONG_PTR)PAGE_ALIGN(Block), 0, 0);
    Frees(PAGE_ALIGN(Block), GOOD_TAG);
}

static VOID UserAddress(const SCENE *Scene)
{
    if (!IsForVerifier(Scene, 0x10, (PVOID)(0x10000 + Scene->Bytes)))
        Expect(0xC2, 0x40, 0x10000 + Scene->Bytes, SYSTEM_START, 0);
    Frees((PVOID)(0x10000 + Scene->Bytes), GOOD_TAG);
}

static VOID Null(const SCENE *Scene)
{
    if (!IsForVerifier(Scene, 0x10, NULL))
        Expect(0xC2, 0x46, 0, 0, 0);
    Frees(NULL, Scene->Type == PagedPool ? 0 : GOOD_TAG);
}

static VOID Foreign(const SCENE *Scene)
{
    if (!IsForVerifier(Scene, 0x10, (PVOID)FOREIGN_ADDRESS))
        Expect(0xC2, 0x42, FOREIGN_ADDRESS, 0, 0);
    Frees((PVOID)FOREIGN_ADDRESS, Scene->Type == PagedPool ? 0 : GOOD_TAG);
}

// ---- damage ------------------------------------------------------------------------------------
static VOID ExpectOverrun(const SCENE *Scene, UCHAR *Block, ULONG_PTR Found)
{
    if (Scene->Verified)
        Expect(0xC4, 0x51, (ULONG_PTR)Block, (ULONG_PTR)Block + Scene->Bytes, Scene->Bytes);
    else
        Expect(0x19, 0x21, (ULONG_PTR)Block, Scene->Bytes, Found);
}

static VOID Overrun(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    for (ULONG i = 0; i < 8; i++)  // the guard's first byte is never 0
        ((volatile UCHAR *)Block)[Scene->Bytes + i] = Scene->Verified ? 0 : 0xFF;
    ExpectOverrun(Scene, Block, ~(ULONG_PTR)0);
    Frees(Block, GOOD_TAG);
}

// One byte only: what a string without room for its NUL does.
static VOID OverrunByOne(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    Block[Scene->Bytes] = 0;
    ExpectOverrun(Scene, Block, ANYTHING);
    Frees(Block, GOOD_TAG);
}

static VOID Behind(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    Block[Scene->Bytes] ^= 0xFF;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block + Scene->Bytes, 0, 0x24);
    Frees(Block, GOOD_TAG);
}

static VOID Before(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    Block[-9] ^= 0xFF;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block - 9, 0, 0x23);
    Frees(Block, GOOD_TAG);
}

static VOID OneBit(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    Block[Scene->Bytes + 1] ^= 0x10;
    Expect(0xC1, (ULONG_PTR)Block, (ULONG_PTR)Block + Scene->Bytes + 1, 0, 0x32);
    Frees(Block, GOOD_TAG);
}

// The checked build sees it when the block is used again: the one freed last comes first.
static VOID WriteFreed(const SCENE *Scene)
{
    UCHAR *Block = Take(Scene);
    FreesFirst(Block);
    Block[7] = 1;
    Expect(0xC6, (ULONG_PTR)Block + 7, 1, 0, ANYTHING);
    Allocates(Scene->Type, Scene->Bytes, GOOD_TAG);
}

// ---- the touch itself, which only special pool sees --------------------------------------------
// Where the inaccessible page begins that lies against the block.
static volatile UCHAR *BesideOf(const SCENE *Scene, UCHAR *Block)
{
    return Scene->AtStart ? Block - 1 : (UCHAR *)PAGE_ALIGN(Block) + PAGE_SIZE;
}

static VOID WriteBeside(const SCENE *Scene)
{
    volatile UCHAR *Beside = BesideOf(Scene, Take(Scene));
    Expect(0xD6, (ULONG_PTR)Beside, 1, IN_DRIVER, 0);
    *Beside = 1;
}

static VOID ReadBeside(const SCENE *Scene)
{
    volatile UCHAR *Beside = BesideOf(Scene, Take(Scene));
    Expect(0xD6, (ULONG_PTR)Beside, 0, IN_DRIVER, 0);
    Seen = *Beside;
}

static VOID KernelBeside(const SCENE *Scene)
{
    UCHAR Other[8] = {0}, *Beside = (UCHAR *)BesideOf(Scene, Take(Scene));
    Expect(0xCD, (ULONG_PTR)Beside, 0, ANYTHING, 0);
    Seen = (UCHAR)RtlCompareMemory(Beside, Other, Scene->AtStart ? 1 : sizeof(Other));
}

static VOID TouchFreed(const SCENE *Scene)
{
    volatile UCHAR *Block = Take(Scene);
    FreesFirst((PVOID)Block);
    Expect(0xD5, (ULONG_PTR)Block + 3, 0, IN_DRIVER, 0);
    Seen = Block[3];
}

static VOID KernelFreed(const SCENE *Scene)
{
    UCHAR Other[8] = {0}, *Block = Take(Scene);
    FreesFirst(Block);
    Expect(0xCC, (ULONG_PTR)Block, 0, ANYTHING, 0);
    Seen = (UCHAR)RtlCompareMemory(Block, Other, sizeof(Other));
}

// ---- the table ---------------------------------------------------------------------------------
enum { SMALL = 1, PAGE = 2, LARGE = 4, EVERY_SIZE = 7 };
enum {
    USUAL = 1,    // blocks that are not alone in a page of special pool
    ALONE = 2,    // those that are
    EITHER = 3,
    AT_END = 4,   // on the overrun side only
    FAULTS = 8,   // the report comes from the page fault handler
    CHECKED = 16, // only the checked build sees it
    VERIFIED = 32, // only the verifier does
};

typedef struct _MISTAKE {
    const char *Name;
    VOID (*Make)(const SCENE *Scene);
    UCHAR Sizes, Where;
    const char *Named;  // routines that the report has to name
} MISTAKE;

// tests/system/test_pool_misuse.py reads these lines.
static const MISTAKE Mistakes[] = {
    {"tag_zero", TagZero, EVERY_SIZE, EITHER, "Allocates"},
    {"tag_big", TagBig, EVERY_SIZE, EITHER, "Allocates"},
    {"tag_unreadable", TagUnreadable, EVERY_SIZE, EITHER, "Allocates"},
    {"must_succeed", MustSucceed, EVERY_SIZE, EITHER, "Allocates"},
    {"no_bytes", NoBytes, SMALL, EITHER | VERIFIED, "Allocates"},
    {"allocate_irql", AllocateIrql, EVERY_SIZE, EITHER, "Allocates"},
    {"raises", Raises, SMALL, EITHER, ""},
    {"free_irql", FreeIrql, EVERY_SIZE, EITHER, "Frees Allocates"},
    {"wrong_tag", WrongTag, EVERY_SIZE, EITHER, "Frees Allocates"},
    {"twice", Twice, EVERY_SIZE, EITHER, "Frees FreesFirst"},
    {"middle", Middle, EVERY_SIZE, EITHER, "Frees Allocates"},
    {"later_page", LaterPage, LARGE, USUAL, "Frees Allocates"},
    {"freed_pages", FreedPages, LARGE, USUAL, "Frees"},
    {"never_allocated", NeverAllocated, PAGE | LARGE, USUAL, "Frees"},
    {"never_used", NeverUsed, SMALL, USUAL, "Frees"},
    {"user_address", UserAddress, SMALL, EITHER, "Frees"},
    {"null", Null, SMALL, EITHER, "Frees"},
    {"foreign", Foreign, SMALL, EITHER, "Frees"},
    {"overrun", Overrun, SMALL | LARGE, USUAL, "Frees Allocates"},
    {"overrun_by_one", OverrunByOne, SMALL | LARGE, USUAL, "Frees Allocates"},
    {"behind", Behind, SMALL, ALONE, "Frees Allocates"},
    {"before", Before, SMALL, ALONE | AT_END, "Frees Allocates"},
    {"one_bit", OneBit, SMALL, ALONE, "Frees Allocates"},
    {"write_beside", WriteBeside, SMALL, ALONE | FAULTS, "Allocates"},
    {"read_beside", ReadBeside, SMALL, ALONE | FAULTS, "Allocates"},
    {"kernel_beside", KernelBeside, SMALL, ALONE | FAULTS, "Allocates"},
    {"touch_freed", TouchFreed, SMALL, ALONE | FAULTS, "Allocates FreesFirst"},
    {"kernel_freed", KernelFreed, SMALL, ALONE | FAULTS, "Allocates FreesFirst"},
    {"write_freed", WriteFreed, SMALL, USUAL | CHECKED, "Allocates"},
};

// ---- the other words of a case's name ----------------------------------------------------------
typedef struct _WORD { const char *Name; ULONG Value; } WORD;

static const WORD Pools[] = {{"execute", NonPagedPool}, {"nx", 512}, {"paged", PagedPool}};
static const WORD Sizes[] = {{"small", 100}, {"page", PAGE_SIZE}, {"large", 10000}};

// How the kernel runs; the value: does special pool take requests below a page, and how.
enum { NOBODY = 0, BY_OPTION = 1, BY_SAMPLE = 2, TO_START = 4, BY_VERIFIER = 8 };
static const WORD Watches[] = {
    {"plain", NOBODY},
    {"tracked", BY_VERIFIER},
    {"verifier", BY_OPTION | BY_VERIFIER},
    {"overrun", BY_OPTION},
    {"underrun", BY_OPTION | TO_START},
    {"guard", BY_SAMPLE},
};

static SCENE MakeScene(ULONG Pool, ULONG Size, ULONG Watch)
{
    ULONG How = Watches[Watch].Value;
    SCENE Scene = {.Type = (POOL_TYPE)Pools[Pool].Value, .Bytes = Sizes[Size].Value};
    Scene.Alone = (How & (BY_OPTION | BY_SAMPLE)) != 0 && Scene.Bytes < PAGE_SIZE;
    Scene.AtStart = Scene.Alone && (How & TO_START);
    Scene.Watched = (How & BY_OPTION) != 0;
    Scene.Verified = (How & BY_VERIFIER) != 0;
    return Scene;
}

// Can this mistake be made, and seen, like this?
static BOOLEAN IsPossible(const MISTAKE *Mistake, const SCENE *Scene, ULONG Size)
{
    if (!(Mistake->Sizes & (1u << Size)) || !(Mistake->Where & (Scene->Alone ? ALONE : USUAL)))
        return FALSE;
    if ((Mistake->Where & VERIFIED) && !Scene->Verified)
        return FALSE;
    return !(Mistake->Where & AT_END) || !Scene->AtStart;
}
