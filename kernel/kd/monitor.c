// SPDX-License-Identifier: MIT
// The monitor: the kernel's prompt on serial line, screen and keyboard, also during a bugcheck.
//
// Commands register themselves with KD_COMMAND beside the data they print; this file finds and runs
// them, and holds those that belong to no component. Numbers are hexadecimal as in WinDbg, 0n marks
// decimal, and a function's name stands for its address.
#include "ex.h"
#include "kdp.h"

static const char *KdpSkipBlanks(const char *Text)
{
    while (*Text == ' ' || *Text == '\t')
        Text++;
    return Text;
}

static LONG KdpDigit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static BOOLEAN KdpIsWordEnd(char c)
{
    return c == 0 || c == ' ' || c == '\t' || c == '+' || c == '-';
}

static BOOLEAN KdpParseTerm(const char **Text, ULONG64 *Value)
{
    const char *p = *Text;
    LONG Base = 16;
    char Name[64];
    SIZE_T Length = 0;
    ULONG64 Result = 0;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'n')) {
        Base = p[1] == 'x' ? 16 : 10;
        p += 2;
    }
    const char *Start = p;
    for (; KdpDigit(*p) >= 0 && KdpDigit(*p) < Base; p++)
        Result = Result * (ULONG)Base + (ULONG)KdpDigit(*p);
    if (*p == '`') // WinDbg's separator of the halves of an address
        for (p++; KdpDigit(*p) >= 0; p++)
            Result = Result * 16 + (ULONG)KdpDigit(*p);
    if (p != Start && KdpIsWordEnd(*p)) {
        *Text = p;
        *Value = Result;
        return TRUE;
    }
    for (p = *Text; !KdpIsWordEnd(*p) && Length < sizeof(Name) - 1; p++)
        Name[Length++] = *p;
    Name[Length] = 0;
    *Text = p;
    *Value = Length != 0 ? KdFindSymbol(Name) : 0;
    return *Value != 0;
}

// Whether the machine has such a number: cut to 32 bits it would be another address.
static BOOLEAN KdpFitsPointer(ULONG64 Value)
{
    return Value == (ULONG_PTR)Value || Value == (ULONG64)(LONG64)(LONG_PTR)Value;
}

BOOLEAN KdParseNumber(const char **Text, ULONG64 *Value)
{
    ULONG64 Term;

    if (!KdpParseTerm(Text, Value))
        return FALSE;
    while (**Text == '+' || **Text == '-') {
        char Sign = *(*Text)++;
        if (!KdpParseTerm(Text, &Term))
            return FALSE;
        *Value = Sign == '+' ? *Value + Term : *Value - Term;
    }
    *Text = KdpSkipBlanks(*Text);
    return KdpFitsPointer(*Value);
}

// ---- finding and running ------------------------------------------------------------------------

static const KD_COMMAND_ENTRY *KdpFindCommand(const char *Name, SIZE_T Length)
{
    for (const KD_COMMAND_ENTRY *Entry = KdCommandTableStart; Entry < KdCommandTableEnd; Entry++)
        if (strlen(Entry->Name) == Length && _strnicmp(Entry->Name, Name, Length) == 0)
            return Entry;
    return NULL;
}

VOID KdRunCommandLine(const char *Line, BOOLEAN InBugCheck)
{
    const char *Name = KdpSkipBlanks(Line), *End = Name;

    while (*End != 0 && *End != ' ' && *End != '\t')
        End++;
    if (End == Name)
        return;
    const KD_COMMAND_ENTRY *Entry = KdpFindCommand(Name, (SIZE_T)(End - Name));
    if (Entry == NULL)
        KdPrintf("There is no command '%.*s'; try help.\n", (int)(End - Name), Name);
    else if (InBugCheck && !(Entry->Flags & KD_SAFE_IN_BUGCHECK))
        KdPrintf("%s needs a running system.\n", Entry->Name);
    else if (!Entry->Routine(KdpSkipBlanks(End)))
        KdPrintf("usage: %s\n", Entry->Usage);
}

// ---- commands from gdb --------------------------------------------------------------------------

static char KdDeferredLine[256];

// What may run in a bugcheck may run in a stopped system too. The rest waits until it goes on.
VOID KdpRunDebuggerCommand(const char *Line)
{
    const char *Name = KdpSkipBlanks(Line), *End = Name;

    while (*End != 0 && *End != ' ' && *End != '\t')
        End++;
    const KD_COMMAND_ENTRY *Entry = KdpFindCommand(Name, (SIZE_T)(End - Name));
    if (Entry == NULL || (Entry->Flags & KD_SAFE_IN_BUGCHECK)) {
        KdRunCommandLine(Line, TRUE);
        return;
    }
    RtlFormat(KdDeferredLine, sizeof(KdDeferredLine), "%s", Name);
    KdPrintf("%s needs a running system: it runs when you continue.\n", Entry->Name);
}

VOID KdRunDeferred(VOID)
{
    char Line[sizeof(KdDeferredLine)];

    if (KdDeferredLine[0] == 0)
        return;
    memcpy(Line, KdDeferredLine, sizeof(Line));
    KdDeferredLine[0] = 0;
    KdPrintf("\n> %s\n", Line);
    KdRunCommandLine(Line, FALSE);
}

VOID KdRunOptionCommands(VOID)
{
    char Line[512];
    char *Command = Line;

    if (!KdQueryOption("MONITOR", Line, sizeof(Line)))
        return;
    while (Command != NULL) {
        char *Next = strchr(Command, ';');
        if (Next != NULL)
            *Next++ = 0;
        KdPrintf("> %s\n", KdpSkipBlanks(Command));
        KdRunCommandLine(Command, FALSE);
        Command = Next;
    }
}

// ---- line editor --------------------------------------------------------------------------------

#define LINE_SIZE    256u
#define HISTORY_SIZE 16u

// Keys beyond ASCII, as the decoder below returns them.
enum { KeyUp = 0x100, KeyDown, KeyRight, KeyLeft, KeyHome, KeyEnd, KeyDelete };

static char KdHistory[HISTORY_SIZE][LINE_SIZE];
static ULONG KdHistoryCount;

typedef struct _KD_LINE {
    char Text[LINE_SIZE];
    ULONG Length, Cursor;
    ULONG Recall; // how many lines back in the history; 0: the new line
    BOOLEAN InBugCheck;
} KD_LINE;

static int KdpWaitCharacter(BOOLEAN InBugCheck)
{
    LARGE_INTEGER Tick = {.QuadPart = -(LONGLONG)HAL_CLOCK_INCREMENT};

    for (;;) {
        int Character = HalPollInput();
        if (Character >= 0)
            return Character;
        if (InBugCheck) {
            KiPause();
        } else {
            KeDelayExecutionThread(KernelMode, FALSE, &Tick);
            KdRunDeferred();
        }
    }
}

// Reads one key: ASCII, or a cursor key from its escape sequence (ESC [ A ...).
static int KdpReadKey(BOOLEAN InBugCheck)
{
    static const struct {
        char Final;
        int Key;
    } Keys[] = {
        {'A', KeyUp},   {'B', KeyDown}, {'C', KeyRight},
        {'D', KeyLeft}, {'H', KeyHome}, {'F', KeyEnd},
    };
    int Character = KdpWaitCharacter(InBugCheck);
    if (Character != 0x1B)
        return Character;
    Character = KdpWaitCharacter(InBugCheck);
    if (Character != '[' && Character != 'O')
        return 0;
    Character = KdpWaitCharacter(InBugCheck);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Keys); i++)
        if (Keys[i].Final == Character)
            return Keys[i].Key;
    if (Character >= '0' && Character <= '9') {
        int Digit = Character;
        while (Character >= '0' && Character <= '9')
            Character = KdpWaitCharacter(InBugCheck);
        return Digit == '3' ? KeyDelete : Digit == '1' ? KeyHome : Digit == '4' ? KeyEnd : 0;
    }
    return 0;
}

// Writes the line anew: back to the prompt, the text, blanks over what it was, cursor to its place.
static VOID KdpRedraw(const KD_LINE *Line)
{
    KdPrintf("\r> %.*s\x1B[K\r\x1B[%uC", (int)Line->Length, Line->Text, Line->Cursor + 2);
}

static VOID KdpInsert(KD_LINE *Line, char Character)
{
    if (Line->Length >= LINE_SIZE - 1)
        return;
    memmove(Line->Text + Line->Cursor + 1, Line->Text + Line->Cursor, Line->Length - Line->Cursor);
    Line->Text[Line->Cursor++] = Character;
    Line->Length++;
    if (Line->Cursor == Line->Length)
        KdPutString(&Character, 1);
    else
        KdpRedraw(Line);
}

static VOID KdpRemove(KD_LINE *Line, ULONG Position, ULONG Count)
{
    memmove(Line->Text + Position, Line->Text + Position + Count, Line->Length - Position - Count);
    Line->Length -= Count;
    Line->Cursor = Position;
    KdpRedraw(Line);
}

static VOID KdpRecall(KD_LINE *Line, LONG Direction)
{
    ULONG Back = Line->Recall + (ULONG)Direction;
    ULONG Limit = KdHistoryCount < HISTORY_SIZE ? KdHistoryCount : HISTORY_SIZE;

    if (Back > Limit)
        return;
    Line->Recall = Back;
    const char *Text = Back == 0 ? "" : KdHistory[(KdHistoryCount - Back) % HISTORY_SIZE];
    Line->Length = Line->Cursor = (ULONG)strlen(Text);
    memcpy(Line->Text, Text, Line->Length);
    KdpRedraw(Line);
}

// TAB: completes the command's name as far as it is unique, or lists the candidates.
static VOID KdpComplete(KD_LINE *Line)
{
    const char *Common = NULL;
    SIZE_T CommonLength = 0;
    ULONG Matches = 0;

    for (const KD_COMMAND_ENTRY *Entry = KdCommandTableStart; Entry < KdCommandTableEnd; Entry++) {
        if (_strnicmp(Entry->Name, Line->Text, Line->Length) != 0)
            continue;
        if (Matches++ == 0) {
            Common = Entry->Name;
            CommonLength = strlen(Common);
        }
        for (SIZE_T i = 0; i < CommonLength; i++)
            if (Entry->Name[i] != Common[i])
                CommonLength = i;
    }
    if (Matches == 0)
        return;
    if (Matches > 1 && CommonLength == Line->Length) {
        KdPrintf("\n");
        for (const KD_COMMAND_ENTRY *Entry = KdCommandTableStart; Entry < KdCommandTableEnd;
             Entry++)
            if (_strnicmp(Entry->Name, Line->Text, Line->Length) == 0)
                KdPrintf("%s  ", Entry->Name);
        KdPrintf("\n");
        KdpRedraw(Line);
        return;
    }
    for (SIZE_T i = Line->Length; i < CommonLength; i++)
        KdpInsert(Line, Common[i]);
    if (Matches == 1)
        KdpInsert(Line, ' ');
}

// One key. Returns TRUE when the line is complete.
static BOOLEAN KdpEdit(KD_LINE *Line, int Key)
{
    switch (Key) {
    case '\r':
    case '\n':
        return TRUE;
    case KeyUp:
    case 'P' - 64:
        KdpRecall(Line, 1);
        break;
    case KeyDown:
    case 'N' - 64:
        KdpRecall(Line, -1);
        break;
    case KeyHome:
    case 'A' - 64:
        Line->Cursor = 0;
        KdpRedraw(Line);
        break;
    case KeyEnd:
    case 'E' - 64:
        Line->Cursor = Line->Length;
        KdpRedraw(Line);
        break;
    case KeyLeft:
    case 'B' - 64:
        Line->Cursor -= Line->Cursor > 0;
        KdpRedraw(Line);
        break;
    case KeyRight:
    case 'F' - 64:
        Line->Cursor += Line->Cursor < Line->Length;
        KdpRedraw(Line);
        break;
    case KeyDelete:
    case 'D' - 64:
        if (Line->Cursor < Line->Length)
            KdpRemove(Line, Line->Cursor, 1);
        break;
    case 0x7F:
    case '\b':
        if (Line->Cursor > 0)
            KdpRemove(Line, Line->Cursor - 1, 1);
        break;
    case 'K' - 64:
        Line->Length = Line->Cursor;
        KdpRedraw(Line);
        break;
    case 'U' - 64:
        KdpRemove(Line, 0, Line->Cursor);
        break;
    case 'C' - 64:
        Line->Length = Line->Cursor = 0;
        KdPrintf("^C\n> ");
        break;
    case '\t':
        if (memchr(Line->Text, ' ', Line->Length) == NULL && Line->Cursor == Line->Length)
            KdpComplete(Line);
        break;
    default:
        if (Key >= 0x20 && Key < 0x7F)
            KdpInsert(Line, (char)Key);
    }
    return FALSE;
}

static VOID KdpReadLine(KD_LINE *Line)
{
    BOOLEAN InBugCheck = Line->InBugCheck;

    *Line = (KD_LINE){.InBugCheck = InBugCheck};
    KdPrintf("> ");
    while (!KdpEdit(Line, KdpReadKey(InBugCheck)))
        ;
    Line->Text[Line->Length] = 0;
    KdPrintf("\n");
    if (Line->Length != 0 &&
        (KdHistoryCount == 0 ||
         strcmp(KdHistory[(KdHistoryCount - 1) % HISTORY_SIZE], Line->Text) != 0))
        memcpy(KdHistory[KdHistoryCount++ % HISTORY_SIZE], Line->Text, Line->Length + 1);
}

DECLSPEC_NORETURN static VOID KdpPrompt(BOOLEAN InBugCheck)
{
    static KD_LINE Line;

    Line.InBugCheck = InBugCheck;
    for (;;) {
        KdpReadLine(&Line);
        KdRunCommandLine(Line.Text, InBugCheck);
    }
}

DECLSPEC_NORETURN VOID KdMonitor(VOID)
{
    KdRunOptionCommands();
    KdPrintf("Type help for the commands.\n");
    KdpPrompt(FALSE);
}

DECLSPEC_NORETURN VOID KdpBugCheckMonitor(VOID)
{
    KdPrintf("The system has stopped. Type help for what can still be looked at, or reboot.\n");
    KdpPrompt(TRUE);
}

// ---- commands that belong to no component -------------------------------------------------------

static BOOLEAN KdHelpCommand(const char *Arguments)
{
    if (strcmp(Arguments, "boot") == 0) {
        KdpPrintOptions();
        return TRUE;
    }
    if (*Arguments != 0) {
        const KD_COMMAND_ENTRY *Entry = KdpFindCommand(Arguments, strlen(Arguments));
        if (Entry != NULL)
            KdPrintf("%s\n", Entry->Usage);
        return Entry != NULL;
    }
    for (const KD_COMMAND_ENTRY *Entry = KdCommandTableStart; Entry < KdCommandTableEnd; Entry++)
        KdPrintf("  %s\n", Entry->Usage);
    return TRUE;
}
KD_COMMAND(help, "help", "help [COMMAND | boot]: the commands, one command, or the boot options",
           KdHelpCommand, KD_SAFE_IN_BUGCHECK);

static BOOLEAN KdCrashCommand(const char *Arguments)
{
    ULONG64 Code = MANUALLY_INITIATED_CRASH, P[4] = {0};

    if (*Arguments != 0 && !KdParseNumber(&Arguments, &Code))
        return FALSE;
    for (ULONG i = 0; i < 4 && *Arguments != 0; i++)
        if (!KdParseNumber(&Arguments, &P[i]))
            return FALSE;
    if (*Arguments != 0)
        return FALSE;
    KeBugCheckEx((ULONG)Code, (ULONG_PTR)P[0], (ULONG_PTR)P[1], (ULONG_PTR)P[2], (ULONG_PTR)P[3]);
}
KD_COMMAND(crash, "crash", "crash [CODE [P1 P2 P3 P4]]: bugcheck, 0xE2 when no code is given",
           KdCrashCommand, 0);

static BOOLEAN KdRebootCommand(const char *Arguments)
{
    if (*Arguments == 0)
        HalReboot();
    return FALSE;
}
KD_COMMAND(reboot, "reboot", "reboot: start the machine anew", KdRebootCommand,
           KD_SAFE_IN_BUGCHECK);

static BOOLEAN KdPowerOffCommand(const char *Arguments)
{
    if (*Arguments != 0)
        return FALSE;
    if (!KdInBugCheck && KdQueryOption("EXITPORT", NULL, 0))
        KdEndRun(0, "powered off at the prompt");
    HalPowerOff();
    KdPrintf("This machine has no way to be switched off that the kernel knows.\n");
    return TRUE;
}
KD_COMMAND(poweroff, "poweroff", "poweroff: switch the machine off", KdPowerOffCommand,
           KD_SAFE_IN_BUGCHECK);

static BOOLEAN KdBacktraceCommand(const char *Arguments)
{
    if (*Arguments != 0)
        return FALSE;
    KdBacktrace(NULL);
    return TRUE;
}
KD_COMMAND(k, "k", "k: the backtrace of the monitor itself", KdBacktraceCommand,
           KD_SAFE_IN_BUGCHECK);

static VOID KdpDescribePool(const VOID *Address)
{
    EX_POOL_BLOCK Block;
    char Caller[160];

    if (!ExQueryPoolBlock(Address, &Block))
        return;
    KdPrintf("pool    %s block 0x%p, %llu bytes, tag '%.4s'%s\n",
             Block.Allocated ? "allocated" : "free", (PVOID)Block.Address, (ULONG64)Block.Size,
             (const char *)&Block.Tag, (Block.PoolType & 1) != 0 ? ", paged" : ", nonpaged");
    if (Block.Caller != 0 && KdSymbolize(Block.Caller, Caller, sizeof(Caller)))
        KdPrintf("        %s by %s\n", Block.Allocated ? "allocated" : "freed", Caller);
}

static BOOLEAN KdWhatIsCommand(const char *Arguments)
{
    ULONG64 Value;
    char Name[160];

    if (!KdParseNumber(&Arguments, &Value) || *Arguments != 0)
        return FALSE;
    const VOID *Address = (const VOID *)(ULONG_PTR)Value;
    MmDescribeAddress(Address);
    if (KdSymbolize((ULONG_PTR)Value, Name, sizeof(Name)))
        KdPrintf("code    %s\n", Name);
    KdpDescribePool(Address);
    return TRUE;
}
KD_COMMAND(whatis, "whatis",
           "whatis ADDRESS: region, page tables, frame, pool block, driver and symbol",
           KdWhatIsCommand, KD_SAFE_IN_BUGCHECK);

static BOOLEAN KdDumpBytesCommand(const char *Arguments)
{
    ULONG64 Address, Length = 0x80;
    UCHAR Bytes[16];

    if (!KdParseNumber(&Arguments, &Address) ||
        (*Arguments != 0 && !KdParseNumber(&Arguments, &Length)) || *Arguments != 0)
        return FALSE;
    for (ULONG64 i = 0; i < Length && i < 0x1000; i += sizeof(Bytes)) {
        KdPrintf("%p ", (PVOID)(ULONG_PTR)(Address + i));
        if (!KeSafeCopy(Bytes, (const VOID *)(ULONG_PTR)(Address + i), sizeof(Bytes))) {
            KdPrintf(" not accessible\n");
            break;
        }
        for (ULONG j = 0; j < sizeof(Bytes); j++)
            KdPrintf(" %02x", Bytes[j]);
        KdPrintf("  ");
        for (ULONG j = 0; j < sizeof(Bytes); j++)
            KdPrintf("%c", Bytes[j] >= 0x20 && Bytes[j] < 0x7F ? Bytes[j] : '.');
        KdPrintf("\n");
    }
    return TRUE;
}
KD_COMMAND(db, "db", "db ADDRESS [LENGTH]: bytes in memory", KdDumpBytesCommand,
           KD_SAFE_IN_BUGCHECK);
