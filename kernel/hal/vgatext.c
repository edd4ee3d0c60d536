// SPDX-License-Identifier: MIT
// vgatext.c: VGA's 80x25 text mode as a display for the screen's cells.
//
// boot/ maps the text memory at 0xB8000 to the start of the HAL region. Its cells have just the
// form of the screen's own. The adapter's own cursor is switched off: the screen draws one.
#include "halp.h"

#define VGA_TEXT    ((volatile HALP_CELL *)HAL_REGION_BASE)
#define CRTC_INDEX  0x3D4u
#define CRTC_DATA   0x3D5u
#define CRTC_CURSOR 0x0Au
#define CURSOR_OFF  0x20u

static VOID HalpVgaTextDraw(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count)
{
    volatile HALP_CELL *To = VGA_TEXT + Row * HALP_TEXT_COLUMNS + Column;
    for (ULONG i = 0; i < Count; i++)
        To[i] = Cells[i];
}

// Memory that keeps two different words is there. The only time that video memory is ever read.
static BOOLEAN INIT_CODE HalpVgaTextProbe(VOID)
{
    volatile HALP_CELL *Cell = VGA_TEXT;
    Cell[0] = 0x0741;
    Cell[1] = 0x0742;
    return Cell[0] == 0x0741 && Cell[1] == 0x0742;
}

BOOLEAN INIT_CODE HalpVgaTextInitialize(VOID)
{
    if (!HalpVgaTextProbe())
        return FALSE;
    KiOutByte(CRTC_INDEX, CRTC_CURSOR);
    KiOutByte(CRTC_DATA, CURSOR_OFF);
    HalpScreenAttach("VGA text", HALP_TEXT_ROWS, HALP_TEXT_COLUMNS, NULL, HalpVgaTextDraw);
    return TRUE;
}
