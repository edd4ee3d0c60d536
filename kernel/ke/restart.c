// SPDX-License-Identifier: MIT
// Sequences that start again when they are interrupted.
//
// Problem. What belongs to one processor may be changed without a lock as long as the processor
// does nothing else meanwhile. Raising the IRQL, or turning interrupts off, ensures that and costs
// more than the few instructions that it protects.
//
// Idea. The sequence is written so that one instruction, its last, makes the change, and all
// before it may be done any number of times. It is then let run unprotected, and whatever
// interrupts it before its end sends it back to its start: as if it had been interrupted just
// before. That costs the interrupt two comparisons, and those who are not interrupted nothing.
//
// The rule. Before anything runs that may change what such a sequence works on, or may move the
// interrupted thread to another processor, the interrupted address is looked up: at the entry of
// every interrupt (KiInterrupt, and amd64's KiDpcEntry) and at the end of every trap that let
// interrupts in (KiDispatchTrap). Debugger's stops and NMIs do neither and leave the address alone,
// so that a sequence can be stepped through. What the sequence may not do is raise the IRQL, call,
// or touch memory that can fault and be resumed.
//
// Who uses it: the pool's fast path (mm/amd64/poolarch.h, mm/i386/poolarch.h). Test:
// tests/guest/poolrestart.c.
#include "ki.h"

ULONG_PTR FASTCALL KiRestartPoint(ULONG_PTR Pc)
{
    for (const KE_RESTART *Entry = RestartTableStart; Entry < RestartTableEnd; Entry++)
        if (Pc - Entry->Start < Entry->End - Entry->Start)
            return Entry->Restart;
    return Pc;
}
