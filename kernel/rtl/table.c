// SPDX-License-Identifier: MIT
// Generic tables on splay trees.
//
// As avl.c, but searches reorder the tree, and elements are also kept in the order of their
// insertion, which is how they are numbered. An element is its links, an entry of that list and
// the owner's data.
//
// Nothing is locked: the owner serializes, lookups too, at an IRQL that suits its routines and
// memory.
#include "rtl.h"
#include "rtlp.h"

typedef struct _RTLP_ELEMENT {
    RTL_SPLAY_LINKS Links;
    LIST_ENTRY InsertOrder;
    LONGLONG Data[];
} RTLP_ELEMENT, *PRTLP_ELEMENT;

static PVOID RtlpDataOfLinks(PRTL_SPLAY_LINKS Links)
{
    return Links == NULL ? NULL : CONTAINING_RECORD(Links, RTLP_ELEMENT, Links)->Data;
}

// *Node receives the element, or the one below which it belongs.
static TABLE_SEARCH_RESULT RtlpFind(PRTL_GENERIC_TABLE Table, PVOID Buffer, PRTL_SPLAY_LINKS *Node)
{
    PRTL_SPLAY_LINKS At = Table->TableRoot;
    TABLE_SEARCH_RESULT Result = TableEmptyTree;

    *Node = NULL;
    while (At != NULL) {
        RTL_GENERIC_COMPARE_RESULTS Order = Table->CompareRoutine(Table, Buffer,
                                                                  RtlpDataOfLinks(At));
        *Node = At;
        if (Order == GenericEqual)
            return TableFoundNode;
        Result = Order == GenericLessThan ? TableInsertAsLeft : TableInsertAsRight;
        At = Order == GenericLessThan ? At->LeftChild : At->RightChild;
    }
    return Result;
}

// Prepares an empty table. IRQL: any (documented: <= APC_LEVEL where the table is paged).
// Source: Windows driver documentation.
VOID NTAPI RtlInitializeGenericTable(PRTL_GENERIC_TABLE Table,
                                     PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine,
                                     PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine,
                                     PRTL_GENERIC_FREE_ROUTINE FreeRoutine, PVOID TableContext)
{
    memset(Table, 0, sizeof(*Table));
    InitializeListHead(&Table->InsertOrderList);
    Table->OrderedPointer = &Table->InsertOrderList;
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}
EXPORT(RtlInitializeGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

static VOID RtlpLink(PRTL_GENERIC_TABLE Table, PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS Parent,
                     TABLE_SEARCH_RESULT SearchResult)
{
    if (SearchResult == TableEmptyTree) {
        Links->Parent = Links;
        return;
    }
    Links->Parent = Parent;
    if (SearchResult == TableInsertAsLeft)
        Parent->LeftChild = Links;
    else
        Parent->RightChild = Links;
}

static PRTL_SPLAY_LINKS RtlpNewElement(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize)
{
    PRTLP_ELEMENT Element =
        Table->AllocateRoutine(Table, BufferSize + (CLONG)FIELD_OFFSET(RTLP_ELEMENT, Data));

    if (Element == NULL)
        return NULL;
    memset(Element, 0, sizeof(*Element));
    memcpy(Element->Data, Buffer, BufferSize);
    InsertTailList(&Table->InsertOrderList, &Element->InsertOrder);
    Table->NumberGenericTableElements++;
    return &Element->Links;
}

// Inserts a copy of Buffer where an earlier RtlLookupElementGenericTableFull found that it
// belongs (or finds it there). Returns the element's data; *NewElement (optional) tells whether
// it is new. IRQL: any the table's owner chose. Fails: NULL when the owner's routine could not
// allocate. Source: Windows driver documentation.
PVOID NTAPI RtlInsertElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer,
                                             CLONG BufferSize,
                                             PBOOLEAN NewElement, PVOID NodeOrParent,
                                             TABLE_SEARCH_RESULT SearchResult)
{
    BOOLEAN Known = SearchResult == TableFoundNode;
    PRTL_SPLAY_LINKS Links = Known ? NodeOrParent : RtlpNewElement(Table, Buffer, BufferSize);

    if (NewElement != NULL)
        *NewElement = !Known && Links != NULL;
    if (Links == NULL)
        return NULL;
    if (!Known)
        RtlpLink(Table, Links, NodeOrParent, SearchResult);
    Table->TableRoot = RtlSplay(Links);
    return RtlpDataOfLinks(Links);
}
EXPORT(RtlInsertElementGenericTableFull, EXPORT_ANY_IRQL, ON_NTDDK);

// Inserts a copy of Buffer, unless an equal element is there. Returns the element's data;
// *NewElement (optional) tells whether it is new. IRQL: any the table's owner chose. Fails: NULL
// when the owner's routine could not allocate. Source: Windows driver documentation.
PVOID NTAPI RtlInsertElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                         PBOOLEAN NewElement)
{
    PRTL_SPLAY_LINKS Node;
    TABLE_SEARCH_RESULT Result = RtlpFind(Table, Buffer, &Node);

    return RtlInsertElementGenericTableFull(Table, Buffer, BufferSize, NewElement, Node, Result);
}
EXPORT(RtlInsertElementGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

// Takes out the element that equals Buffer and has the owner free it. IRQL: any the table's owner
// chose. Fails: FALSE when there is none. Source: Windows driver documentation.
BOOLEAN NTAPI RtlDeleteElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)
{
    PRTL_SPLAY_LINKS Links;
    PRTLP_ELEMENT Element;

    if (RtlpFind(Table, Buffer, &Links) != TableFoundNode)
        return FALSE;
    Element = CONTAINING_RECORD(Links, RTLP_ELEMENT, Links);
    Table->TableRoot = RtlDelete(Links);
    RemoveEntryList(&Element->InsertOrder);
    Table->NumberGenericTableElements--;
    Table->WhichOrderedElement = 0;
    Table->OrderedPointer = &Table->InsertOrderList;
    Table->FreeRoutine(Table, Element);
    return TRUE;
}
EXPORT(RtlDeleteElementGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

// The data of the element that equals Buffer; *NodeOrParent and *SearchResult tell where it is or
// belongs, for an insertion to follow. IRQL: any the table's owner chose. Fails: NULL.
// Source: Windows driver documentation.
PVOID NTAPI RtlLookupElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer,
                                             PVOID *NodeOrParent,
                                             TABLE_SEARCH_RESULT *SearchResult)
{
    PRTL_SPLAY_LINKS Links;

    *SearchResult = RtlpFind(Table, Buffer, &Links);
    *NodeOrParent = Links;
    if (*SearchResult != TableFoundNode)
        return NULL;
    Table->TableRoot = RtlSplay(Links);
    return RtlpDataOfLinks(Links);
}
EXPORT(RtlLookupElementGenericTableFull, EXPORT_ANY_IRQL, ON_NTDDK);

// The data of the element that equals Buffer. IRQL: any the table's owner chose. Fails: NULL.
// Source: Windows driver documentation.
PVOID NTAPI RtlLookupElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer)
{
    TABLE_SEARCH_RESULT Result;
    PVOID NodeOrParent;

    return RtlLookupElementGenericTableFull(Table, Buffer, &NodeOrParent, &Result);
}
EXPORT(RtlLookupElementGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

static PRTL_SPLAY_LINKS RtlpFirstLinks(PRTL_GENERIC_TABLE Table)
{
    PRTL_SPLAY_LINKS Links = Table->TableRoot;

    while (Links != NULL && Links->LeftChild != NULL)
        Links = Links->LeftChild;
    return Links;
}

// The next element in the table's order, which becomes the root; Restart begins with the first.
// IRQL: any the table's owner chose. Fails: NULL at the end. Source: Windows driver documentation.
PVOID NTAPI RtlEnumerateGenericTable(PRTL_GENERIC_TABLE Table, BOOLEAN Restart)
{
    PRTL_SPLAY_LINKS Links;

    if (Table->TableRoot == NULL)
        return NULL;
    Links = Restart ? RtlpFirstLinks(Table) : RtlRealSuccessor(Table->TableRoot);
    if (Links != NULL)
        Table->TableRoot = RtlSplay(Links);
    return RtlpDataOfLinks(Links);
}
EXPORT(RtlEnumerateGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

// The element behind *RestartKey (NULL: the first) in the table's order, and *RestartKey moved to
// it; the tree stays as it is. IRQL: any the table's owner chose. Fails: NULL at the end. Source:
// Windows driver documentation.
PVOID NTAPI RtlEnumerateGenericTableWithoutSplaying(PRTL_GENERIC_TABLE Table, PVOID *RestartKey)
{
    PRTL_SPLAY_LINKS Links = *RestartKey;

    Links = Links == NULL ? RtlpFirstLinks(Table) : RtlRealSuccessor(Links);
    if (Links != NULL)
        *RestartKey = Links;
    return RtlpDataOfLinks(Links);
}
EXPORT(RtlEnumerateGenericTableWithoutSplaying, EXPORT_ANY_IRQL, ON_NTDDK);

// Element number I, from 0, in the order of insertion. Asking for neighbours in turn costs one
// step each. IRQL: any the table's owner chose. Fails: NULL when there are not so many. Source:
// Windows driver documentation.
PVOID NTAPI RtlGetElementGenericTable(PRTL_GENERIC_TABLE Table, ULONG I)
{
    PLIST_ENTRY Entry = Table->OrderedPointer;
    ULONG At = Table->WhichOrderedElement;  // 0: the list's head

    if (I >= Table->NumberGenericTableElements)
        return NULL;
    if (I + 1 < At / 2) {
        Entry = &Table->InsertOrderList;
        At = 0;
    }
    for (; At < I + 1; At++)
        Entry = Entry->Flink;
    for (; At > I + 1; At--)
        Entry = Entry->Blink;
    Table->OrderedPointer = Entry;
    Table->WhichOrderedElement = At;
    return CONTAINING_RECORD(Entry, RTLP_ELEMENT, InsertOrder)->Data;
}
EXPORT(RtlGetElementGenericTable, EXPORT_ANY_IRQL, ON_NTDDK);

// How many elements the table has. IRQL: any the table's owner chose.
// Source: Windows driver documentation.
ULONG NTAPI RtlNumberGenericTableElements(PRTL_GENERIC_TABLE Table)
{
    return Table->NumberGenericTableElements;
}
EXPORT(RtlNumberGenericTableElements, EXPORT_ANY_IRQL, ON_NTDDK);

// Whether the table has no elements. IRQL: any the table's owner chose.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlIsGenericTableEmpty(PRTL_GENERIC_TABLE Table)
{
    return Table->TableRoot == NULL;
}
EXPORT(RtlIsGenericTableEmpty, EXPORT_ANY_IRQL, ON_NTDDK);
