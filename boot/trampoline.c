// SPDX-License-Identifier: MIT
// Puts the code where other processors begin (trampoline.inc) into its page.
//
// It is done here because physical addresses are at hand here: the kernel finds the page by the
// loader block, fills the structure at its end and never sees the code.

#include "boot.h"

#define OFFSET_OF(Field)                                                                           \
    (LOADER_TRAMPOLINE_OFFSET + __builtin_offsetof(LOADER_TRAMPOLINE, Field))

_Static_assert(OFFSET_OF(Entry) == 0xF00, "trampoline.inc");
_Static_assert(OFFSET_OF(Stack) == 0xF08, "trampoline.inc");
_Static_assert(OFFSET_OF(Context) == 0xF10, "trampoline.inc");
_Static_assert(OFFSET_OF(Cr3) == 0xF18, "trampoline.inc");
_Static_assert(OFFSET_OF(Cr0) == 0xF20, "trampoline.inc");
_Static_assert(OFFSET_OF(Cr4) == 0xF24, "trampoline.inc");
_Static_assert(OFFSET_OF(Efer) == 0xF28, "trampoline.inc");
_Static_assert(OFFSET_OF(HasEfer) == 0xF2C, "trampoline.inc");
_Static_assert(OFFSET_OF(Ticket) == 0xF30, "trampoline.inc");

extern const UCHAR BootTrampoline[], BootTrampolineEnd[];
extern const USHORT BootTrampolineFixups[];  // offsets of absolute addresses; 0 ends them

// Page: below 1 MiB; 0: there is none, and no other processor can start.
void BootPlaceTrampoline(ULONG Page)
{
    UCHAR *Target = (UCHAR *)Page;

    if (Page == 0)
        return;
    __builtin_memset(Target, 0, BOOT_PAGE);
    __builtin_memcpy(Target, BootTrampoline, (ULONG)(BootTrampolineEnd - BootTrampoline));
    for (const USHORT *Offset = BootTrampolineFixups; *Offset != 0; Offset++)
        *(ULONG *)(Target + *Offset) += Page;
}
