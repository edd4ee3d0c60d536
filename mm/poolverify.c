// SPDX-License-Identifier: MIT
// Who is watched more closely: requests that go to special pool, and requests that fail on purpose.
//
// Problem. Watching costs too much to be on for everybody all the time, and whoever looks for one
// mistake knows something of it: a tag, a size, a driver.
//
// Idea. The command line says whom to watch:
//
//   /SPECIALPOOL=ITEM,...   all          every request below a page
//                           tag:PATTERN  with ? and *, as in !poolused
//                           size:N-M     bytes, or size:N
//                           driver:NAME  requests made by this driver's code
//                           underrun     blocks at the start of their page; overrun: at its end
//   /POOLGUARD=RATE         one request in RATE of each tag, pool and size: cheap enough to be left
//                           on
//   /VERIFIER=FLAGS         0x1 special pool for everybody, 0x4 low resources, 0x8 call stacks of
//                           all blocks (pooltrack.c); any of them: drivers' mistakes get the
//                           verifier's bugchecks (poolbug.c)
//   /FAULTS=CHANCE,TAGS,SECONDS,SEED
//                           low resources: CHANCE in 10000 (600), for tags like TAGS (*), SECONDS
//                           after start (0); the same SEED (1) gives the same failures
//   /FAILALLOCATION=N       the N-th request of drivers since start, and no other
//
// Cells of watched tags are trapped (pool.c), so that all their requests pass by here; the others
// keep their fast path. Only drivers' requests are failed, the kernel's on their behalf included.
// Drivers' mappings of I/O space (MmIo), contiguous (MmCm) and noncached memory (MmNc) and expanded
// stacks (PsSt) are requests too. A failure on purpose looks exactly like a real one: NULL, a
// status, or raised.
//
// Observability: !verifier; a line in the log for each failure.
// Tests: tests/host/test_pool_special.c, tests/system/test_pool.py.
#include "poolp.h"

#define FLAG_SPECIAL_POOL  0x1u
#define FLAG_LOW_RESOURCES 0x4u
#define FLAG_POOL_TRACKING 0x8u
#define FLAGS_KNOWN        (FLAG_SPECIAL_POOL | FLAG_LOW_RESOURCES | FLAG_POOL_TRACKING)

#define CHANCE_WHOLE   10000u
#define CHANCE_DEFAULT 600u
#define NAME_LENGTH    32u
#define FOREVER        ((ULONG_PTR)1 << (8 * sizeof(ULONG_PTR) - 2))  // a period without samples

typedef struct _SPECIAL_CHOICE {
    BOOLEAN Any;               // any of the below was given
    BOOLEAN All;
    char Tag[NAME_LENGTH];     // empty: none
    char Driver[NAME_LENGTH];  // empty: none
    ULONG Smallest, Largest;   // 0: no size was given
} SPECIAL_CHOICE;

typedef struct _FAULT_PLAN {
    ULONG Chance;              // in 10000; 0: off
    ULONG Seconds;             // since start, until it begins
    char Tags[NAME_LENGTH];
    ULONG64 Random;
    ULONG Number;              // of the one request to fail; 0: none
} FAULT_PLAN;

static SPECIAL_CHOICE ExpChoice;
static FAULT_PLAN ExpFaults;
static KSPIN_LOCK ExpFaultLock;              // guards Random
static ULONG ExpDriverRequests;            // counted while the N-th is to fail
static ULONG_PTR ExpPurposeFailures;
static ULONG ExpPoolGuard;                   // one in so many; 0: off
static ULONG ExpVerifierFlags;
BOOLEAN ExpSpecialUnderrun;

// ---- options -----------------------------------------------------------------------------------
static BOOLEAN ExpTakeNumber(const char **Text, ULONG64 *Number)
{
    ULONG Digits = 0;
    *Number = 0;
    for (; **Text >= '0' && **Text <= '9'; ++*Text, Digits++)
        *Number = *Number * 10 + (ULONG)(**Text - '0');
    return Digits != 0;
}

static VOID ExpTakeWord(const char **Text, char *Word)
{
    ULONG Length = 0;
    for (; **Text != '\0' && **Text != ','; ++*Text)
        if (Length + 1 < NAME_LENGTH)
            Word[Length++] = **Text;
    Word[Length] = '\0';
}

static BOOLEAN ExpStartsWith(const char *Text, const char *Prefix)
{
    return strncmp(Text, Prefix, strlen(Prefix)) == 0;
}

static BOOLEAN ExpReadSizes(const char *Text)
{
    ULONG64 Smallest, Largest;
    if (!ExpTakeNumber(&Text, &Smallest))
        return FALSE;
    Largest = Smallest;
    if (*Text == '-' && (++Text, !ExpTakeNumber(&Text, &Largest)))
        return FALSE;
    ExpChoice.Smallest = (ULONG)Smallest;
    ExpChoice.Largest = (ULONG)Largest;
    return *Text == '\0' && Smallest != 0 && Largest >= Smallest && Largest < PAGE_SIZE;
}

static BOOLEAN ExpReadChoice(const char *Item)
{
    if (strcmp(Item, "underrun") == 0 || strcmp(Item, "overrun") == 0) {
        ExpSpecialUnderrun = *Item == 'u';
        return TRUE;
    }
    ExpChoice.Any = TRUE;
    if (strcmp(Item, "all") == 0)
        return ExpChoice.All = TRUE;
    if (ExpStartsWith(Item, "tag:"))
        return RtlFormat(ExpChoice.Tag, NAME_LENGTH, "%s", Item + 4) > 0;
    if (ExpStartsWith(Item, "driver:"))
        return RtlFormat(ExpChoice.Driver, NAME_LENGTH, "%s", Item + 7) > 0;
    return ExpStartsWith(Item, "size:") && ExpReadSizes(Item + 5);
}

static VOID ExpReadChoices(VOID)
{
    char Value[128], Item[NAME_LENGTH];
    if (!KdQueryOption("SPECIALPOOL", Value, sizeof(Value)))
        return;
    for (const char *Text = Value; *Text != '\0'; Text += *Text == ',') {
        ExpTakeWord(&Text, Item);
        if (!ExpReadChoice(Item))
            KLOG("pool", "/SPECIALPOOL: \"%s\" is ignored: not all, tag:, size:, driver:, "
                         "overrun or underrun", Item);
    }
}

static VOID ExpSkipComma(const char **Text)
{
    *Text += **Text == ',';
}

static VOID ExpReadFaults(VOID)
{
    char Value[128] = "";
    const char *Text = Value;
    ULONG64 Number;
    BOOLEAN Given = KdQueryOption("FAULTS", Value, sizeof(Value));
    if (!Given && !(ExpVerifierFlags & FLAG_LOW_RESOURCES))
        return;
    ExpFaults.Chance = ExpTakeNumber(&Text, &Number) ? (ULONG)Number : CHANCE_DEFAULT;
    ExpSkipComma(&Text);
    ExpTakeWord(&Text, ExpFaults.Tags);
    ExpSkipComma(&Text);
    ExpFaults.Seconds = ExpTakeNumber(&Text, &Number) ? (ULONG)Number : 0;
    ExpSkipComma(&Text);
    ExpFaults.Random = ExpTakeNumber(&Text, &Number) ? Number : 1;
    if (ExpFaults.Tags[0] == '\0')
        ExpFaults.Tags[0] = '*';
    KLOG("pool", "%u of %u allocations fail on purpose: tags %s, from second %u on, seed %llu",
         ExpFaults.Chance, CHANCE_WHOLE, ExpFaults.Tags, ExpFaults.Seconds, ExpFaults.Random);
}

VOID ExpInitializeVerifier(VOID)
{
    ExpVerifierFlags = (ULONG)KdQueryOptionNumber("VERIFIER", 0);
    if (ExpVerifierFlags & ~FLAGS_KNOWN)
        KLOG("pool", "/VERIFIER: flags 0x%x are unknown and ignored",
             ExpVerifierFlags & ~FLAGS_KNOWN);
    ExpReadChoices();
    if (ExpVerifierFlags & FLAG_SPECIAL_POOL)
        ExpChoice.Any = ExpChoice.All = TRUE;
    ExpTracking = (ExpVerifierFlags & FLAG_POOL_TRACKING) != 0;
    ExpPoolGuard = (ULONG)KdQueryOptionNumber("POOLGUARD", 0);
    ExpFaults.Number = (ULONG)KdQueryOptionNumber("FAILALLOCATION", 0);
    ExpReadFaults();
}

// Not before there are pools. Without address space for it nobody is in special pool.
VOID ExpStartVerifier(VOID)
{
    if ((ExpChoice.Any || ExpPoolGuard != 0) && !ExpInitializeSpecial()) {
        KLOG("pool", "no address space for special pool");
        ExpChoice.Any = FALSE;
        ExpPoolGuard = 0;
    }
}

// ---- who is watched ----------------------------------------------------------------------------
BOOLEAN ExpIsWatched(ULONG Tag)
{
    if (ExpTracking || ExpFaults.Chance != 0 || ExpFaults.Number != 0)
        return TRUE;
    if (!ExpChoice.Any)
        return FALSE;
    return ExpChoice.All || ExpChoice.Driver[0] != '\0' || ExpChoice.Largest != 0
        || ExpIsTagLike(Tag, ExpChoice.Tag);
}

BOOLEAN ExIsVerified(ULONG_PTR Caller)
{
    return (ExpVerifierFlags & FLAGS_KNOWN) != 0 && MmIsDriverAddress(Caller);
}

BOOLEAN ExpIsSampling(VOID)
{
    return ExpPoolGuard != 0;
}

ULONG_PTR ExpSamplePeriod(VOID)
{
    return ExpPoolGuard != 0 ? ExpPoolGuard : FOREVER;
}

static BOOLEAN ExpIsInDriver(ULONG_PTR Address, const char *Name)
{
    char Place[96];
    SIZE_T Length = strlen(Name);
    return MmIsDriverAddress(Address) && KdSymbolize(Address, Place, sizeof(Place))
        && strncmp(Place, Name, Length) == 0 && (Place[Length] == '+' || Place[Length] == '.');
}

BOOLEAN ExpWantsSpecial(const POOL_REQUEST *Request)
{
    if (!ExpChoice.Any)
        return FALSE;
    return ExpChoice.All || Request->Special
        || (Request->Bytes >= ExpChoice.Smallest && Request->Bytes <= ExpChoice.Largest)
        || (ExpChoice.Tag[0] != '\0' && ExpIsTagLike(Request->Tag, ExpChoice.Tag))
        || (ExpChoice.Driver[0] != '\0' && ExpIsInDriver(Request->Caller, ExpChoice.Driver));
}

// ---- failures on purpose -----------------------------------------------------------------------
static ULONG ExpRoll(VOID)
{
    KIRQL OldIrql = KiAcquireLock(&ExpFaultLock);
    ExpFaults.Random = ExpFaults.Random * 6364136223846793005ull + 1442695040888963407ull;
    ULONG Rolled = (ULONG)(ExpFaults.Random >> 33) % CHANCE_WHOLE;
    KiReleaseLock(&ExpFaultLock, OldIrql);
    return Rolled;
}

static BOOLEAN ExpIsUnlucky(ULONG Tag)
{
    return ExpFaults.Chance != 0 && ExpIsTagLike(Tag, ExpFaults.Tags)
        && KeSystemUptime() >= ExpFaults.Seconds * 10000000ull && ExpRoll() < ExpFaults.Chance;
}

static BOOLEAN ExpIsTheOne(VOID)
{
    if (ExpFaults.Number == 0)
        return FALSE;
    return __atomic_add_fetch(&ExpDriverRequests, 1, __ATOMIC_RELAXED) == ExpFaults.Number;
}

static DECLSPEC_NOINLINE BOOLEAN ExpFailsAsPlanned(ULONG_PTR Caller, SIZE_T Bytes, ULONG Tag)
{
    if (!MmIsDriverAddress(Caller))
        return FALSE;
    if (!ExpIsTheOne() && !ExpIsUnlucky(Tag))
        return FALSE;
    char Place[96];
    if (!KdSymbolize(Caller, Place, sizeof(Place)))
        RtlFormat(Place, sizeof(Place), "%p", (PVOID)Caller);
    __atomic_fetch_add(&ExpPurposeFailures, 1, __ATOMIC_RELAXED);
    KLOG("pool", "failed on purpose: %llu bytes, tag %s, asked for by %s", (ULONG64)Bytes,
         ExpTagText(Tag).Text, Place);
    return TRUE;
}

BOOLEAN ExFailsOnPurpose(ULONG_PTR Caller, SIZE_T Bytes, ULONG Tag)
{
    if (ExpFaults.Chance == 0 && ExpFaults.Number == 0)
        return FALSE;
    return ExpFailsAsPlanned(Caller, Bytes, Tag);
}

// ---- !verifier ---------------------------------------------------------------------------------
static VOID ExpPrintChoice(VOID)
{
    if (!ExpChoice.Any)
        KdPrintf("  Special pool: nobody");
    else
        KdPrintf("  Special pool:%s", ExpChoice.All ? " everybody" : "");
    if (ExpChoice.Tag[0] != '\0')
        KdPrintf(" tag %s", ExpChoice.Tag);
    if (ExpChoice.Driver[0] != '\0')
        KdPrintf(" driver %s", ExpChoice.Driver);
    if (ExpChoice.Largest != 0)
        KdPrintf(" size %u to %u", ExpChoice.Smallest, ExpChoice.Largest);
    KdPrintf(", blocks at the %s of their page\n", ExpSpecialUnderrun ? "start" : "end");
    if (ExpPoolGuard != 0)
        KdPrintf("  Pool guard: one request in %u\n", ExpPoolGuard);
}

#define SHOW_DRIVERS 1u
#define SHOW_BLOCKS  2u

static VOID ExpPrintIfDrivers(const EX_POOL_BLOCK *Block, PVOID Context)
{
    if (MmIsDriverAddress(Block->Caller))
        ExpPrintBlock(Block, FALSE);
}

static BOOLEAN ExpVerifierCommand(const char *Arguments)
{
    ULONG64 Flags = SHOW_DRIVERS;
    if (*Arguments != '\0' && !KdParseNumber(&Arguments, &Flags))
        return FALSE;
    KdPrintf("Verify level %x\n", ExpVerifierFlags & FLAGS_KNOWN);
    ExpPrintChoice();
    if (ExpFaults.Chance != 0)
        KdPrintf("  Low resources: %u in %u, tags %s, after %u s\n", ExpFaults.Chance, CHANCE_WHOLE,
                 ExpFaults.Tags, ExpFaults.Seconds);
    KdPrintf("  Pool Allocations Succeeded SpecialPool: %10llu\n", (ULONG64)ExpSpecialServed);
    KdPrintf("  Pool Allocations Missed SpecialPool:    %10llu\n", (ULONG64)ExpSpecialMissed);
    KdPrintf("  Pool Allocations Failed:                %10llu\n", (ULONG64)ExpPoolFailures);
    KdPrintf("  Resource Allocations Failed Deliberately: %8llu\n", (ULONG64)ExpPurposeFailures);
    if (ExpTracking && (Flags & SHOW_DRIVERS))
        ExpPrintDrivers();
    if (Flags & SHOW_BLOCKS)
        ExpVisitAllocated(ExpPrintIfDrivers, NULL);
    return TRUE;
}
KD_COMMAND(verifier, "!verifier",
           "!verifier [FLAGS]: who is watched, what came of it; 1 drivers' pool, 2 their blocks",
           ExpVerifierCommand, KD_SAFE_IN_BUGCHECK);
