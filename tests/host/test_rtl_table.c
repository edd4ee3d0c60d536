// SPDX-License-Identifier: MIT
// Links: kernel/rtl/avl.c kernel/rtl/table.c kernel/rtl/splay.c
//
// Generic tables against a set kept as an array of flags: after every one of many random operations
// the tables agree with it, and their trees are in order (and balanced, where they promise to be).
#include "rtl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define KEYS 300u

typedef struct _ITEM {
    ULONG Key;
    ULONG Value;
} ITEM;

static ULONG Blocks;
static BOOLEAN Exhausted;
static ULONG Seed = 1;

static ULONG Random(ULONG Below)
{
    Seed = Seed * 1664525 + 1013904223;
    return (Seed >> 8) % Below;
}

static PVOID Get(CLONG Size)
{
    if (Exhausted)
        return NULL;
    Blocks++;
    return malloc(Size);
}

static RTL_GENERIC_COMPARE_RESULTS Order(PVOID First, PVOID Second)
{
    ULONG A = ((ITEM *)First)->Key, B = ((ITEM *)Second)->Key;
    return A < B ? GenericLessThan : A > B ? GenericGreaterThan : GenericEqual;
}

static PVOID AvlAllocate(PRTL_AVL_TABLE Table, CLONG Size) { return Get(Size); }
static PVOID SplayAllocate(PRTL_GENERIC_TABLE Table, CLONG Size) { return Get(Size); }

static VOID AvlFree(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    Blocks--;
    free(Buffer);
}

static VOID SplayFree(PRTL_GENERIC_TABLE Table, PVOID Buffer)
{
    Blocks--;
    free(Buffer);
}

static RTL_GENERIC_COMPARE_RESULTS AvlOrder(PRTL_AVL_TABLE Table, PVOID First, PVOID Second)
{
    return Order(First, Second);
}

static RTL_GENERIC_COMPARE_RESULTS SplayOrder(PRTL_GENERIC_TABLE Table, PVOID First, PVOID Second)
{
    return Order(First, Second);
}

// ---- balanced tables --------------------------------------------------------------------------

// The height of a subtree; fails when it is out of order, out of balance or wrongly linked.
static LONG CheckedHeight(PRTL_BALANCED_LINKS Node, PRTL_BALANCED_LINKS Parent, LONG Low, LONG High)
{
    if (Node == NULL)
        return 0;
    LONG Key = (LONG)((ITEM *)(Node + 1))->Key;
    assert_ptr_equal(Node->Parent, Parent);
    assert_in_range(Key, Low, High);
    LONG Left = CheckedHeight(Node->LeftChild, Node, Low, Key - 1);
    LONG Right = CheckedHeight(Node->RightChild, Node, Key + 1, High);
    assert_int_equal(Right - Left, Node->Balance);
    assert_true(Node->Balance >= -1 && Node->Balance <= 1);
    return 1 + (Left > Right ? Left : Right);
}

static VOID CheckAvl(PRTL_AVL_TABLE Table, const BOOLEAN *Present, ULONG Count)
{
    ULONG Next = 0, Seen = 0;

    assert_int_equal(CheckedHeight(Table->BalancedRoot.RightChild, &Table->BalancedRoot, 0, KEYS),
                     Table->DepthOfTree);
    assert_int_equal(RtlNumberGenericTableElementsAvl(Table), Count);
    assert_int_equal(RtlIsGenericTableEmptyAvl(Table), Count == 0);
    for (ITEM *Item = RtlEnumerateGenericTableAvl(Table, TRUE); Item != NULL;
         Item = RtlEnumerateGenericTableAvl(Table, FALSE)) {
        while (!Present[Next])
            Next++;
        assert_int_equal(Item->Key, Next++);
        assert_int_equal(Item->Value, Item->Key * 3);
        Seen++;
    }
    assert_int_equal(Seen, Count);
}

static void a_balanced_table_behaves_as_a_set_in_order(void **state)
{
    BOOLEAN Present[KEYS + 1] = {FALSE};
    RTL_AVL_TABLE Table;
    ULONG Count = 0;

    RtlInitializeGenericTableAvl(&Table, AvlOrder, AvlAllocate, AvlFree, NULL);
    for (ULONG i = 0; i < 6000; i++) {
        ITEM Item = {Random(KEYS), 0};
        BOOLEAN New, Growing = i / 1000 % 2 == 0;
        Item.Value = Item.Key * 3;
        assert_int_equal(RtlLookupElementGenericTableAvl(&Table, &Item) != NULL, Present[Item.Key]);
        if (Random(4) != 0 ? Growing : !Growing) {
            assert_non_null(RtlInsertElementGenericTableAvl(&Table, &Item, sizeof(Item), &New));
            assert_int_equal(New, !Present[Item.Key]);
            Count += New;
            Present[Item.Key] = TRUE;
        } else {
            assert_int_equal(RtlDeleteElementGenericTableAvl(&Table, &Item), Present[Item.Key]);
            Count -= Present[Item.Key];
            Present[Item.Key] = FALSE;
        }
        assert_int_equal(Blocks, Count);
        if (i % 7 == 0)
            CheckAvl(&Table, Present, Count);
    }
    for (ULONG i = 0; i < KEYS; i++)
        RtlDeleteElementGenericTableAvl(&Table, &(ITEM){i, 0});
    assert_int_equal(Blocks, 0);
    assert_int_equal(Table.DepthOfTree, 0);
}

static void elements_of_a_balanced_table_have_numbers(void **state)
{
    RTL_AVL_TABLE Table;
    RtlInitializeGenericTableAvl(&Table, AvlOrder, AvlAllocate, AvlFree, NULL);
    for (ULONG i = 0; i < 100; i++)
        RtlInsertElementGenericTableAvl(&Table, &(ITEM){i * 37 % 100, 0}, sizeof(ITEM), NULL);
    for (ULONG i = 0; i < 500; i++) {
        ULONG n = Random(110);
        ITEM *Item = RtlGetElementGenericTableAvl(&Table, n);
        if (n < 100)
            assert_int_equal(Item->Key, n);
        else
            assert_null(Item);
    }
    while (!RtlIsGenericTableEmptyAvl(&Table))
        RtlDeleteElementGenericTableAvl(&Table, RtlGetElementGenericTableAvl(&Table, 0));
    assert_int_equal(Blocks, 0);
}

// The documented way to empty a table: delete each element while enumerating.
static void deleting_while_enumerating_misses_nothing(void **state)
{
    RTL_AVL_TABLE Table;
    ULONG Seen = 0;
    RtlInitializeGenericTableAvl(&Table, AvlOrder, AvlAllocate, AvlFree, NULL);
    for (ULONG i = 0; i < 64; i++)
        RtlInsertElementGenericTableAvl(&Table, &(ITEM){i, 0}, sizeof(ITEM), NULL);
    for (ITEM *Item = RtlEnumerateGenericTableAvl(&Table, TRUE); Item != NULL;
         Item = RtlEnumerateGenericTableAvl(&Table, FALSE)) {
        ITEM Copy = *Item;
        assert_int_equal(Copy.Key, Seen++);
        RtlDeleteElementGenericTableAvl(&Table, &Copy);
    }
    assert_int_equal(Seen, 64);
    assert_int_equal(Blocks, 0);
}

static RTL_GENERIC_COMPARE_RESULTS OrderOfTens(PRTL_AVL_TABLE Table, PVOID First, PVOID Second)
{
    ULONG A = ((ITEM *)First)->Key, B = ((ITEM *)Second)->Key;
    if (Table->TableContext != NULL) {
        A /= 10;
        B /= 10;
    }
    return A < B ? GenericLessThan : A > B ? GenericGreaterThan : GenericEqual;
}

static void the_first_of_several_matches_is_found(void **state)
{
    RTL_AVL_TABLE Table;
    PVOID Key;
    RtlInitializeGenericTableAvl(&Table, OrderOfTens, AvlAllocate, AvlFree, NULL);
    for (ULONG i = 0; i < 100; i++)
        RtlInsertElementGenericTableAvl(&Table, &(ITEM){i, 0}, sizeof(ITEM), NULL);
    Table.TableContext = &Table;
    ITEM *Item = RtlLookupFirstMatchingElementGenericTableAvl(&Table, &(ITEM){57, 0}, &Key);
    assert_int_equal(Item->Key, 50);
    Item = RtlEnumerateGenericTableWithoutSplayingAvl(&Table, &Key);
    assert_int_equal(Item->Key, 51);
    assert_null(RtlLookupFirstMatchingElementGenericTableAvl(&Table, &(ITEM){157, 0}, &Key));
    Table.TableContext = NULL;
    for (ULONG i = 0; i < 100; i++)
        RtlDeleteElementGenericTableAvl(&Table, &(ITEM){i, 0});
}

// ---- splay tables -----------------------------------------------------------------------------

static ULONG CheckedCount(PRTL_SPLAY_LINKS Node, PRTL_SPLAY_LINKS Parent, LONG Low, LONG High)
{
    if (Node == NULL)
        return 0;
    LONG Key = (LONG)((ITEM *)((PUCHAR)Node + 40))->Key;
    assert_ptr_equal(Node->Parent, Parent == NULL ? Node : Parent);
    assert_in_range(Key, Low, High);
    return 1 + CheckedCount(Node->LeftChild, Node, Low, Key - 1) +
           CheckedCount(Node->RightChild, Node, Key + 1, High);
}

static void a_splay_table_behaves_as_a_set_in_order(void **state)
{
    BOOLEAN Present[KEYS + 1] = {FALSE};
    RTL_GENERIC_TABLE Table;
    ULONG Count = 0;

    RtlInitializeGenericTable(&Table, SplayOrder, SplayAllocate, SplayFree, NULL);
    for (ULONG i = 0; i < 6000; i++) {
        ITEM Item = {Random(KEYS), 7};
        BOOLEAN New, Growing = i / 1000 % 2 == 0;
        assert_int_equal(RtlLookupElementGenericTable(&Table, &Item) != NULL, Present[Item.Key]);
        if (Random(4) != 0 ? Growing : !Growing) {
            assert_non_null(RtlInsertElementGenericTable(&Table, &Item, sizeof(Item), &New));
            assert_int_equal(New, !Present[Item.Key]);
            Count += New;
            Present[Item.Key] = TRUE;
        } else {
            assert_int_equal(RtlDeleteElementGenericTable(&Table, &Item), Present[Item.Key]);
            Count -= Present[Item.Key];
            Present[Item.Key] = FALSE;
        }
        assert_int_equal(CheckedCount(Table.TableRoot, NULL, 0, KEYS), Count);
        assert_int_equal(RtlNumberGenericTableElements(&Table), Count);
        assert_int_equal(Blocks, Count);
    }
    ULONG Next = 0, Seen = 0;
    for (ITEM *Item = RtlEnumerateGenericTable(&Table, TRUE); Item != NULL;
         Item = RtlEnumerateGenericTable(&Table, FALSE), Seen++) {
        while (!Present[Next])
            Next++;
        assert_int_equal(Item->Key, Next++);
    }
    assert_int_equal(Seen, Count);
    for (ULONG i = 0; i < KEYS; i++)
        RtlDeleteElementGenericTable(&Table, &(ITEM){i, 0});
    assert_int_equal(Blocks, 0);
    assert_true(RtlIsGenericTableEmpty(&Table));
}

static void elements_of_a_splay_table_are_numbered_as_inserted(void **state)
{
    RTL_GENERIC_TABLE Table;
    PVOID Key = NULL;
    RtlInitializeGenericTable(&Table, SplayOrder, SplayAllocate, SplayFree, NULL);
    for (ULONG i = 0; i < 100; i++)
        RtlInsertElementGenericTable(&Table, &(ITEM){i * 37 % 100, 0}, sizeof(ITEM), NULL);
    for (ULONG i = 0; i < 500; i++) {
        ULONG n = Random(100);
        assert_int_equal(((ITEM *)RtlGetElementGenericTable(&Table, n))->Key, n * 37 % 100);
    }
    assert_null(RtlGetElementGenericTable(&Table, 100));
    for (ULONG i = 0; i < 100; i++)
        assert_int_equal(((ITEM *)RtlEnumerateGenericTableWithoutSplaying(&Table, &Key))->Key, i);
    assert_null(RtlEnumerateGenericTableWithoutSplaying(&Table, &Key));
    for (ULONG i = 0; i < 100; i++)
        RtlDeleteElementGenericTable(&Table, &(ITEM){i, 0});
}

static void a_table_without_memory_stays_as_it_is(void **state)
{
    RTL_GENERIC_TABLE Splay;
    RTL_AVL_TABLE Avl;
    BOOLEAN New = TRUE;
    RtlInitializeGenericTable(&Splay, SplayOrder, SplayAllocate, SplayFree, NULL);
    RtlInitializeGenericTableAvl(&Avl, AvlOrder, AvlAllocate, AvlFree, NULL);
    Exhausted = TRUE;
    assert_null(RtlInsertElementGenericTable(&Splay, &(ITEM){1, 1}, sizeof(ITEM), &New));
    assert_false(New);
    assert_null(RtlInsertElementGenericTableAvl(&Avl, &(ITEM){1, 1}, sizeof(ITEM), &New));
    Exhausted = FALSE;
    assert_true(RtlIsGenericTableEmpty(&Splay));
    assert_true(RtlIsGenericTableEmptyAvl(&Avl));
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(a_balanced_table_behaves_as_a_set_in_order),
        cmocka_unit_test(elements_of_a_balanced_table_have_numbers),
        cmocka_unit_test(deleting_while_enumerating_misses_nothing),
        cmocka_unit_test(the_first_of_several_matches_is_found),
        cmocka_unit_test(a_splay_table_behaves_as_a_set_in_order),
        cmocka_unit_test(elements_of_a_splay_table_are_numbered_as_inserted),
        cmocka_unit_test(a_table_without_memory_stays_as_it_is),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
