// SPDX-License-Identifier: MIT
// The screen of a bugcheck: what a person in front of the machine has to know, or photographs.
//
// The whole report goes to the serial port and the log; on 25 or 30 rows its beginning would be
// gone before anybody looked. So the screen is composed by itself, for its own size: code and name
// on a band of another colour, the rule in words, the driver and where in it, the parameters, and
// as much of the backtrace as leaves room for the prompt. Words wrap at 80 columns, or at 100 where
// there are more: longer lines are hard to read.
//
// Test: the rows "stop-..." of tests/hardware/machines.py read it off screens of both kinds.
#include "kdp.h"

#define WIDEST       100u
#define INDENT       2u
#define LABEL        13u  // INDENT and the longest label
#define PROMPT_ROWS  4u
#define BAND         "\033[97;41m\033[K"
#define STRONG       "\033[93m"
#define FAINT        "\033[96m"
#define PLAIN        "\033[m"

static struct {
    ULONG Rows, Columns;  // of the screen; Columns no more than WIDEST
    ULONG Row;            // rows used
} KdpScreen;

static VOID KdpShow(const char *Format, ...)
{
    char Text[256];
    va_list Arguments;
    va_start(Arguments, Format);
    RtlFormatV(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    HalDisplayOnScreen(Text, strlen(Text));
    for (const char *p = Text; *p != 0; p++)
        KdpScreen.Row += *p == '\n';
}

// How much of Text fits into Width columns, without a broken word if that can be.
static ULONG KdpFit(const char *Text, ULONG Width)
{
    ULONG Length = (ULONG)strlen(Text), Fit = Width;
    if (Length <= Width)
        return Length;
    while (Fit > 0 && Text[Fit] != ' ')
        Fit--;
    return Fit > 0 ? Fit : Width;
}

// Text in rows between Indent and the right edge. The first row's indentation is there already.
static VOID KdpShowWrapped(const char *Text, ULONG Indent)
{
    for (;;) {
        ULONG Fit = KdpFit(Text, KdpScreen.Columns - Indent - 1);
        KdpShow("%.*s\n", (int)Fit, Text);
        Text += Fit;
        while (*Text == ' ')
            Text++;
        if (*Text == 0)
            return;
        KdpShow("%*s", (int)Indent, "");
    }
}

static VOID KdpShowLabel(const char *Label)
{
    KdpShow(FAINT "%*s%-*s" PLAIN, (int)INDENT, "", (int)(LABEL - INDENT), Label);
}

static VOID KdpShowBand(const KE_BUGCHECK *BugCheck)
{
    KdpShow(BAND "\n");
    KdpShow(BAND "  STOP 0x%08X  %s\n", BugCheck->Code, KeBugCheckName(BugCheck->Code));
    KdpShow(BAND "\n" PLAIN "\n");
}

static VOID KdpShowMeaning(const KE_BUGCHECK *BugCheck)
{
    KdpShow(STRONG "%*s", (int)INDENT, "");
    KdpShowWrapped(KdpMeaning(BugCheck), INDENT);
    KdpShow(PLAIN "\n");
}

static VOID KdpShowWho(const KE_BUGCHECK *BugCheck)
{
    char Text[160];
    if (KdpNameCulprit(BugCheck, Text, sizeof(Text))) {
        KdpShowLabel("driver");
        KdpShowWrapped(Text, LABEL);
    }
    KdpShowLabel("processor");
    KdpShow("%u, IRQL %u (%s)\n", KeGetCurrentPrcb()->ProcessorNumber, BugCheck->Irql,
            KeIrqlName(BugCheck->Irql));
    const ULONG_PTR *P = BugCheck->Parameter;
    KdpShowLabel("parameters");
    RtlFormat(Text, sizeof(Text), "0x%p, 0x%p, 0x%p, 0x%p", (PVOID)P[0], (PVOID)P[1], (PVOID)P[2],
              (PVOID)P[3]);
    KdpShowWrapped(Text, LABEL);
}

// A frame takes one row; a name that is too long loses its end.
static VOID KdpShowFrame(ULONG Number, ULONG_PTR Address, BOOLEAN Exact)
{
    char Name[160], Row[192];
    if (!KdSymbolize(Exact ? Address : Address - 1, Name, sizeof(Name)))
        RtlFormat(Name, sizeof(Name), "0x%p", (PVOID)Address);
    RtlFormat(Row, sizeof(Row), "#%-2u %s", Number, Name);
    KdpShow("%.*s\n", (int)(KdpScreen.Columns - LABEL - 1), Row);
}

static VOID KdpShowBacktrace(const KE_BUGCHECK *BugCheck)
{
    ULONG_PTR Frames[24];
    ULONG Count = KdCaptureBacktrace(BugCheck->Frame, BugCheck->Frame == NULL ? 2 : 0, Frames,
                                     RTL_NUMBER_OF(Frames));
    for (ULONG i = 0; i < Count && KdpScreen.Row + PROMPT_ROWS < KdpScreen.Rows; i++) {
        if (i == 0)
            KdpShowLabel("backtrace");
        else
            KdpShow("%*s", (int)LABEL, "");
        KdpShowFrame(i, Frames[i], i == 0 && BugCheck->Frame != NULL);
    }
}

VOID KdpShowStop(const KE_BUGCHECK *BugCheck)
{
    if (!HalQueryScreen(&KdpScreen.Rows, &KdpScreen.Columns))
        return;
    if (KdpScreen.Columns > WIDEST)
        KdpScreen.Columns = WIDEST;
    KdpScreen.Row = 0;
    KdpShowBand(BugCheck);
    KdpShowMeaning(BugCheck);
    KdpShowWho(BugCheck);
    KdpShowBacktrace(BugCheck);
    KdpShow("\n");
}
