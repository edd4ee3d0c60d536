// SPDX-License-Identifier: MIT
// Splay trees.
//
// A splay tree has no balance to keep: whatever is touched is rotated up to the root (Sleator and
// Tarjan, 1985), so that a sequence of operations costs a logarithm each on the average, and what
// is used often is found near the top. The links are the driver's; the root's Parent is the root
// itself.
//
// Nothing is locked: the owner serializes. IRQL: any the links are resident for.
#include "rtl.h"
#include "rtlp.h"

typedef PRTL_SPLAY_LINKS PNODE;

static BOOLEAN RtlpIsRoot(PNODE Node)
{
    return Node->Parent == Node;
}

static BOOLEAN RtlpIsLeftChild(PNODE Node)
{
    return !RtlpIsRoot(Node) && Node->Parent->LeftChild == Node;
}

// Puts Node above its parent, keeping the order.
static VOID RtlpRotateUp(PNODE Node)
{
    PNODE Parent = Node->Parent, Above = Parent->Parent;
    BOOLEAN WasRoot = RtlpIsRoot(Parent), ParentLeft = RtlpIsLeftChild(Parent);
    PNODE Inner;

    if (Parent->LeftChild == Node) {
        Inner = Parent->LeftChild = Node->RightChild;
        Node->RightChild = Parent;
    } else {
        Inner = Parent->RightChild = Node->LeftChild;
        Node->LeftChild = Parent;
    }
    if (Inner != NULL)
        Inner->Parent = Parent;
    Parent->Parent = Node;
    Node->Parent = WasRoot ? Node : Above;
    if (!WasRoot && ParentLeft)
        Above->LeftChild = Node;
    else if (!WasRoot)
        Above->RightChild = Node;
}

// Makes Links the root of its tree, which becomes shallower along the way. Returns Links. IRQL:
// any the links are resident for. Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlSplay(PRTL_SPLAY_LINKS Links)
{
    while (!RtlpIsRoot(Links)) {
        PNODE Parent = Links->Parent;
        if (!RtlpIsRoot(Parent))
            RtlpRotateUp(RtlpIsLeftChild(Links) == RtlpIsLeftChild(Parent) ? Parent : Links);
        RtlpRotateUp(Links);
    }
    return Links;
}
EXPORT(RtlSplay, EXPORT_ANY_IRQL, ON_NTDDK);

// The node behind Links within the subtree below it. IRQL: any the links are resident for.
// Fails: NULL. Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlSubtreeSuccessor(PRTL_SPLAY_LINKS Links)
{
    PNODE Node = Links->RightChild;

    while (Node != NULL && Node->LeftChild != NULL)
        Node = Node->LeftChild;
    return Node;
}
EXPORT(RtlSubtreeSuccessor, EXPORT_ANY_IRQL, ON_NTDDK);

// The node before Links within the subtree below it. IRQL: any the links are resident for.
// Fails: NULL. Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlSubtreePredecessor(PRTL_SPLAY_LINKS Links)
{
    PNODE Node = Links->LeftChild;

    while (Node != NULL && Node->RightChild != NULL)
        Node = Node->RightChild;
    return Node;
}
EXPORT(RtlSubtreePredecessor, EXPORT_ANY_IRQL, ON_NTDDK);

// The node behind Links in the whole tree. IRQL: any the links are resident for. Fails: NULL.
// Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlRealSuccessor(PRTL_SPLAY_LINKS Links)
{
    if (Links->RightChild != NULL)
        return RtlSubtreeSuccessor(Links);
    while (!RtlpIsRoot(Links) && !RtlpIsLeftChild(Links))
        Links = Links->Parent;
    return RtlpIsRoot(Links) ? NULL : Links->Parent;
}
EXPORT(RtlRealSuccessor, EXPORT_ANY_IRQL, ON_NTDDK);

// The node before Links in the whole tree. IRQL: any the links are resident for. Fails: NULL.
// Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlRealPredecessor(PRTL_SPLAY_LINKS Links)
{
    if (Links->LeftChild != NULL)
        return RtlSubtreePredecessor(Links);
    while (RtlpIsLeftChild(Links))
        Links = Links->Parent;
    return RtlpIsRoot(Links) ? NULL : Links->Parent;
}
EXPORT(RtlRealPredecessor, EXPORT_ANY_IRQL, ON_NTDDK);

// Puts New (may be NULL) where Old hangs.
static VOID RtlpPutInPlaceOf(PNODE Old, PNODE New)
{
    if (RtlpIsRoot(Old)) {
        if (New != NULL)
            New->Parent = New;
        return;
    }
    if (RtlpIsLeftChild(Old))
        Old->Parent->LeftChild = New;
    else
        Old->Parent->RightChild = New;
    if (New != NULL)
        New->Parent = Old->Parent;
}

// Takes Links out. Returns a node of what is left: the new root, or one near where Links was;
// NULL when nothing is left.
static PNODE RtlpTakeOut(PNODE Links)
{
    PNODE Heir, Near;

    if (Links->LeftChild == NULL || Links->RightChild == NULL) {
        Heir = Links->LeftChild != NULL ? Links->LeftChild : Links->RightChild;
        Near = RtlpIsRoot(Links) ? Heir : Links->Parent;
        RtlpPutInPlaceOf(Links, Heir);
        return Near;
    }
    Heir = RtlSubtreePredecessor(Links);
    Near = Heir->Parent == Links ? Heir : Heir->Parent;
    RtlpPutInPlaceOf(Heir, Heir->LeftChild);
    RtlpPutInPlaceOf(Links, Heir);
    Heir->LeftChild = Links->LeftChild;
    Heir->RightChild = Links->RightChild;
    if (Heir->LeftChild != NULL)
        Heir->LeftChild->Parent = Heir;
    Heir->RightChild->Parent = Heir;
    return Near;
}

// Takes Links out of its tree and splays near where it was. Returns the new root, NULL when the
// tree is empty. IRQL: any the links are resident for. Source: Windows driver documentation.
PRTL_SPLAY_LINKS NTAPI RtlDelete(PRTL_SPLAY_LINKS Links)
{
    PNODE Near = RtlpTakeOut(Links);

    return Near == NULL ? NULL : RtlSplay(Near);
}
EXPORT(RtlDelete, EXPORT_ANY_IRQL, ON_NTDDK);

// Takes Links out of the tree at *Root and leaves the rest as it is. IRQL: any the links are
// resident for. Source: Windows driver documentation.
VOID NTAPI RtlDeleteNoSplay(PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS *Root)
{
    PNODE Node = RtlpTakeOut(Links);

    while (Node != NULL && !RtlpIsRoot(Node))
        Node = Node->Parent;
    *Root = Node;
}
EXPORT(RtlDeleteNoSplay, EXPORT_ANY_IRQL, ON_NTDDK);
