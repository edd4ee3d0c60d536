// SPDX-License-Identifier: MIT
// Generic tables on balanced (AVL) trees.
//
// The owner allocates, frees and compares; the table links. An element is its RTL_BALANCED_LINKS
// with the owner's data behind them. The tree hangs on the table's BalancedRoot as its right
// child, so that every node has a parent and the root needs no special case.
//
// Balance is the height of the right subtree minus that of the left one: -1, 0 or 1 between
// calls. A change of height is carried up from where it happened; a node that leans by two is
// rotated.
//
// Nothing is locked: the owner serializes, at an IRQL that suits its routines and its memory.
// Cost: every search, insertion and deletion is logarithmic; enumeration is linear over the whole
// table.
#include "rtl.h"
#include "rtlp.h"

typedef PRTL_BALANCED_LINKS PNODE;

static PVOID RtlpDataOfNode(PNODE Node)
{
    return Node == NULL ? NULL : Node + 1;
}

// ---- order ------------------------------------------------------------------------------------

static PNODE RtlpLeftmost(PNODE Node)
{
    while (Node != NULL && Node->LeftChild != NULL)
        Node = Node->LeftChild;
    return Node;
}

static PNODE RtlpRightmost(PNODE Node)
{
    while (Node != NULL && Node->RightChild != NULL)
        Node = Node->RightChild;
    return Node;
}

static PNODE RtlpNextNode(PRTL_AVL_TABLE Table, PNODE Node)
{
    if (Node->RightChild != NULL)
        return RtlpLeftmost(Node->RightChild);
    while (Node->Parent != &Table->BalancedRoot && Node->Parent->RightChild == Node)
        Node = Node->Parent;
    return Node->Parent == &Table->BalancedRoot ? NULL : Node->Parent;
}

static PNODE RtlpPreviousNode(PRTL_AVL_TABLE Table, PNODE Node)
{
    if (Node->LeftChild != NULL)
        return RtlpRightmost(Node->LeftChild);
    while (Node->Parent != &Table->BalancedRoot && Node->Parent->LeftChild == Node)
        Node = Node->Parent;
    return Node->Parent == &Table->BalancedRoot ? NULL : Node->Parent;
}

// ---- links ------------------------------------------------------------------------------------

// Puts New (may be NULL) where Old hangs.
static VOID RtlpReplaceChild(PNODE Old, PNODE New)
{
    PNODE Parent = Old->Parent;

    if (Parent->LeftChild == Old)
        Parent->LeftChild = New;
    else
        Parent->RightChild = New;
    if (New != NULL)
        New->Parent = Parent;
}

static VOID RtlpSetLeft(PNODE Node, PNODE Child)
{
    Node->LeftChild = Child;
    if (Child != NULL)
        Child->Parent = Node;
}

static VOID RtlpSetRight(PNODE Node, PNODE Child)
{
    Node->RightChild = Child;
    if (Child != NULL)
        Child->Parent = Node;
}

static VOID RtlpRotateLeft(PNODE Node)
{
    PNODE Right = Node->RightChild;

    RtlpReplaceChild(Node, Right);
    RtlpSetRight(Node, Right->LeftChild);
    RtlpSetLeft(Right, Node);
}

static VOID RtlpRotateRight(PNODE Node)
{
    PNODE Left = Node->LeftChild;

    RtlpReplaceChild(Node, Left);
    RtlpSetLeft(Node, Left->RightChild);
    RtlpSetRight(Left, Node);
}

// After a double rotation the outer two lean away from where the middle one's weight was.
static VOID RtlpSetBalances(PNODE Middle, PNODE Left, PNODE Right)
{
    Left->Balance = Middle->Balance > 0 ? -1 : 0;
    Right->Balance = Middle->Balance < 0 ? 1 : 0;
    Middle->Balance = 0;
}

// Node leans right by two. Returns the subtree's new top.
static PNODE RtlpFixRight(PNODE Node)
{
    PNODE Child = Node->RightChild, Middle;

    if (Child->Balance < 0) {
        Middle = Child->LeftChild;
        RtlpRotateRight(Child);
        RtlpRotateLeft(Node);
        RtlpSetBalances(Middle, Node, Child);
        return Middle;
    }
    RtlpRotateLeft(Node);
    Node->Balance = Child->Balance == 0 ? 1 : 0;
    Child->Balance = Child->Balance == 0 ? -1 : 0;
    return Child;
}

static PNODE RtlpFixLeft(PNODE Node)
{
    PNODE Child = Node->LeftChild, Middle;

    if (Child->Balance > 0) {
        Middle = Child->RightChild;
        RtlpRotateLeft(Child);
        RtlpRotateRight(Node);
        RtlpSetBalances(Middle, Child, Node);
        return Middle;
    }
    RtlpRotateRight(Node);
    Node->Balance = Child->Balance == 0 ? -1 : 0;
    Child->Balance = Child->Balance == 0 ? 1 : 0;
    return Child;
}

// ---- balance ----------------------------------------------------------------------------------

// The subtree at Node has become one higher.
static VOID RtlpGrown(PRTL_AVL_TABLE Table, PNODE Node)
{
    for (; Node->Parent != &Table->BalancedRoot; Node = Node->Parent) {
        PNODE Parent = Node->Parent;
        LONG Balance = Parent->Balance + (Parent->RightChild == Node ? 1 : -1);
        if (Balance == 2) {
            RtlpFixRight(Parent);
            return;
        }
        if (Balance == -2) {
            RtlpFixLeft(Parent);
            return;
        }
        Parent->Balance = (CHAR)Balance;
        if (Balance == 0)
            return;
    }
    Table->DepthOfTree++;
}

// The subtree on one side of Node has become one lower.
static VOID RtlpShrunk(PRTL_AVL_TABLE Table, PNODE Node, BOOLEAN Right)
{
    while (Node != &Table->BalancedRoot) {
        LONG Balance = Node->Balance + (Right ? -1 : 1);
        PNODE Top = Node;
        if (Balance == 2)
            Top = RtlpFixRight(Node);
        else if (Balance == -2)
            Top = RtlpFixLeft(Node);
        else
            Node->Balance = (CHAR)Balance;
        if (Top->Balance != 0)
            return;  // as high as before
        Node = Top->Parent;
        Right = Node->RightChild == Top;
    }
    Table->DepthOfTree--;
}

// Exchanges Node, which has two children, with the one before it, which has at most a left one.
static VOID RtlpExchangeWithPrevious(PNODE Node)
{
    PNODE Previous = RtlpRightmost(Node->LeftChild);
    PNODE Parent = Previous->Parent, Left = Previous->LeftChild;
    CHAR Balance = Previous->Balance;

    RtlpReplaceChild(Node, Previous);
    RtlpSetRight(Previous, Node->RightChild);
    if (Parent == Node) {
        RtlpSetLeft(Previous, Node);
    } else {
        RtlpSetLeft(Previous, Node->LeftChild);
        RtlpSetRight(Parent, Node);
    }
    Previous->Balance = Node->Balance;
    Node->Balance = Balance;
    RtlpSetLeft(Node, Left);
    Node->RightChild = NULL;
}

static VOID RtlpUnlink(PRTL_AVL_TABLE Table, PNODE Node)
{
    if (Node->LeftChild != NULL && Node->RightChild != NULL)
        RtlpExchangeWithPrevious(Node);
    PNODE Parent = Node->Parent;
    BOOLEAN Right = Parent->RightChild == Node;
    RtlpReplaceChild(Node, Node->LeftChild != NULL ? Node->LeftChild : Node->RightChild);
    RtlpShrunk(Table, Parent, Right);
}

// ---- searching --------------------------------------------------------------------------------

// *Node receives the element, or the one below which it belongs.
static TABLE_SEARCH_RESULT RtlpFind(PRTL_AVL_TABLE Table, PVOID Buffer, PNODE *Node)
{
    PNODE At = Table->BalancedRoot.RightChild;
    TABLE_SEARCH_RESULT Result = TableEmptyTree;

    *Node = &Table->BalancedRoot;
    while (At != NULL) {
        RTL_GENERIC_COMPARE_RESULTS Order = Table->CompareRoutine(Table, Buffer,
                                                                  RtlpDataOfNode(At));
        *Node = At;
        if (Order == GenericEqual)
            return TableFoundNode;
        Result = Order == GenericLessThan ? TableInsertAsLeft : TableInsertAsRight;
        At = Order == GenericLessThan ? At->LeftChild : At->RightChild;
    }
    return Result;
}

// ---- exported ---------------------------------------------------------------------------------

// Prepares an empty table. IRQL: any (documented: <= APC_LEVEL where the table is paged).
// Source: Windows driver documentation.
VOID NTAPI RtlInitializeGenericTableAvl(PRTL_AVL_TABLE Table,
                                        PRTL_AVL_COMPARE_ROUTINE CompareRoutine,
                                        PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine,
                                        PRTL_AVL_FREE_ROUTINE FreeRoutine, PVOID TableContext)
{
    memset(Table, 0, sizeof(*Table));
    Table->BalancedRoot.Parent = &Table->BalancedRoot;
    Table->CompareRoutine = CompareRoutine;
    Table->AllocateRoutine = AllocateRoutine;
    Table->FreeRoutine = FreeRoutine;
    Table->TableContext = TableContext;
}
EXPORT(RtlInitializeGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

static PNODE RtlpNewNode(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize)
{
    PNODE Node = Table->AllocateRoutine(Table, BufferSize + (CLONG)sizeof(RTL_BALANCED_LINKS));

    if (Node == NULL)
        return NULL;
    memset(Node, 0, sizeof(*Node));
    memcpy(RtlpDataOfNode(Node), Buffer, BufferSize);
    return Node;
}

// Inserts a copy of Buffer where an earlier RtlLookupElementGenericTableFullAvl found that it
// belongs (or finds it there). Returns the element's data; *NewElement (optional) tells whether
// it is new. IRQL: any the table's owner chose. Fails: NULL when the owner's routine could not
// allocate. Source: Windows driver documentation.
PVOID NTAPI RtlInsertElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                CLONG BufferSize,
                                                PBOOLEAN NewElement, PVOID NodeOrParent,
                                                TABLE_SEARCH_RESULT SearchResult)
{
    BOOLEAN Known = SearchResult == TableFoundNode;
    PNODE Node = Known ? NodeOrParent : RtlpNewNode(Table, Buffer, BufferSize);

    if (NewElement != NULL)
        *NewElement = !Known && Node != NULL;
    if (Known || Node == NULL)
        return RtlpDataOfNode(Node);
    if (SearchResult == TableEmptyTree)
        RtlpSetRight(&Table->BalancedRoot, Node);
    else if (SearchResult == TableInsertAsLeft)
        RtlpSetLeft(NodeOrParent, Node);
    else
        RtlpSetRight(NodeOrParent, Node);
    Table->NumberGenericTableElements++;
    Table->WhichOrderedElement = 0;
    Table->OrderedPointer = NULL;
    RtlpGrown(Table, Node);
    return RtlpDataOfNode(Node);
}
EXPORT(RtlInsertElementGenericTableFullAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// Inserts a copy of Buffer, unless an equal element is there. Returns the element's data;
// *NewElement (optional) tells whether it is new. IRQL: any the table's owner chose. Fails: NULL
// when the owner's routine could not allocate. Source: Windows driver documentation.
PVOID NTAPI RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                            PBOOLEAN NewElement)
{
    PNODE Node;
    TABLE_SEARCH_RESULT Result = RtlpFind(Table, Buffer, &Node);

    return RtlInsertElementGenericTableFullAvl(Table, Buffer, BufferSize, NewElement, Node, Result);
}
EXPORT(RtlInsertElementGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// Takes out the element that equals Buffer and has the owner free it. An enumeration that stands
// at it goes on behind it. IRQL: any the table's owner chose. Fails: FALSE when there is none.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    PNODE Node;

    if (RtlpFind(Table, Buffer, &Node) != TableFoundNode)
        return FALSE;
    if (Table->RestartKey == Node)
        Table->RestartKey = RtlpPreviousNode(Table, Node);
    RtlpUnlink(Table, Node);
    Table->DeleteCount++;
    Table->NumberGenericTableElements--;
    Table->WhichOrderedElement = 0;
    Table->OrderedPointer = NULL;
    Table->FreeRoutine(Table, Node);
    return TRUE;
}
EXPORT(RtlDeleteElementGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// The data of the element that equals Buffer; *NodeOrParent and *SearchResult tell where it is or
// belongs, for an insertion to follow. IRQL: any the table's owner chose. Fails: NULL.
// Source: Windows driver documentation.
PVOID NTAPI RtlLookupElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                PVOID *NodeOrParent,
                                                TABLE_SEARCH_RESULT *SearchResult)
{
    PNODE Node;

    *SearchResult = RtlpFind(Table, Buffer, &Node);
    *NodeOrParent = Node;
    return *SearchResult == TableFoundNode ? RtlpDataOfNode(Node) : NULL;
}
EXPORT(RtlLookupElementGenericTableFullAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// The data of the element that equals Buffer. IRQL: any the table's owner chose. Fails: NULL.
// Source: Windows driver documentation.
PVOID NTAPI RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer)
{
    PNODE Node;

    return RtlpFind(Table, Buffer, &Node) == TableFoundNode ? RtlpDataOfNode(Node) : NULL;
}
EXPORT(RtlLookupElementGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// The first of the elements that the compare routine calls equal to Buffer; *RestartKey receives
// what RtlEnumerateGenericTableWithoutSplayingAvl goes on from. IRQL: any the table's owner
// chose. Fails: NULL. Source: Windows driver documentation.
PVOID NTAPI RtlLookupFirstMatchingElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                         PVOID *RestartKey)
{
    PNODE Node, Previous;

    *RestartKey = NULL;
    if (RtlpFind(Table, Buffer, &Node) != TableFoundNode)
        return NULL;
    while ((Previous = RtlpPreviousNode(Table, Node)) != NULL &&
           Table->CompareRoutine(Table, Buffer, RtlpDataOfNode(Previous)) == GenericEqual)
        Node = Previous;
    *RestartKey = Node;
    return RtlpDataOfNode(Node);
}
EXPORT(RtlLookupFirstMatchingElementGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// The element behind *RestartKey (NULL: the first) in the table's order, and *RestartKey moved to
// it. IRQL: any the table's owner chose. Fails: NULL at the end. Source: Windows driver
// documentation.
PVOID NTAPI RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE Table, PVOID *RestartKey)
{
    PNODE Node = *RestartKey == NULL ? RtlpLeftmost(Table->BalancedRoot.RightChild)
                                     : RtlpNextNode(Table, *RestartKey);

    if (Node != NULL)
        *RestartKey = Node;
    return RtlpDataOfNode(Node);
}
EXPORT(RtlEnumerateGenericTableWithoutSplayingAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// The same with the place kept in the table; Restart begins anew. IRQL: any the table's owner
// chose. Fails: NULL at the end. Source: Windows driver documentation.
PVOID NTAPI RtlEnumerateGenericTableAvl(PRTL_AVL_TABLE Table, BOOLEAN Restart)
{
    PVOID Key = Restart ? NULL : Table->RestartKey;
    PVOID Data = RtlEnumerateGenericTableWithoutSplayingAvl(Table, &Key);

    Table->RestartKey = Key;
    return Data;
}
EXPORT(RtlEnumerateGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// Element number I, from 0, in the table's order. Asking for neighbours in turn costs one step
// each. IRQL: any the table's owner chose. Fails: NULL when there are not so many. Source:
// Windows driver documentation.
PVOID NTAPI RtlGetElementGenericTableAvl(PRTL_AVL_TABLE Table, ULONG I)
{
    PNODE Node = Table->OrderedPointer;
    ULONG At = Table->WhichOrderedElement, Wanted = I + 1;

    if (I >= Table->NumberGenericTableElements)
        return NULL;
    if (At == 0 || Wanted < At / 2) {
        Node = RtlpLeftmost(Table->BalancedRoot.RightChild);
        At = 1;
    }
    for (; At < Wanted; At++)
        Node = RtlpNextNode(Table, Node);
    for (; At > Wanted; At--)
        Node = RtlpPreviousNode(Table, Node);
    Table->OrderedPointer = Node;
    Table->WhichOrderedElement = At;
    return RtlpDataOfNode(Node);
}
EXPORT(RtlGetElementGenericTableAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// How many elements the table has. IRQL: any the table's owner chose.
// Source: Windows driver documentation.
ULONG NTAPI RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE Table)
{
    return Table->NumberGenericTableElements;
}
EXPORT(RtlNumberGenericTableElementsAvl, EXPORT_ANY_IRQL, ON_NTDDK);

// Whether the table has no elements. IRQL: any the table's owner chose.
// Source: Windows driver documentation.
BOOLEAN NTAPI RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE Table)
{
    return Table->NumberGenericTableElements == 0;
}
EXPORT(RtlIsGenericTableEmptyAvl, EXPORT_ANY_IRQL, ON_NTDDK);
