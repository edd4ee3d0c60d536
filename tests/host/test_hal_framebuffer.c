// SPDX-License-Identifier: MIT
// Links: kernel/hal/framebuffer.c
//
// Glyphs on every kind of linear framebuffer: the right pixels in the right form, and not one byte
// outside the picture. The memory is an allocation of exactly its size.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;

#define GLYPH_HEIGHT 4u

// PSF version 1, 256 glyphs of 8 x 4. 'A' has its first line's outer pixels and all of its last.
UCHAR _binary_font_psf_start[4 + 256 * GLYPH_HEIGHT] = {0x36, 0x04, 0x00, GLYPH_HEIGHT};

static ULONG Rows, Columns;
static HALP_DRAW_ROUTINE *Draw;
static UCHAR *Picture;
static LOADER_DISPLAY Display;

VOID HalpScreenAttach(const char *Name, ULONG GridRows, ULONG GridColumns, HALP_CELL *Cells,
                      HALP_DRAW_ROUTINE *Routine)
{
    Rows = GridRows;
    Columns = GridColumns;
    Draw = Routine;
}

static void open_display(ULONG Width, ULONG Height, ULONG Bits, ULONG Pitch)
{
    static UCHAR Shadow[1 << 20];
    UCHAR *Glyph = _binary_font_psf_start + 4 + 'A' * GLYPH_HEIGHT;
    Glyph[0] = 0x81;
    Glyph[3] = 0xFF;
    Display.Type = LoaderDisplayFramebuffer;
    Display.Width = Width;
    Display.Height = Height;
    Display.BitsPerPixel = Bits;
    Display.Pitch = Pitch;
    Picture = malloc((SIZE_T)Pitch * Height);
    memset(Picture, 0xEE, (SIZE_T)Pitch * Height);
    Draw = NULL;
    HalpFramebufferInitialize(&Display, Picture, Shadow);
}

static void masks(UCHAR Red, UCHAR RedSize, UCHAR Green, UCHAR GreenSize, UCHAR Blue,
                  UCHAR BlueSize)
{
    Display.RedPosition = Red;
    Display.RedSize = RedSize;
    Display.GreenPosition = Green;
    Display.GreenSize = GreenSize;
    Display.BluePosition = Blue;
    Display.BlueSize = BlueSize;
}

static ULONG pixel(ULONG x, ULONG y)
{
    ULONG Bytes = (Display.BitsPerPixel + 7) / 8, Value = 0;
    memcpy(&Value, Picture + (SIZE_T)y * Display.Pitch + x * Bytes, Bytes);
    return Value;
}

static int done(void **state)
{
    free(Picture);
    return 0;
}

// 'A' in white on blue, in the last cell of the grid.
static void draw_last_cell(void)
{
    HALP_CELL Cell = HALP_CELL_OF('A', HALP_ATTRIBUTE_BUGCHECK);
    Draw(Rows - 1, Columns - 1, &Cell, 1);
}

static void expect_last_cell(ULONG White, ULONG Blue)
{
    ULONG x = (Columns - 1) * 8, y = (Rows - 1) * GLYPH_HEIGHT;
    assert_int_equal(pixel(x, y), White);
    assert_int_equal(pixel(x + 1, y), Blue);
    assert_int_equal(pixel(x + 7, y), White);
    assert_int_equal(pixel(x + 3, y + 1), Blue);
    assert_int_equal(pixel(x + 3, y + 3), White);
}

static void thirty_two_bits(void **state)
{
    masks(16, 8, 8, 8, 0, 8);
    open_display(640, 400, 32, 640 * 4);
    assert_int_equal(Columns, 80);
    assert_int_equal(Rows, 100);
    draw_last_cell();
    expect_last_cell(0xFFFFFF, 0x0000A0);
}

static void thirty_two_bits_with_red_and_blue_exchanged(void **state)
{
    masks(0, 8, 8, 8, 16, 8);
    open_display(640, 400, 32, 4096);
    draw_last_cell();
    expect_last_cell(0xFFFFFF, 0xA00000);
}

static void twenty_four_bits_with_an_odd_pitch(void **state)
{
    masks(16, 8, 8, 8, 0, 8);
    open_display(643, 403, 24, 643 * 3 + 5);
    draw_last_cell();
    expect_last_cell(0xFFFFFF, 0x0000A0);
}

static void sixteen_bits(void **state)
{
    masks(11, 5, 5, 6, 0, 5);
    open_display(640, 400, 16, 1280);
    draw_last_cell();
    expect_last_cell(0xFFFF, 0x0014);
}

static void fifteen_bits(void **state)
{
    masks(10, 5, 5, 5, 0, 5);
    open_display(640, 400, 15, 1280);
    draw_last_cell();
    expect_last_cell(0x7FFF, 0x0014);
}

static UCHAR Dac[64];
static ULONG DacCount;

VOID HostOut(USHORT Port, ULONG Bytes, ULONG Value)
{
    assert_true(Bytes == 1 && (Port == 0x3C8 || Port == 0x3C9));
    if (Port == 0x3C8)
        DacCount = Value * 3;
    else
        Dac[DacCount++ % sizeof(Dac)] = (UCHAR)Value;
}

static void colours_by_number_with_a_palette(void **state)
{
    masks(0, 0, 0, 0, 0, 0);
    open_display(643, 403, 8, 643 + 5);
    draw_last_cell();
    expect_last_cell(15, 1);
    assert_int_equal(DacCount, 48);
    assert_memory_equal(Dac + 3, "\x00\x00\x28", 3);  // blue, and white: six bits a channel
    assert_memory_equal(Dac + 45, "\x3F\x3F\x3F", 3);
}

static void ten_bits_a_channel(void **state)
{
    masks(20, 10, 10, 10, 0, 10);
    open_display(640, 400, 32, 2560);
    draw_last_cell();
    expect_last_cell(0xFFu << 22 | 0xFFu << 12 | 0xFFu << 2, 0xA0u << 2);
}

static void a_large_screen_has_a_doubled_font(void **state)
{
    masks(16, 8, 8, 8, 0, 8);
    open_display(3840, 400, 32, 3840 * 4);
    assert_int_equal(Columns, 240);
    assert_int_equal(Rows, 50);
    draw_last_cell();
    for (ULONG i = 0; i < 4; i++)
        assert_int_equal(pixel(3840 - 16 + i % 2, 400 - 8 + i / 2), 0xFFFFFF);
    assert_int_equal(pixel(3840 - 14, 400 - 8), 0x0000A0);
}

static void the_firmwares_picture_is_wiped(void **state)
{
    masks(16, 8, 8, 8, 0, 8);
    open_display(643, 403, 24, 643 * 3 + 5);
    for (ULONG y = 0; y < 403; y++)
        for (ULONG x = 0; x < 643; x++)
            assert_int_equal(pixel(x, y), 0);
}

static void a_display_that_makes_no_sense_is_left_alone(void **state)
{
    masks(0, 0, 0, 0, 0, 0);
    open_display(640, 400, 4, 640);
    assert_null(Draw);
    assert_int_equal(HalFramebufferShadowSize(&Display), 0);
    done(state);
    open_display(640, 400, 32, 640);  // a pitch shorter than a line
    assert_null(Draw);
    done(state);
    open_display(4, 2, 32, 16);  // smaller than a character
    assert_null(Draw);
}

#define TEST(Name) cmocka_unit_test_teardown(Name, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(thirty_two_bits),
        TEST(thirty_two_bits_with_red_and_blue_exchanged),
        TEST(twenty_four_bits_with_an_odd_pitch),
        TEST(sixteen_bits),
        TEST(fifteen_bits),
        TEST(colours_by_number_with_a_palette),
        TEST(ten_bits_a_channel),
        TEST(a_large_screen_has_a_doubled_font),
        TEST(the_firmwares_picture_is_wiped),
        TEST(a_display_that_makes_no_sense_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
