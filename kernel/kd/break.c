// SPDX-License-Identifier: MIT
// What drivers ask of a debugger: whether there is one, and to stop in it.
#include "kdp.h"

static volatile BOOLEAN KdGo; // set by gdb: set var KdGo = 1

// /BREAK: with the kernel's own debugger, stops at the first instruction of KiSystemStartup.
// Without it, stands still as soon as options and log work, so that another debugger can attach to
// a machine whose start cannot be timed (QEMU's gdb stub behind a boot medium, a JTAG probe).
VOID KdBreakAtStart(ULONG_PTR Start)
{
    if (!KdQueryOption("BREAK", NULL, 0) || KdpBreakAt(Start))
        return;
    KLOG("kd", "stopped by /BREAK: in gdb `set var KdGo = 1` and continue, or press a key");
    while (!KdGo && HalPollInput() < 0)
        KiPause();
}

// DbgBreakPoint: raises STATUS_BREAKPOINT at the caller; without a debugger or a handler that is
// KMODE_EXCEPTION_NOT_HANDLED.
// IRQL: any. Source: WDK wdm.h, DbgBreakPoint.
VOID NTAPI DbgBreakPoint(VOID);
VOID NTAPI DbgBreakPoint(VOID)
{
    __asm__ volatile("int3");
}
EXPORT(DbgBreakPoint, EXPORT_ANY_IRQL, "WDK wdm.h DbgBreakPoint");

// DbgBreakPointWithStatus: the same; Status is left in the first argument register for the
// debugger. IRQL: any. Source: WDK wdm.h, DbgBreakPointWithStatus.
VOID NTAPI DbgBreakPointWithStatus(ULONG Status);
VOID NTAPI DbgBreakPointWithStatus(ULONG Status)
{
    __asm__ volatile("int3" ::"c"(Status));
}
EXPORT(DbgBreakPointWithStatus, EXPORT_ANY_IRQL, "WDK wdm.h DbgBreakPointWithStatus");

// KdRefreshDebuggerNotPresent: whether no debugger answers now.
// IRQL: any. Source: WDK ntddk.h, KdRefreshDebuggerNotPresent.
BOOLEAN NTAPI KdRefreshDebuggerNotPresent(VOID);
BOOLEAN NTAPI KdRefreshDebuggerNotPresent(VOID)
{
    return KdDebuggerNotPresent;
}
EXPORT(KdRefreshDebuggerNotPresent, EXPORT_ANY_IRQL, "WDK ntddk.h KdRefreshDebuggerNotPresent");
