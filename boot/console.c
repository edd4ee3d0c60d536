// SPDX-License-Identifier: MIT
// Shows why the machine cannot start, on every console there may be: COM1, VGA text, framebuffer.
//
// Each is used only if it answers or was reported, and none is read back: video memory is slow to
// read and, on COM1, a wait that could last forever has an end.

#include "boot.h"

#define COM1          0x3F8
#define UART_SCRATCH  7
#define UART_STATUS   5
#define UART_EMPTY    0x20

static BOOLEAN InitializeSerial(void)
{
    static const UCHAR Setup[][2] = {
        { 1, 0x00 }, { 3, 0x80 }, { 0, 0x01 }, { 1, 0x00 },  // no interrupts; 115200 baud
        { 3, 0x03 }, { 2, 0x07 }, { 4, 0x03 },               // 8N1, FIFO on, DTR and RTS
    };

    BootOut8(COM1 + UART_SCRATCH, 0xA5);
    if (BootIn8(COM1 + UART_SCRATCH) != 0xA5)
        return FALSE;
    for (ULONG i = 0; i < sizeof(Setup) / sizeof(Setup[0]); i++)
        BootOut8((USHORT)(COM1 + Setup[i][0]), Setup[i][1]);
    return TRUE;
}

static void SendSerial(CHAR Character)
{
    for (ULONG i = 0; i < 100000 && !(BootIn8(COM1 + UART_STATUS) & UART_EMPTY); i++)
        ;
    BootOut8(COM1, (UCHAR)Character);
}

static void PrintSerial(const CHAR *Text)
{
    if (!InitializeSerial())
        return;
    for (; *Text; Text++) {
        if (*Text == '\n')
            SendSerial('\r');
        SendSerial(*Text);
    }
}

// Where a line of Columns characters ends: at its NUL, its newline, or the last blank that fits.
static ULONG LineLength(const CHAR *Text, ULONG Columns)
{
    ULONG Length = 0, Blank = 0;

    for (; Text[Length] && Text[Length] != '\n'; Length++) {
        if (Length == Columns)
            return Blank ? Blank : Columns;
        if (Text[Length] == ' ')
            Blank = Length;
    }
    return Length;
}

// Calls Put for every cell of a screen of Columns by Rows, blank where the text does not reach.
static void Layout(const LOADER_DISPLAY *Display, ULONG Columns, ULONG Rows, const CHAR *Text,
                   void (*Put)(const LOADER_DISPLAY *, ULONG Column, ULONG Row, CHAR Character))
{
    ULONG Length;

    for (ULONG Row = 0; Row < Rows; Row++) {
        Length = LineLength(Text, Columns);
        for (ULONG Column = 0; Column < Columns; Column++)
            Put(Display, Column, Row, Column < Length ? Text[Column] : ' ');
        Text += Length;
        if (*Text == '\n' || *Text == ' ')
            Text++;
    }
}

static void PutCell(const LOADER_DISPLAY *Display, ULONG Column, ULONG Row, CHAR Character)
{
    volatile USHORT *Cells = (volatile USHORT *)(ULONG)Display->Base;

    Cells[Row * Display->Width + Column] = (USHORT)(0x0700 | (UCHAR)Character);
}

typedef struct _FONT {
    const UCHAR *Glyphs;
    ULONG Width, Height, GlyphBytes;
} FONT;

// The linked font is a PSF file of either version. Source: kbd's psf.5 and psfe formats.
static FONT OpenFont(void)
{
    const UCHAR *File = FontPhysical;
    const ULONG *Psf2 = (const void *)FontPhysical;

    if (File[0] == 0x36 && File[1] == 0x04)
        return (FONT){ File + 4, 8, File[3], File[3] };
    if (Psf2[0] == 0x864AB572)
        return (FONT){ File + Psf2[2], Psf2[7], Psf2[6], Psf2[5] };
    return (FONT){ 0 };
}

static void PutPixel(UCHAR *Pixel, ULONG Bytes, UCHAR Value)
{
    while (Bytes--)
        *(volatile UCHAR *)Pixel++ = Value;
}

// White on black needs no colour format: all bits or none. In a palette white is number 15, since
// the first sixteen are VGA's.
static void PutGlyph(const LOADER_DISPLAY *Display, ULONG Column, ULONG Row, CHAR Character)
{
    FONT Font = OpenFont();
    ULONG Bytes = (Display->BitsPerPixel + 7) / 8;
    UCHAR White = Bytes == 1 ? 15 : 0xFF;
    const UCHAR *Glyph = Font.Glyphs + (UCHAR)Character * Font.GlyphBytes;
    UCHAR *Line = (UCHAR *)(ULONG)Display->Base + Row * Font.Height * Display->Pitch +
                  Column * Font.Width * Bytes;

    for (ULONG y = 0; y < Font.Height; y++, Line += Display->Pitch, Glyph += (Font.Width + 7) / 8)
        for (ULONG x = 0; x < Font.Width; x++)
            PutPixel(Line + x * Bytes, Bytes, Glyph[x / 8] & (0x80 >> x % 8) ? White : 0);
}

// Only 32-bit addresses can be reached without paging.
static BOOLEAN IsReachable(const LOADER_DISPLAY *Display)
{
    return Display->Base + (ULONG64)Display->Pitch * Display->Height <= 1ull << 32;
}

static void PrintFramebuffer(const LOADER_DISPLAY *Display, const CHAR *Text)
{
    FONT Font = OpenFont();

    if (Font.Glyphs && IsReachable(Display))
        Layout(Display, Display->Width / Font.Width, Display->Height / Font.Height, Text, PutGlyph);
}

// Shows Text, on an otherwise empty screen.
void BootPrint(const LOADER_DISPLAY *Display, const CHAR *Text)
{
    PrintSerial(Text);
    if (Display->Type == LoaderDisplayText)
        Layout(Display, Display->Width, Display->Height, Text, PutCell);
    else if (Display->Type == LoaderDisplayFramebuffer)
        PrintFramebuffer(Display, Text);
}
