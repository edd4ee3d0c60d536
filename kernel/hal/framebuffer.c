// SPDX-License-Identifier: MIT
// framebuffer.c: a linear framebuffer as a display for the screen's cells.
//
// Direct colour of 15, 16, 24 or 32 bits a pixel with any channel masks and any pitch, or 256
// colours by number, of which the first sixteen are set by VGA's palette registers. The font is a
// PSF file (version 1 or 2) that is linked into the image. The memory is only ever written, from
// left to right, which is what a write-combining mapping wants. On screens with a great many pixels
// each one of the font is doubled, so that text stays readable.
//
// What most machines have, 32 bits a pixel and a font 8 pixels wide, has a routine of its own that
// stores two pixels at once; everything else goes pixel by pixel. `!scroll` measures.
#include "halp.h"

#define PSF1_MAGIC      0x0436u
#define PSF1_MODE_512   0x01u
#define PSF2_MAGIC      0x864AB572u
#define LARGE_WIDTH     2560u  // from this width on the font is doubled
#define MAX_GLYPH_WIDTH 32u
#define DAC_INDEX       0x3C8u
#define DAC_DATA        0x3C9u

typedef struct _PSF1_HEADER {
    USHORT Magic;
    UCHAR Mode;
    UCHAR GlyphBytes;  // also the height: the width is 8
} PSF1_HEADER;

typedef struct _PSF2_HEADER {
    ULONG Magic, Version, HeaderSize, Flags;
    ULONG GlyphCount, GlyphBytes, Height, Width;
} PSF2_HEADER;

extern const UCHAR _binary_font_psf_start[];

static struct {
    const UCHAR *Glyphs;
    ULONG Count;          // glyphs
    ULONG Bytes;          // of one glyph
    ULONG Width, Height;  // pixels
} HalpFont;

static struct {
    LOADER_DISPLAY Display;
    PUCHAR Base;
    ULONG Scale;
    ULONG Colour[16];  // the VGA palette as pixels
} HalpFramebuffer;

static const UCHAR HalpPalette[16][3] = {
    {0x00, 0x00, 0x00}, {0x00, 0x00, 0xA0}, {0x00, 0xA0, 0x00}, {0x00, 0xA0, 0xA0},
    {0xA0, 0x00, 0x00}, {0xA0, 0x00, 0xA0}, {0xA0, 0x60, 0x00}, {0xC0, 0xC0, 0xC0},
    {0x60, 0x60, 0x60}, {0x60, 0x60, 0xFF}, {0x60, 0xFF, 0x60}, {0x60, 0xFF, 0xFF},
    {0xFF, 0x60, 0x60}, {0xFF, 0x60, 0xFF}, {0xFF, 0xFF, 0x60}, {0xFF, 0xFF, 0xFF},
};

static BOOLEAN INIT_CODE HalpLoadFont(const UCHAR *Data)
{
    const PSF1_HEADER *Psf1 = (const PSF1_HEADER *)Data;
    const PSF2_HEADER *Psf2 = (const PSF2_HEADER *)Data;
    if (Psf1->Magic == PSF1_MAGIC) {
        HalpFont.Glyphs = Data + sizeof(*Psf1);
        HalpFont.Count = Psf1->Mode & PSF1_MODE_512 ? 512 : 256;
        HalpFont.Bytes = HalpFont.Height = Psf1->GlyphBytes;
        HalpFont.Width = 8;
    } else if (Psf2->Magic == PSF2_MAGIC) {
        HalpFont.Glyphs = Data + Psf2->HeaderSize;
        HalpFont.Count = Psf2->GlyphCount;
        HalpFont.Bytes = Psf2->GlyphBytes;
        HalpFont.Width = Psf2->Width;
        HalpFont.Height = Psf2->Height;
    }
    return HalpFont.Count > '?' && HalpFont.Width > 0 && HalpFont.Width <= MAX_GLYPH_WIDTH &&
           HalpFont.Height > 0 && HalpFont.Bytes >= (HalpFont.Width + 7) / 8 * HalpFont.Height;
}

static const UCHAR *HalpGlyph(UCHAR Character)
{
    return HalpFont.Glyphs +
           (SIZE_T)(Character < HalpFont.Count ? Character : '?') * HalpFont.Bytes;
}

// The eight bits of a channel, cut or widened to the size that the display has for it.
static ULONG INIT_CODE HalpChannel(UCHAR Value, UCHAR Position, UCHAR Size)
{
    if (Size == 0)
        return 0;
    ULONG Bits = Size <= 8 ? (ULONG)Value >> (8 - Size) : (ULONG)Value << (Size - 8);
    return Bits << Position;
}

// Six bits a channel.
static VOID INIT_CODE HalpSetDac(VOID)
{
    KiOutByte(DAC_INDEX, 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpPalette); i++) {
        HalpFramebuffer.Colour[i] = i;
        for (ULONG Channel = 0; Channel < 3; Channel++)
            KiOutByte(DAC_DATA, HalpPalette[i][Channel] >> 2);
    }
}

static VOID INIT_CODE HalpMakePalette(VOID)
{
    const LOADER_DISPLAY *Display = &HalpFramebuffer.Display;
    if (Display->BitsPerPixel == 8) {
        HalpSetDac();
        return;
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(HalpPalette); i++)
        HalpFramebuffer.Colour[i] =
            HalpChannel(HalpPalette[i][0], Display->RedPosition, Display->RedSize) |
            HalpChannel(HalpPalette[i][1], Display->GreenPosition, Display->GreenSize) |
            HalpChannel(HalpPalette[i][2], Display->BluePosition, Display->BlueSize);
}

// Scale pixels of one colour. Returns where the next one goes.
static volatile UCHAR *HalpPutPixel(volatile UCHAR *To, ULONG Colour)
{
    for (ULONG i = 0; i < HalpFramebuffer.Scale; i++) {
        switch (HalpFramebuffer.Display.BitsPerPixel) {
        case 32:
            *(volatile ULONG *)To = Colour;
            To += 4;
            break;
        case 24:
            To[0] = (UCHAR)Colour;
            To[1] = (UCHAR)(Colour >> 8);
            To[2] = (UCHAR)(Colour >> 16);
            To += 3;
            break;
        case 8:
            *To++ = (UCHAR)Colour;
            break;
        default:
            *(volatile USHORT *)To = (USHORT)Colour;
            To += 2;
        }
    }
    return To;
}

// Line Line of the glyphs of Count cells, to one line of pixels.
static VOID HalpDrawLine(volatile UCHAR *To, const HALP_CELL *Cells, ULONG Count, ULONG Line)
{
    ULONG LineBytes = (HalpFont.Width + 7) / 8;
    for (ULONG i = 0; i < Count; i++) {
        const UCHAR *Bits = HalpGlyph((UCHAR)Cells[i]) + Line * LineBytes;
        ULONG Foreground = HalpFramebuffer.Colour[(Cells[i] >> 8) & 15];
        ULONG Background = HalpFramebuffer.Colour[Cells[i] >> 12];
        for (ULONG x = 0; x < HalpFont.Width; x++)
            To = HalpPutPixel(To, Bits[x / 8] & (0x80 >> (x & 7)) ? Foreground : Background);
    }
}

typedef ULONG64 __attribute__((aligned(1))) HALP_PIXEL_PAIR;  // a pitch may be anything

// The four pairs of an attribute's colours: bit 1 is the left pixel, which comes first in memory.
static VOID HalpMakePairs(ULONG Attribute, ULONG64 Pair[4])
{
    ULONG64 Background = HalpFramebuffer.Colour[Attribute >> 4];
    ULONG64 Foreground = HalpFramebuffer.Colour[Attribute & 15];
    Pair[0] = Background | Background << 32;
    Pair[1] = Background | Foreground << 32;
    Pair[2] = Foreground | Background << 32;
    Pair[3] = Foreground | Foreground << 32;
}

// The same for 32 bits a pixel, a font 8 pixels wide and no doubling.
static VOID HalpDrawLineInPairs(volatile UCHAR *To, const HALP_CELL *Cells, ULONG Count, ULONG Line)
{
    volatile HALP_PIXEL_PAIR *Out = (volatile HALP_PIXEL_PAIR *)To;
    ULONG64 Pair[4];
    ULONG Attribute = ~0u;
    for (ULONG i = 0; i < Count; i++, Out += 4) {
        ULONG Bits = HalpGlyph((UCHAR)Cells[i])[Line];
        if (Attribute != Cells[i] >> 8) {
            Attribute = Cells[i] >> 8;
            HalpMakePairs(Attribute, Pair);
        }
        Out[0] = Pair[Bits >> 6];
        Out[1] = Pair[(Bits >> 4) & 3];
        Out[2] = Pair[(Bits >> 2) & 3];
        Out[3] = Pair[Bits & 3];
    }
}

static VOID HalpFramebufferDraw(ULONG Row, ULONG Column, const HALP_CELL *Cells, ULONG Count)
{
    const LOADER_DISPLAY *Display = &HalpFramebuffer.Display;
    ULONG Scale = HalpFramebuffer.Scale;
    SIZE_T Across = (SIZE_T)Column * HalpFont.Width * Scale * ((Display->BitsPerPixel + 7) / 8);
    PUCHAR To =
        HalpFramebuffer.Base + (SIZE_T)Row * HalpFont.Height * Scale * Display->Pitch + Across;
    BOOLEAN InPairs = Display->BitsPerPixel == 32 && HalpFont.Width == 8 && Scale == 1;
    for (ULONG y = 0; y < HalpFont.Height * Scale; y++, To += Display->Pitch) {
        if (InPairs)
            HalpDrawLineInPairs(To, Cells, Count, y);
        else
            HalpDrawLine(To, Cells, Count, y / Scale);
    }
}

// What lies outside the grid: the firmware's picture must not stay there.
static VOID INIT_CODE HalpClearPixels(VOID)
{
    const LOADER_DISPLAY *Display = &HalpFramebuffer.Display;
    ULONG Bytes = Display->Width * ((Display->BitsPerPixel + 7) / 8);
    for (ULONG y = 0; y < Display->Height; y++)
        memset(HalpFramebuffer.Base + (SIZE_T)y * Display->Pitch, 0, Bytes);
}

static BOOLEAN INIT_CODE HalpDisplayUsable(const LOADER_DISPLAY *Display)
{
    ULONG Bits = Display->BitsPerPixel;
    BOOLEAN Known = Bits == 8 || Bits == 15 || Bits == 16 || Bits == 24 || Bits == 32;
    return Known && Display->Pitch >= Display->Width * ((Bits + 7) / 8) &&
           Display->Width <= 16384 && Display->Height <= 16384 &&
           HalpLoadFont(_binary_font_psf_start);
}

static VOID INIT_CODE HalpFramebufferGrid(const LOADER_DISPLAY *Display, PULONG Rows,
                                          PULONG Columns, PULONG Scale)
{
    *Scale = Display->Width >= LARGE_WIDTH ? 2 : 1;
    *Rows = Display->Height / (HalpFont.Height * *Scale);
    *Columns = Display->Width / (HalpFont.Width * *Scale);
}

SIZE_T INIT_CODE HalFramebufferShadowSize(const LOADER_DISPLAY *Display)
{
    ULONG Rows, Columns, Scale;
    if (!HalpDisplayUsable(Display))
        return 0;
    HalpFramebufferGrid(Display, &Rows, &Columns, &Scale);
    return 2 * (SIZE_T)Rows * Columns * sizeof(HALP_CELL);
}

VOID INIT_CODE HalpFramebufferInitialize(const LOADER_DISPLAY *Display, PVOID Mapping, PVOID Shadow)
{
    ULONG Rows, Columns;
    if (!HalpDisplayUsable(Display))
        return;
    HalpFramebufferGrid(Display, &Rows, &Columns, &HalpFramebuffer.Scale);
    BOOLEAN Fits = Rows >= HALP_TEXT_ROWS && Columns >= HALP_TEXT_COLUMNS;
    if (Rows == 0 || Columns == 0 || (Shadow == NULL && !Fits))
        return;
    HalpFramebuffer.Display = *Display;
    HalpFramebuffer.Base = Mapping;
    HalpMakePalette();
    HalpClearPixels();
    HalpScreenAttach("framebuffer", Rows, Columns, Shadow, HalpFramebufferDraw);
}

const LOADER_DISPLAY *HalpFramebufferDisplay(VOID)
{
    return HalpFramebuffer.Base != NULL ? &HalpFramebuffer.Display : NULL;
}
