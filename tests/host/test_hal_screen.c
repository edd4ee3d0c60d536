// SPDX-License-Identifier: MIT
// Links: kernel/hal/screen.c kernel/rtl/format.c kernel/rtl/utf.c
//
// The grid of cells against a display that keeps what was drawn: after every write the display
// shows what a terminal would, and no cell was drawn that had not changed.
#include "kernel/hal/halp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define ROWS    25u
#define COLUMNS 80u

__thread KIRQL HostIrql;
__thread KPRCB HostPrcb;

static HALP_CELL Display[ROWS][COLUMNS];
static HALP_CELL Cells[2 * ROWS * COLUMNS];
static ULONG Drawn;

static void draw(ULONG Row, ULONG Column, const HALP_CELL *From, ULONG Count)
{
    assert_true(Row < ROWS && Column + Count <= COLUMNS);
    memcpy(&Display[Row][Column], From, Count * sizeof(*From));
    Drawn += Count;
}

static int fresh(void **state)
{
    HalpScreenDetach();
    HalpScreenClear(HALP_ATTRIBUTE_NORMAL);
    memset(Cells, 0, sizeof(Cells));
    HalpScreenAttach("test", ROWS, COLUMNS, Cells, draw);
    Drawn = 0;
    return 0;
}

static void write_text(const char *Text)
{
    HalpScreenWrite(Text, strlen(Text));
}

static void expect_row(ULONG Row, const char *Text)
{
    char Shown[COLUMNS + 1] = "";
    SIZE_T Length = 0;
    for (ULONG i = 0; i < COLUMNS; i++) {
        Shown[i] = (char)Display[Row][i];
        if (Shown[i] != ' ')
            Length = i + 1;
    }
    Shown[Length] = '\0';
    assert_string_equal(Shown, Text);
}

static void text_appears_where_a_terminal_has_it(void **state)
{
    write_text("one\ntwo\r\nthree\bE\tx");
    expect_row(0, "one");
    expect_row(1, "two");
    expect_row(2, "threE   x");
}

static void a_long_line_goes_on_in_the_next_row(void **state)
{
    for (ULONG i = 0; i < COLUMNS + 3; i++)
        write_text("z");
    expect_row(1, "zzz");
}

static void a_full_line_and_its_newline_leave_no_empty_row(void **state)
{
    for (ULONG i = 0; i < COLUMNS; i++)
        write_text("x");
    write_text("\ny");
    expect_row(1, "y");
}

static void the_cursor_is_one_cell_with_its_colours_exchanged(void **state)
{
    write_text("ab");
    ULONG Inverted = 0;
    for (ULONG i = 0; i < ROWS * COLUMNS; i++)
        Inverted += Display[i / COLUMNS][i % COLUMNS] >> 8 == 0x70;
    assert_int_equal(Inverted, 1);
    assert_int_equal(Display[0][2], HALP_CELL_OF(' ', 0x70));
}

static void only_changed_cells_are_drawn(void **state)
{
    write_text("hello");
    assert_true(Drawn <= 5 + 2);  // the text, the old cursor and the new one
    Drawn = 0;
    write_text("\rhello");
    assert_true(Drawn <= 2);
}

static void scrolling_keeps_the_last_rows(void **state)
{
    char Line[16];
    for (ULONG i = 0; i < 100; i++) {
        RtlFormat(Line, sizeof(Line), "%sline %u", i == 0 ? "" : "\n", i);
        write_text(Line);
    }
    expect_row(ROWS - 1, "line 99");
    expect_row(0, "line 75");
}

static void a_line_editor_can_move_and_erase(void **state)
{
    write_text("> abcdef\033[3D\033[K!");
    expect_row(0, "> abc!");
    write_text("\033[2J\033[3;5Hx\033[A\033[1Gy");
    expect_row(0, "");
    expect_row(1, "y");
    expect_row(2, "    x");
}

static void broken_escape_sequences_do_no_harm(void **state)
{
    write_text("\033[99999999999;;;;;;;;;;7m\033[1000B\033[1000C\033[H\033[?25l\033xok\033[");
    write_text("\nend");
    expect_row(0, "ok");
    expect_row(1, "end");
}

static void colours_end_with_reset(void **state)
{
    write_text("\033[31;1mR\033[0mN");
    assert_int_equal(Display[0][0], HALP_CELL_OF('R', 0x0C));
    assert_int_equal(Display[0][1], HALP_CELL_OF('N', HALP_ATTRIBUTE_NORMAL));
}

static void the_bugcheck_screen_has_its_colour_everywhere(void **state)
{
    write_text("old");
    HalpScreenClear(HALP_ATTRIBUTE_BUGCHECK);
    write_text("*** STOP");
    expect_row(0, "*** STOP");
    assert_int_equal(Display[ROWS - 1][COLUMNS - 1], HALP_CELL_OF(' ', HALP_ATTRIBUTE_BUGCHECK));
}

static void text_written_before_a_display_exists_appears_on_it(void **state)
{
    HalpScreenDetach();
    write_text("early\n");
    memset(Display, 0, sizeof(Display));
    static HALP_CELL Other[2 * ROWS * COLUMNS];
    HalpScreenAttach("test", ROWS, COLUMNS, Other, draw);
    expect_row(0, "early");
}

// A terminal without any cleverness: 25 rows that scroll by one.
static char Model[ROWS][COLUMNS];
static ULONG ModelRow, ModelColumn;

static void model_newline(void)
{
    ModelColumn = 0;
    if (++ModelRow < ROWS)
        return;
    memmove(Model[0], Model[1], sizeof(Model) - COLUMNS);
    memset(Model[--ModelRow], ' ', COLUMNS);
}

static void model_write(char Character)
{
    if (Character == '\n') {
        model_newline();
    } else if (Character == '\r') {
        ModelColumn = 0;
    } else if (Character == '\b') {
        ModelColumn -= ModelColumn > 0;
    } else {
        if (ModelColumn == COLUMNS)
            model_newline();
        Model[ModelRow][ModelColumn++] = Character;
    }
}

static void any_text_shows_what_a_plain_terminal_would(void **state)
{
    static const char Alphabet[] = "abcdefghijklmnopqrstuvwxyz      \n\r\b";
    memset(Model, ' ', sizeof(Model));
    ModelRow = ModelColumn = 0;
    srand(1);
    for (ULONG i = 0; i < 100000; i++) {
        char Character = Alphabet[(ULONG)rand() % (sizeof(Alphabet) - 1)];
        model_write(Character);
        HalpScreenWrite(&Character, 1);
        for (ULONG Cell = 0; i % 50 == 0 && Cell < ROWS * COLUMNS; Cell++)
            assert_int_equal((char)Display[Cell / COLUMNS][Cell % COLUMNS],
                             Model[Cell / COLUMNS][Cell % COLUMNS]);
    }
}

#define TEST(Name) cmocka_unit_test_setup(Name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_appears_where_a_terminal_has_it),
        TEST(a_long_line_goes_on_in_the_next_row),
        TEST(a_full_line_and_its_newline_leave_no_empty_row),
        TEST(the_cursor_is_one_cell_with_its_colours_exchanged),
        TEST(only_changed_cells_are_drawn),
        TEST(scrolling_keeps_the_last_rows),
        TEST(a_line_editor_can_move_and_erase),
        TEST(broken_escape_sequences_do_no_harm),
        TEST(colours_end_with_reset),
        TEST(the_bugcheck_screen_has_its_colour_everywhere),
        TEST(text_written_before_a_display_exists_appears_on_it),
        TEST(any_text_shows_what_a_plain_terminal_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
