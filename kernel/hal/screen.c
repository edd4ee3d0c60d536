// SPDX-License-Identifier: MIT
// screen.c: a grid of character cells, whatever displays them.
//
// Problem. Reading video memory is slow beyond belief on real machines (it is uncached, and each
// access crosses the bus), and drawing a glyph costs a hundred times what storing a character does.
// So nothing here ever looks at the display. Two grids live in RAM: what the text says now (Wanted)
// and what the display shows (Shown). Writing text changes Wanted only; at the end of each write
// the two are compared and the cells that differ are drawn. Scrolling is a memmove of Wanted.
//
// A scroll redraws most cells of a text screen, so a tall screen scrolls by several rows at once.
//
// The grid exists before any display: text that comes early is kept and appears when the display is
// attached. The cursor is a cell with foreground and background exchanged.
//
// Escape sequences: the subset the monitor's line editor and a log use. CSI A B C D (move), G
// (column), H (position), J and K (erase), m (colours 30-37, 40-47, 90-97, bold, reverse, reset).
// Others are read and ignored.
//
// Everything is called with the console lock held.
#include "halp.h"

#define SCROLL_FRACTION 16u  // a screen scrolls by a sixteenth of its rows
#define TAB_STOP        8u
#define ESCAPE          '\033'
#define MAX_PARAMETERS  4u

typedef enum _HALP_ESCAPE_STATE { EscapeNone, EscapeSeen, EscapeParameters } HALP_ESCAPE_STATE;

static HALP_CELL HalpEarlyCells[2 * HALP_TEXT_ROWS * HALP_TEXT_COLUMNS];

static struct {
    const char *Name;  // of the display; NULL: none attached
    ULONG Rows, Columns;
    HALP_CELL *Wanted, *Shown;  // NULL before the first use
    HALP_DRAW_ROUTINE *Draw;
    ULONG Row, Column;            // where the next character goes; Column == Columns: wraps first
    UCHAR Attribute, Base;        // the current one, and the one that "reset" means
    ULONG DirtyFirst, DirtyLast;  // rows of Wanted that changed
    BOOLEAN CursorShown;
    ULONG CursorRow;  // the row it is shown in
    HALP_ESCAPE_STATE Escape;
    ULONG Parameter[MAX_PARAMETERS];
    ULONG ParameterCount;
} HalpScreen;

static VOID HalpFillCells(HALP_CELL *Cells, SIZE_T Count, UCHAR Attribute)
{
    for (SIZE_T i = 0; i < Count; i++)
        Cells[i] = HALP_CELL_OF(' ', Attribute);
}

static VOID HalpTouchRows(ULONG First, ULONG Last)
{
    if (First < HalpScreen.DirtyFirst)
        HalpScreen.DirtyFirst = First;
    if (Last > HalpScreen.DirtyLast)
        HalpScreen.DirtyLast = Last;
}

static VOID HalpUseGrid(ULONG Rows, ULONG Columns, HALP_CELL *Cells)
{
    SIZE_T Count = (SIZE_T)Rows * Columns;
    HalpScreen.Rows = Rows;
    HalpScreen.Columns = Columns;
    HalpScreen.Wanted = Cells;
    HalpScreen.Shown = Cells + Count;
    HalpFillCells(HalpScreen.Wanted, Count, HalpScreen.Base);
    HalpScreen.Row = HalpScreen.Column = 0;
    HalpScreen.DirtyFirst = 0;
    HalpScreen.DirtyLast = Rows - 1;
}

static VOID HalpScreenPrepare(VOID)
{
    if (HalpScreen.Wanted != NULL)
        return;
    HalpScreen.Base = HalpScreen.Attribute = HALP_ATTRIBUTE_NORMAL;
    HalpUseGrid(HALP_TEXT_ROWS, HALP_TEXT_COLUMNS, HalpEarlyCells);
}

// ---- to the display -----------------------------------------------------------------------------
static HALP_CELL HalpInverted(HALP_CELL Cell)
{
    UCHAR Attribute = (UCHAR)(Cell >> 8);
    return HALP_CELL_OF(Cell, (UCHAR)(Attribute << 4 | Attribute >> 4));
}

static VOID HalpDrawRun(ULONG Row, ULONG First, ULONG End)
{
    SIZE_T At = (SIZE_T)Row * HalpScreen.Columns + First;
    memcpy(&HalpScreen.Shown[At], &HalpScreen.Wanted[At], (End - First) * sizeof(HALP_CELL));
    HalpScreen.Draw(Row, First, &HalpScreen.Shown[At], End - First);
}

static VOID HalpDrawRow(ULONG Row)
{
    const HALP_CELL *Wanted = &HalpScreen.Wanted[(SIZE_T)Row * HalpScreen.Columns];
    const HALP_CELL *Shown = &HalpScreen.Shown[(SIZE_T)Row * HalpScreen.Columns];
    for (ULONG Column = 0; Column < HalpScreen.Columns;) {
        ULONG First = Column;
        while (Column < HalpScreen.Columns && Wanted[Column] != Shown[Column])
            Column++;
        if (Column > First)
            HalpDrawRun(Row, First, Column);
        else
            Column++;
    }
}

static VOID HalpDrawCursor(VOID)
{
    ULONG Column =
        HalpScreen.Column < HalpScreen.Columns ? HalpScreen.Column : HalpScreen.Columns - 1;
    HALP_CELL *Cell = &HalpScreen.Shown[(SIZE_T)HalpScreen.Row * HalpScreen.Columns + Column];
    *Cell = HalpInverted(*Cell);
    HalpScreen.Draw(HalpScreen.Row, Column, Cell, 1);
    HalpScreen.CursorRow = HalpScreen.Row;
    HalpScreen.CursorShown = TRUE;
}

// Brings the display up to date. The old cursor is a cell of Shown that differs from Wanted: it
// goes by itself.
static VOID HalpScreenFlush(VOID)
{
    if (HalpScreen.Draw == NULL)
        return;
    if (HalpScreen.CursorShown)
        HalpTouchRows(HalpScreen.CursorRow, HalpScreen.CursorRow);
    for (ULONG Row = HalpScreen.DirtyFirst; Row <= HalpScreen.DirtyLast && Row < HalpScreen.Rows;
         Row++)
        HalpDrawRow(Row);
    HalpScreen.DirtyFirst = HalpScreen.Rows;
    HalpScreen.DirtyLast = 0;
    HalpDrawCursor();
}

// ---- text ---------------------------------------------------------------------------------------
static VOID HalpScroll(VOID)
{
    ULONG Step = HalpScreen.Rows / SCROLL_FRACTION;
    if (Step == 0)
        Step = 1;
    ULONG Kept = (HalpScreen.Rows - Step) * HalpScreen.Columns;
    memmove(HalpScreen.Wanted, HalpScreen.Wanted + Step * HalpScreen.Columns,
            Kept * sizeof(HALP_CELL));
    HalpFillCells(HalpScreen.Wanted + Kept, Step * HalpScreen.Columns, HalpScreen.Base);
    HalpScreen.Row = HalpScreen.Rows - Step;
    HalpTouchRows(0, HalpScreen.Rows - 1);
}

static VOID HalpNewLine(VOID)
{
    HalpScreen.Column = 0;
    if (++HalpScreen.Row >= HalpScreen.Rows)
        HalpScroll();
}

static VOID HalpPutCell(char Character)
{
    if (HalpScreen.Column >= HalpScreen.Columns)
        HalpNewLine();
    SIZE_T At = (SIZE_T)HalpScreen.Row * HalpScreen.Columns + HalpScreen.Column++;
    HalpScreen.Wanted[At] = HALP_CELL_OF(Character, HalpScreen.Attribute);
    HalpTouchRows(HalpScreen.Row, HalpScreen.Row);
}

static VOID HalpPutCharacter(char Character)
{
    switch (Character) {
    case '\n':
        HalpNewLine();
        break;
    case '\r':
        HalpScreen.Column = 0;
        break;
    case '\b':
        if (HalpScreen.Column > 0)
            HalpScreen.Column--;
        break;
    case '\t':
        do
            HalpPutCell(' ');
        while (HalpScreen.Column % TAB_STOP != 0);
        break;
    case '\a':
    case '\0':
        break;
    default:
        HalpPutCell(Character);
    }
}

// ---- escape sequences ---------------------------------------------------------------------------
static ULONG HalpParameterOr(ULONG Index, ULONG Default)
{
    ULONG Value = Index < HalpScreen.ParameterCount ? HalpScreen.Parameter[Index] : 0;
    return Value != 0 ? Value : Default;
}

static ULONG HalpLimit(ULONG Value, ULONG Limit)
{
    return Value < Limit ? Value : Limit - 1;
}

static VOID HalpEraseCells(SIZE_T First, SIZE_T End)
{
    HalpFillCells(HalpScreen.Wanted + First, End - First, HalpScreen.Attribute);
    HalpTouchRows((ULONG)(First / HalpScreen.Columns), (ULONG)((End - 1) / HalpScreen.Columns));
}

// 0: from the cursor to the end, 1: from the start to the cursor, 2: all of [Start, End).
static VOID HalpErase(SIZE_T Start, SIZE_T End)
{
    SIZE_T Cursor = (SIZE_T)HalpScreen.Row * HalpScreen.Columns +
                    HalpLimit(HalpScreen.Column, HalpScreen.Columns);
    ULONG What = HalpParameterOr(0, 0);
    HalpEraseCells(What == 0 ? Cursor : Start, What == 1 ? Cursor + 1 : End);
}

// ANSI counts colours red, green, blue from bit 0; VGA blue, green, red.
static UCHAR HalpVgaColour(ULONG Ansi)
{
    return (UCHAR)((Ansi & 1) << 2 | (Ansi & 2) | (Ansi & 4) >> 2);
}

static VOID HalpSelectAttribute(ULONG Code)
{
    UCHAR *Attribute = &HalpScreen.Attribute;
    if (Code == 0)
        *Attribute = HalpScreen.Base;
    else if (Code == 1)
        *Attribute |= 0x08;
    else if (Code == 7)
        *Attribute = (UCHAR)(*Attribute << 4 | *Attribute >> 4);
    else if (Code >= 30 && Code <= 37)
        *Attribute = (UCHAR)((*Attribute & 0xF8) | HalpVgaColour(Code - 30));
    else if (Code == 39)
        *Attribute = (UCHAR)((*Attribute & 0xF0) | (HalpScreen.Base & 0x0F));
    else if (Code >= 40 && Code <= 47)
        *Attribute = (UCHAR)((*Attribute & 0x0F) | HalpVgaColour(Code - 40) << 4);
    else if (Code == 49)
        *Attribute = (UCHAR)((*Attribute & 0x0F) | (HalpScreen.Base & 0xF0));
    else if (Code >= 90 && Code <= 97)
        *Attribute = (UCHAR)((*Attribute & 0xF0) | HalpVgaColour(Code - 90) | 0x08);
}

static VOID HalpSelectAttributes(VOID)
{
    if (HalpScreen.ParameterCount == 0)
        HalpSelectAttribute(0);
    for (ULONG i = 0; i < HalpScreen.ParameterCount; i++)
        HalpSelectAttribute(HalpScreen.Parameter[i]);
}

static VOID HalpRunEscape(char Final)
{
    ULONG Count = HalpLimit(HalpParameterOr(0, 1), 10000);
    SIZE_T Line = (SIZE_T)HalpScreen.Row * HalpScreen.Columns;
    switch (Final) {
    case 'A':
        HalpScreen.Row = HalpScreen.Row > Count ? HalpScreen.Row - Count : 0;
        break;
    case 'B':
        HalpScreen.Row = HalpLimit(HalpScreen.Row + Count, HalpScreen.Rows);
        break;
    case 'C':
        HalpScreen.Column = HalpLimit(HalpScreen.Column + Count, HalpScreen.Columns);
        break;
    case 'D':
        HalpScreen.Column = HalpScreen.Column > Count ? HalpScreen.Column - Count : 0;
        break;
    case 'G':
        HalpScreen.Column = HalpLimit(Count - 1, HalpScreen.Columns);
        break;
    case 'H':
        HalpScreen.Row = HalpLimit(Count - 1, HalpScreen.Rows);
        HalpScreen.Column = HalpLimit(HalpParameterOr(1, 1) - 1, HalpScreen.Columns);
        break;
    case 'J':
        HalpErase(0, (SIZE_T)HalpScreen.Rows * HalpScreen.Columns);
        break;
    case 'K':
        HalpErase(Line, Line + HalpScreen.Columns);
        break;
    case 'm':
        HalpSelectAttributes();
        break;
    }
}

static VOID HalpEscapeParameter(char Character)
{
    if (Character == ';') {
        if (HalpScreen.ParameterCount == 0)
            HalpScreen.ParameterCount = 1;
        if (HalpScreen.ParameterCount < MAX_PARAMETERS)
            HalpScreen.Parameter[HalpScreen.ParameterCount++] = 0;
        return;
    }
    if (HalpScreen.ParameterCount == 0)
        HalpScreen.Parameter[HalpScreen.ParameterCount++] = 0;
    ULONG *Parameter = &HalpScreen.Parameter[HalpScreen.ParameterCount - 1];
    *Parameter = HalpLimit(*Parameter * 10 + (ULONG)(Character - '0'), 10000);
}

// One character of an escape sequence.
static VOID HalpEscapeCharacter(char Character)
{
    if (HalpScreen.Escape == EscapeSeen) {
        HalpScreen.ParameterCount = 0;
        HalpScreen.Escape = Character == '[' ? EscapeParameters : EscapeNone;
    } else if ((Character >= '0' && Character <= '9') || Character == ';') {
        HalpEscapeParameter(Character);
    } else if (Character >= '@' && Character <= '~') {
        HalpScreen.Escape = EscapeNone;
        HalpRunEscape(Character);
    } else if (Character < ' ') {
        HalpScreen.Escape = EscapeNone;  // the sequence is broken off
        HalpPutCharacter(Character);
    }
}

VOID HalpScreenWrite(const char *Text, SIZE_T Length)
{
    HalpScreenPrepare();
    for (SIZE_T i = 0; i < Length; i++) {
        if (HalpScreen.Escape != EscapeNone)
            HalpEscapeCharacter(Text[i]);
        else if (Text[i] == ESCAPE)
            HalpScreen.Escape = EscapeSeen;
        else
            HalpPutCharacter(Text[i]);
    }
    HalpScreenFlush();
}

// ---- displays -----------------------------------------------------------------------------------
// Everything is drawn at the next flush, because no cell can be equal to this one.
static VOID HalpForgetShown(VOID)
{
    SIZE_T Count = (SIZE_T)HalpScreen.Rows * HalpScreen.Columns;
    for (SIZE_T i = 0; i < Count; i++)
        HalpScreen.Shown[i] = (HALP_CELL)~HalpScreen.Wanted[i];
    HalpScreen.CursorShown = FALSE;
    HalpTouchRows(0, HalpScreen.Rows - 1);
}

// The text written so far moves to the new grid; what does not fit is cut off at the right and the
// top.
static VOID INIT_CODE HalpMoveText(ULONG Rows, ULONG Columns, HALP_CELL *Cells)
{
    const HALP_CELL *Old = HalpScreen.Wanted;
    ULONG OldColumns = HalpScreen.Columns, OldRow = HalpScreen.Row, OldColumn = HalpScreen.Column;
    HalpUseGrid(Rows, Columns, Cells);
    ULONG Count = OldColumns < Columns ? OldColumns : Columns;
    ULONG Skip = OldRow >= Rows ? OldRow - Rows + 1 : 0;
    for (ULONG Row = Skip; Row <= OldRow; Row++)
        memcpy(Cells + (SIZE_T)(Row - Skip) * Columns, Old + (SIZE_T)Row * OldColumns,
               Count * sizeof(HALP_CELL));
    HalpScreen.Row = OldRow - Skip;
    HalpScreen.Column = OldColumn < Columns ? OldColumn : Columns;
}

// Shows the grid on a display of Rows x Columns. Cells has room for two grids; NULL: the display
// shows the 80 x 25 cells that exist from the start.
VOID INIT_CODE HalpScreenAttach(const char *Name, ULONG Rows, ULONG Columns, HALP_CELL *Cells,
                                HALP_DRAW_ROUTINE *Draw)
{
    HalpScreenPrepare();
    if (Cells != NULL)
        HalpMoveText(Rows, Columns, Cells);
    HalpScreen.Name = Name;
    HalpScreen.Draw = Draw;
    HalpForgetShown();
    HalpScreenFlush();
}

VOID HalpScreenDetach(VOID)
{
    HalpScreen.Name = NULL;
    HalpScreen.Draw = NULL;
}

// Empties the screen and makes Attribute its colours from now on.
VOID HalpScreenClear(UCHAR Attribute)
{
    HalpScreenPrepare();
    HalpScreen.Base = HalpScreen.Attribute = Attribute;
    HalpScreen.Escape = EscapeNone;
    HalpScreen.Row = HalpScreen.Column = 0;
    HalpEraseCells(0, (SIZE_T)HalpScreen.Rows * HalpScreen.Columns);
    HalpForgetShown();
    HalpScreenFlush();
}

const char *HalpScreenName(PULONG Rows, PULONG Columns)
{
    *Rows = HalpScreen.Rows;
    *Columns = HalpScreen.Columns;
    return HalpScreen.Name;
}
