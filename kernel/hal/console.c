// SPDX-License-Identifier: MIT
// console.c: all consoles as one.
//
// Text goes to the serial port and to the screen, whichever exist; characters come from the serial
// port or the keyboard. None of them is required.
//
// One lock guards output. It is taken with interrupts off, so that any IRQL may print. Whoever
// holds it may stop half way (a fault while it drew, a bugcheck on another processor): the bugcheck
// screen breaks it open once for all, and everyone else waits for a bounded time only. Garbled text
// beats none.
#include "halp.h"

#define WAIT_LIMIT 10000000u  // pauses: far longer than any write takes

static HALP_LOCK HalpConsoleLock;
static HALP_LOCK HalpInputLock;
static BOOLEAN HalpScreenHeld;
BOOLEAN HalpLocksBroken;

static BOOLEAN HalpConsoleEnter(VOID)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    for (ULONG i = 0; i < WAIT_LIMIT && !HalpLocksBroken; i++) {
        if (__sync_lock_test_and_set(&HalpConsoleLock, 1) == 0)
            break;
        KiPause();
    }
    return Enabled;
}

static VOID HalpConsoleLeave(BOOLEAN Enabled)
{
    HalpReleaseLock(&HalpConsoleLock, Enabled);
}

// A framebuffer machine has no VGA text; a loader that says nothing found the machine in its BIOS's
// text mode.
VOID INIT_CODE HalInitializeConsole(PLOADER_BLOCK Block)
{
    HalpEarlyCounter();
    HalpDebugPortInitialize(Block);
    HalpSerialInitialize(Block);
    if (Block->Display.Type != LoaderDisplayFramebuffer)
        HalpVgaTextInitialize();
    HalpKeyboardInitialize();
}

VOID INIT_CODE HalAttachFramebuffer(const LOADER_DISPLAY *Display, PVOID Mapping, PVOID Shadow)
{
    BOOLEAN Enabled = HalpConsoleEnter();
    HalpFramebufferInitialize(Display, Mapping, Shadow);
    HalpConsoleLeave(Enabled);
}

VOID HalDisplayString(const char *Text, SIZE_T Length)
{
    BOOLEAN Enabled = HalpConsoleEnter();
    HalpSerialWrite(Text, Length);
    if (!HalpScreenHeld)
        HalpScreenWrite(Text, Length);
    HalpConsoleLeave(Enabled);
}

VOID HalDisplayOnScreen(const char *Text, SIZE_T Length)
{
    BOOLEAN Enabled = HalpConsoleEnter();
    HalpScreenWrite(Text, Length);
    HalpConsoleLeave(Enabled);
}

VOID HalHoldScreen(BOOLEAN Hold)
{
    HalpScreenHeld = Hold;
}

BOOLEAN HalQueryScreen(PULONG Rows, PULONG Columns)
{
    return HalpScreenName(Rows, Columns) != NULL;
}

int HalPollInput(VOID)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpInputLock);
    int Character = HalpSerialRead();
    if (Character < 0)
        Character = HalpKeyboardRead();
    HalpReleaseLock(&HalpInputLock, Enabled);
    return Character;
}

BOOLEAN HalHasConsole(VOID)
{
    ULONG Rows, Columns;
    return HalpSerialName() != NULL || HalpScreenName(&Rows, &Columns) != NULL;
}

VOID HalBreakLocks(VOID)
{
    HalpLocksBroken = TRUE;
}

VOID HalBeginBugCheckScreen(VOID)
{
    HalBreakLocks();
    HalpScreenClear(HALP_ATTRIBUTE_BUGCHECK);
}

// ---- monitor ------------------------------------------------------------------------------------
#define SCROLL_LINES 1000u

// Lines of different lengths and letters, as a log has them.
static VOID HalpWriteScrollLine(ULONG Number)
{
    char Line[128];
    ULONG Length = (ULONG)RtlFormat(Line, sizeof(Line), "[%5u.%06u] mm: ", Number / 60,
                                    Number * 17 % 1000000);
    ULONG End = Length + 20 + Number * 7 % 60;
    for (; Length < End; Length++)
        Line[Length] = (char)('a' + (Number + Length * 3) % 26);
    Line[Length++] = '\n';
    HalDisplayOnScreen(Line, Length);
}

static BOOLEAN HalpScrollCommand(const char *Arguments)
{
    ULONG Rows, Columns;
    if (*Arguments != '\0' || !HalQueryScreen(&Rows, &Columns))
        return FALSE;
    ULONG64 Start = HalQueryCounter();
    for (ULONG i = 0; i < SCROLL_LINES; i++)
        HalpWriteScrollLine(i);
    ULONG64 Ticks = HalQueryCounter() - Start;
    KdPrintf("scroll: %u lines on %ux%u in %llu us: %llu lines a second\n", SCROLL_LINES, Columns,
             Rows, Ticks * 1000 / (HalCounterFrequency / 1000),
             SCROLL_LINES * HalCounterFrequency / (Ticks + 1));
    return TRUE;
}

KD_COMMAND(scroll, "!scroll", "!scroll: how many lines a second the screen scrolls",
           HalpScrollCommand, 0);
