// SPDX-License-Identifier: MIT
// poolmon: pool use by tag on a screen that renews itself, with the keys of the tool of that name.
//
// One row of 80 columns for each tag and pool: allocations, frees and bytes, with their changes
// since the last screen, blocks in use, bytes a block. The keys choose the rows and the column to
// sort by. The screen is renewed every five seconds and after each key; q or ESC ends it. The keys
// that ask for session pool are answered in words: there are no sessions.
//
// Tags are looked at one screen row at a time, as !poolused does: nothing is allocated. What the
// counters were last time is kept for as many tags as fit the table; later ones show no change.
//
// Observability: this is it; tests/system/test_pool.py.
#include "hal.h"
#include "poolp.h"

#define ROWS           20u
#define REMEMBERED     512u
#define REFRESH_TICKS  50u        // of TICK each: five seconds
#define TICK           (-1000000) // 100 ms, relative

typedef struct _MON_ROW {
    ULONG Number;     // of the tag
    BOOLEAN Paged;
    ULONG Tag;
    ULONG64 Allocs, Frees, Bytes;
    LONG64 AllocsDelta, FreesDelta, BytesDelta;
} MON_ROW;

typedef struct _MON_PAST { ULONG64 Allocs, Frees, Bytes; } MON_PAST;

typedef struct _MON {
    char Sort;        // the key that chose the column: t a f d b m
    BOOLEAN ByDelta;  // ( or ): the change of the column instead
    UCHAR Pools;      // 0 both, 1 nonpaged, 2 paged
    BOOLEAN Totals;   // e
    BOOLEAN Changed;  // l: rows that changed are marked
    BOOLEAN Session;  // s, i or a digit was the last key
    ULONG ShownCount; // rows on the screen so far
    ULONG Shown[ROWS];
} MON;

static MON_PAST ExpPast[REMEMBERED][2];

static ULONG64 ExpInUse(const MON_ROW *Row)
{
    return Row->Allocs - Row->Frees;
}

static ULONG64 ExpPerAlloc(const MON_ROW *Row)
{
    return ExpInUse(Row) != 0 ? Row->Bytes / ExpInUse(Row) : 0;
}

// ---- rows --------------------------------------------------------------------------------------
static BOOLEAN ExpReadRow(ULONG Index, MON_ROW *Row)
{
    EX_POOL_TAG Use;
    *Row = (MON_ROW){.Number = Index / 2, .Paged = Index % 2};
    if (!ExQueryPoolTag(Row->Number, &Use))
        return FALSE;
    Row->Tag = Use.Tag;
    Row->Allocs = Row->Paged ? Use.PagedAllocs : Use.NonPagedAllocs;
    Row->Frees = Row->Paged ? Use.PagedFrees : Use.NonPagedFrees;
    Row->Bytes = Row->Paged ? Use.PagedBytes : Use.NonPagedBytes;
    if (Row->Number < REMEMBERED) {
        const MON_PAST *Past = &ExpPast[Row->Number][Row->Paged];
        Row->AllocsDelta = (LONG64)(Row->Allocs - Past->Allocs);
        Row->FreesDelta = (LONG64)(Row->Frees - Past->Frees);
        Row->BytesDelta = (LONG64)(Row->Bytes - Past->Bytes);
    }
    return TRUE;
}

static VOID ExpRemember(VOID)
{
    MON_ROW Row;
    for (ULONG Index = 0; Index < 2 * REMEMBERED && ExpReadRow(Index, &Row); Index++)
        ExpPast[Row.Number][Row.Paged] = (MON_PAST){Row.Allocs, Row.Frees, Row.Bytes};
}

static BOOLEAN ExpIsChosen(const MON *Mon, const MON_ROW *Row)
{
    return Row->Allocs != 0 && (Mon->Pools == 0 || Mon->Pools == 1 + Row->Paged);
}

// Big-endian, so that tags sort as their texts do.
static LONG64 ExpTagOrder(ULONG Tag)
{
    return -(LONG64)__builtin_bswap32(Tag);
}

static LONG64 ExpMonKey(const MON *Mon, const MON_ROW *Row)
{
    switch (Mon->Sort) {
    case 'a': return Mon->ByDelta ? Row->AllocsDelta : (LONG64)Row->Allocs;
    case 'f': return Mon->ByDelta ? Row->FreesDelta : (LONG64)Row->Frees;
    case 'd': return Mon->ByDelta ? Row->AllocsDelta - Row->FreesDelta : (LONG64)ExpInUse(Row);
    case 'b': return Mon->ByDelta ? Row->BytesDelta : (LONG64)Row->Bytes;
    case 'm': return (LONG64)ExpPerAlloc(Row);
    default: return ExpTagOrder(Row->Tag);
    }
}

// Does A stand above B?
static BOOLEAN ExpIsAbove(const MON *Mon, const MON_ROW *A, const MON_ROW *B)
{
    LONG64 KeyA = ExpMonKey(Mon, A), KeyB = ExpMonKey(Mon, B);
    if (KeyA != KeyB)
        return KeyA > KeyB;
    return A->Number != B->Number ? A->Number < B->Number : A->Paged < B->Paged;
}

static BOOLEAN ExpIsOnScreen(const MON *Mon, ULONG Index)
{
    for (ULONG i = 0; i < Mon->ShownCount; i++)
        if (Mon->Shown[i] == Index)
            return TRUE;
    return FALSE;
}

// The row that comes next: the top one of those that are not on the screen yet, whatever has
// changed since the others were read. FALSE: there is none.
static BOOLEAN ExpNextRow(MON *Mon, MON_ROW *Next)
{
    BOOLEAN Found = FALSE;
    MON_ROW Row;
    for (ULONG Index = 0; ExpReadRow(Index, &Row); Index++)
        if (ExpIsChosen(Mon, &Row) && (!Found || ExpIsAbove(Mon, &Row, Next)) &&
            !ExpIsOnScreen(Mon, Index)) {
            *Next = Row;
            Mon->Shown[Mon->ShownCount] = Index;
            Found = TRUE;
        }
    Mon->ShownCount += Found;
    return Found;
}

// ---- the screen --------------------------------------------------------------------------------
static VOID ExpPrintHeader(VOID)
{
    EX_POOL_STATISTICS Execute, Nx, Paged;
    ULONG64 Total, Available = MmQueryAvailablePages(&Total);
    ExQueryPoolStatistics(NonPagedPool, &Execute);
    ExQueryPoolStatistics(NonPagedPoolNx, &Nx);
    ExQueryPoolStatistics(PagedPool, &Paged);
    KdPrintf(" Memory:%10lluK Avail:%10lluK  Pool N:%8lluK P:%8lluK\x1B[K\n", Total << 2,
             Available << 2, (Execute.Pages + Nx.Pages) << 2, Paged.Pages << 2);
    KdPrintf(" Tag  Type     Allocs             Frees           Diff     Bytes       PerAlloc\x1B[K"
             "\n");
}

static VOID ExpPrintRow(const MON *Mon, const MON_ROW *Row)
{
    BOOLEAN Mark = Mon->Changed && (Row->AllocsDelta | Row->FreesDelta | Row->BytesDelta) != 0;
    KdPrintf("%s %s %s %9llu(%6lld) %9llu(%6lld) %6llu %9llu(%7lld) %5llu%s\x1B[K\n",
             Mark ? "\x1B[7m" : "", ExpTagText(Row->Tag).Text, Row->Paged ? "Paged" : "Nonp ",
             Row->Allocs, Row->AllocsDelta, Row->Frees, Row->FreesDelta, ExpInUse(Row), Row->Bytes,
             Row->BytesDelta, ExpPerAlloc(Row), Mark ? "\x1B[0m" : "");
}

static VOID ExpAddRow(MON_ROW *Total, const MON_ROW *Row)
{
    Total->Allocs += Row->Allocs;
    Total->Frees += Row->Frees;
    Total->Bytes += Row->Bytes;
    Total->AllocsDelta += Row->AllocsDelta;
    Total->FreesDelta += Row->FreesDelta;
    Total->BytesDelta += Row->BytesDelta;
}

static VOID ExpPrintTotals(const MON *Mon)
{
    MON_ROW Total[2] = {{.Tag = 0x6C746F54}, {.Tag = 0x6C746F54, .Paged = TRUE}}, Row;
    for (ULONG Index = 0; ExpReadRow(Index, &Row); Index++)
        ExpAddRow(&Total[Row.Paged], &Row);
    for (ULONG Pool = 0; Pool < 2; Pool++)
        if (ExpIsChosen(Mon, &Total[Pool]))
            ExpPrintRow(Mon, &Total[Pool]);
}

static VOID ExpPaint(MON *Mon)
{
    MON_ROW Row;
    KdPrintf("\x1B[H");
    ExpPrintHeader();
    Mon->ShownCount = 0;
    for (ULONG Line = (Mon->Totals ? 2 : 0) + Mon->Session; Line < ROWS; Line++)
        if (ExpNextRow(Mon, &Row))
            ExpPrintRow(Mon, &Row);
    if (Mon->Totals)
        ExpPrintTotals(Mon);
    if (Mon->Session)
        KdPrintf(" There are no sessions, and so no session pool.\x1B[K\n");
    KdPrintf("\x1B[J");
}

static VOID ExpPrintMonHelp(VOID)
{
    KdPrintf("\x1B[H\x1B[J"
             "poolmon: pool by tag, renewed every five seconds\n\n"
             "  p      nonpaged, paged, both pools in turn\n"
             "  t a f  sort by tag, allocations, frees\n"
             "  d b m  sort by blocks in use, bytes, bytes a block\n"
             "  ( )    sort by the column's value or by its change\n"
             "  e      totals at the end\n"
             "  l      mark rows that changed\n"
             "  s i 0-9  session pool, of which there is none\n"
             "  h ?    this help\n"
             "  q ESC  end\n\nAny key goes on.\n");
}

// ---- keys --------------------------------------------------------------------------------------
// A key, or -1 after Ticks.
static int ExpWaitKey(ULONG Ticks)
{
    LARGE_INTEGER Tick = {.QuadPart = TICK};
    int Key = HalPollInput();
    for (; Key < 0 && Ticks != 0; Ticks--) {
        KeDelayExecutionThread(KernelMode, FALSE, &Tick);
        Key = HalPollInput();
    }
    return Key;
}

// FALSE: the screen is to end.
static BOOLEAN ExpTakeKey(MON *Mon, int Key)
{
    Mon->Session = FALSE;
    switch (Key | (Key >= 'A' && Key <= 'Z' ? 0x20 : 0)) {
    case 'q': case 0x1B: return FALSE;
    case 'p': Mon->Pools = (Mon->Pools + 1) % 3; break;
    case '(': case ')': Mon->ByDelta = !Mon->ByDelta; break;
    case 'e': Mon->Totals = !Mon->Totals; break;
    case 'l': Mon->Changed = !Mon->Changed; break;
    case 't': case 'a': case 'f': case 'd': case 'b': case 'm':
        Mon->Sort = (char)(Key | 0x20);
        break;
    case 's': case 'i': case '0' ... '9': Mon->Session = TRUE; break;
    case 'h': case '?':
        ExpPrintMonHelp();
        ExpWaitKey(MAXULONG);
        break;
    }
    return TRUE;
}

static BOOLEAN ExpPoolMonCommand(const char *Arguments)
{
    MON Mon = {.Sort = 't'};
    if (*Arguments != '\0')
        return FALSE;
    KdPrintf("\x1B[H\x1B[J");
    ExpRemember();  // changes are since now
    for (;;) {
        ExpPaint(&Mon);
        ExpRemember();
        int Key = ExpWaitKey(REFRESH_TICKS);
        if (Key >= 0 && !ExpTakeKey(&Mon, Key))
            return TRUE;
    }
}
KD_COMMAND(poolmon, "poolmon", "poolmon: pool by tag, live; h explains the keys, q ends it",
           ExpPoolMonCommand, 0);
