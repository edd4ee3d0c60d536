// SPDX-License-Identifier: MIT
// Page faults: which rule was broken, by whom, said in one sentence.
//
// Nothing is paged out yet, so no fault can be resolved by finding a page; what is left is to say
// exactly what went wrong. The order of the questions matters and is NT's:
//
//   the access is allowed by now                a stale TLB entry: forget it and retry
//   a reserved bit in an entry                  0x1A: page tables are damaged
//   mapped, system address, write to read-only  0xBE, at any IRQL
//   mapped, execute of a no-execute page        0xFC, at any IRQL
//   an unloaded driver was there                0xCE, at any IRQL
//   special pool, a guard                       0xCD when the kernel's code did it, else 0xD6
//   special pool, a freed block                 0xCC when the kernel's code did it, else 0xD5
//   IRQL >= DISPATCH_LEVEL                      0x0A when the kernel's code did it, else 0xD1
//   system address                              0x50, no exception: __try cannot catch it
//   user address                                STATUS_ACCESS_VIOLATION, for who wants to catch it
//
// A non-canonical address never gets here: it is a general protection fault, and ke asks
// MmBugCheckNonCanonical for the same words.
//
// P2 or P3 say 0 for a read, 1 for a write, 8 for an execution, in all of them alike.
//
// No locks, no allocation: this runs at any IRQL, and the text lies in a static buffer because
// there is no second bugcheck. Observability: this is it; tests/system breaks every rule once.
#include "mi.h"
#include "poolp.h"

#define NULL_POINTER_LIMIT 0x1000u // below: most likely a field of a structure at NULL

// 0x50's fourth parameter.
#define FAULT_FREED_PTE     0x0u
#define FAULT_NO_PTE        0x2u
#define FAULT_NOT_CANONICAL 0x4u
#define FAULT_USER_ADDRESS  0xFu

typedef struct _MI_FAULT {
    PKTRAP_FRAME Frame;
    ULONG_PTR Address, Pc;
    ULONG Access; // ACCESS_*
    KIRQL Irql;
    BOOLEAN Canonical;
    BOOLEAN System; // system address
    MI_MAPPING Mapping;
} MI_FAULT;

// ---- words --------------------------------------------------------------------------------------
static char MiText[512];
static SIZE_T MiTextLength;

static VOID MiSay(const char *Format, ...)
{
    va_list Arguments;
    va_start(Arguments, Format);
    MiTextLength +=
        (SIZE_T)RtlFormatV(MiText + MiTextLength, sizeof(MiText) - MiTextLength, Format, Arguments);
    va_end(Arguments);
    if (MiTextLength >= sizeof(MiText))
        MiTextLength = sizeof(MiText) - 1;
}

// A call of what is no code leaves its return address on top of the stack.
static BOOLEAN MiWhoCalled(const MI_FAULT *Fault, char *Who, SIZE_T Size)
{
    ULONG_PTR Caller;
    return KeSafeCopy(&Caller, (PVOID)TRAP_SP(Fault->Frame), sizeof(Caller)) &&
           KdSymbolize(Caller, Who, Size);
}

// "edu.sys+0x1234 EduIsr+0x12 wrote to 0xFFFF... (system PTEs) at DISPATCH_LEVEL"
static VOID MiSayWhat(const MI_FAULT *Fault)
{
    const MM_REGION *Region = MmFindRegion((PVOID)Fault->Address);
    char Who[128];
    MiTextLength = 0;
    if (Fault->Access == KE_ACCESS_EXECUTE)
        MiSay("%s sent the processor to", MiWhoCalled(Fault, Who, sizeof(Who)) ? Who : "Somebody");
    else if (KdSymbolize(Fault->Pc, Who, sizeof(Who)))
        MiSay("%s %s", Who, Fault->Access == KE_ACCESS_WRITE ? "wrote to" : "read from");
    else
        MiSay("Code at 0x%llX, which is in no image, %s", (ULONG64)Fault->Pc,
              Fault->Access == KE_ACCESS_WRITE ? "wrote to" : "read from");
    MiSay(" 0x%llX", (ULONG64)Fault->Address);
    if (Region != NULL)
        MiSay(" (%s)", Region->Name);
    MiSay(" at %s", KeIrqlName(Fault->Irql));
}

static VOID MiSayWhy(const MI_FAULT *Fault)
{
    if (Fault->Address < NULL_POINTER_LIMIT && Fault->Access == KE_ACCESS_EXECUTE)
        MiSay(". A pointer to a function was not set or not checked.");
    else if (Fault->Address < NULL_POINTER_LIMIT)
        MiSay(". The address is that of a field in a structure at NULL: a pointer was not set or "
              "not checked.");
    else if (!Fault->Canonical)
        MiSay(", which is not a canonical address: the pointer was overwritten or never set.");
    else if (Fault->Mapping.Valid)
        MiSay(", where memory is mapped but does not allow that.");
    else if (Fault->Mapping.Entry & PTE_SOFT_GUARD)
        MiSay(", a guard page: the access ran past the end of a stack or mapping.");
    else if (Fault->Mapping.Entry & PTE_SOFT_FREED)
        MiSay(", where memory was mapped until it was freed.");
    else
        MiSay(", where nothing is mapped.");
}

static ULONG_PTR MiExplainedPc;
static const char *MiExplanation;

VOID MmExplainFault(ULONG_PTR Pc, const char *Explanation)
{
    MiExplainedPc = Pc;
    MiExplanation = Explanation;
}

static const char *MiSentence(const MI_FAULT *Fault, const char *Rule)
{
    MiSayWhat(Fault);
    MiSayWhy(Fault);
    if (Fault->Pc == MiExplainedPc)
        Rule = MiExplanation;
    if (Rule != NULL)
        MiSay(" %s", Rule);
    return MiText;
}

// ---- verdicts -----------------------------------------------------------------------------------
static BOOLEAN MiIsKernelCode(ULONG_PTR Address)
{
    return Address - MiRegion[MmRegionKernelImage].Base < MiRegion[MmRegionKernelImage].Size;
}

// 0xA and 0xD1: at DISPATCH_LEVEL and above nobody could wait for a page. What is not the kernel's
// code is a driver's, wherever the processor was sent to.
static DECLSPEC_NORETURN VOID MiIrqlFault(const MI_FAULT *Fault)
{
    KiBugCheck(
        MiIsKernelCode(Fault->Pc) ? IRQL_NOT_LESS_OR_EQUAL : DRIVER_IRQL_NOT_LESS_OR_EQUAL,
        Fault->Address, Fault->Irql, Fault->Access, Fault->Pc, Fault->Frame,
        MiSentence(Fault, "At DISPATCH_LEVEL and above only resident memory may be touched."));
}

static DECLSPEC_NORETURN VOID MiSystemFault(const MI_FAULT *Fault)
{
    ULONG_PTR Kind = !Fault->Canonical                       ? FAULT_NOT_CANONICAL
                     : !Fault->System                        ? FAULT_USER_ADDRESS
                     : Fault->Mapping.Entry & PTE_SOFT_FREED ? FAULT_FREED_PTE
                                                             : FAULT_NO_PTE;
    KiBugCheck(PAGE_FAULT_IN_NONPAGED_AREA, Fault->Address, Fault->Access, Fault->Pc, Kind,
               Fault->Frame, MiSentence(Fault, NULL));
}

// Returns when there was no driver.
static VOID MiUnloadedFault(const MI_FAULT *Fault)
{
    ULONG_PTR Base;
    const char *Name = MmUnloadedDriverOf(Fault->Address, &Base);

    if (Name == NULL)
        return;
    MiSayWhat(Fault);
    MiSay(". That was %s+0x%llX until the driver was unloaded: it left a thread, a work item or a "
          "callback behind that still uses it.",
          Name, (ULONG64)(Fault->Address - Base));
    KiBugCheck(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, Fault->Address,
               Fault->Access, Fault->Pc, 0, Fault->Frame, MiText);
}

static VOID MiSayBlock(const MI_FAULT *Fault, const POOL_SPECIAL *Special)
{
    MiSayWhat(Fault);
    MiSay(", ");
    MiTextLength += (SIZE_T)ExpSayWhereInSpecial(
        MiText + MiTextLength, sizeof(MiText) - MiTextLength, Fault->Address, Special);
}

// Returns when it is not special pool that was touched.
static VOID MiSpecialFault(const MI_FAULT *Fault)
{
    POOL_SPECIAL Special;
    BOOLEAN Kernel = MiIsKernelCode(Fault->Pc);
    if (!ExpQuerySpecial((PVOID)Fault->Address, &Special) || !(Special.Guard || Special.Freed))
        return;
    ULONG Code = Special.Guard ? Kernel ? PAGE_FAULT_BEYOND_END_OF_ALLOCATION
                                        : DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION
                 : Kernel      ? PAGE_FAULT_IN_FREED_SPECIAL_POOL
                               : DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL;
    MiSayBlock(Fault, &Special);
    KiBugCheck(Code, Fault->Address, Fault->Access, Fault->Pc, 0, Fault->Frame, MiText);
}

static DECLSPEC_NORETURN VOID MiProtectionFault(const MI_FAULT *Fault)
{
    BOOLEAN Execute = Fault->Access == KE_ACCESS_EXECUTE;
    KiBugCheck(
        Execute ? ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY : ATTEMPTED_WRITE_TO_READONLY_MEMORY,
        Fault->Address, (ULONG_PTR)Fault->Mapping.Entry, 0, 0, Fault->Frame,
        MiSentence(Fault, Execute ? "Data was to be run as code." : "The memory is read-only."));
}

static DECLSPEC_NORETURN VOID MiTableFault(const MI_FAULT *Fault)
{
    KiBugCheck(
        MEMORY_MANAGEMENT, 0x41792, (ULONG_PTR)Fault->Mapping.Address,
        (ULONG_PTR)(ULONG)Fault->Mapping.Entry, (ULONG_PTR)(Fault->Mapping.Entry >> 32),
        Fault->Frame,
        MiSentence(Fault,
                   "A page table entry has reserved bits set: page tables were overwritten."));
}

static BOOLEAN MiRaiseAccessViolation(const MI_FAULT *Fault, PEXCEPTION_RECORD Exception)
{
    memset(Exception, 0, sizeof(*Exception));
    Exception->ExceptionCode = STATUS_ACCESS_VIOLATION;
    Exception->ExceptionAddress = (PVOID)Fault->Pc;
    Exception->NumberParameters = 2;
    Exception->ExceptionInformation[0] = Fault->Access;
    Exception->ExceptionInformation[1] = Fault->Address;
    return FALSE;
}

// ---- classification -----------------------------------------------------------------------------
static VOID MiDescribeFault(MI_FAULT *Fault, PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG Access)
{
    Fault->Frame = Frame;
    Fault->Address = Address;
    Fault->Pc = TRAP_PC(Frame);
    Fault->Access = Access;
    Fault->Irql = KiGetIrql();
    Fault->Canonical = MiQueryMapping(Address, &Fault->Mapping);
    Fault->System = Address >= (ULONG_PTR)MmSystemRangeStart;
}

static BOOLEAN MiIsAllowedNow(const MI_FAULT *Fault)
{
    ULONG Needed = Fault->Access == KE_ACCESS_WRITE     ? MM_WRITE
                   : Fault->Access == KE_ACCESS_EXECUTE ? MM_EXECUTE
                                                     : MM_READ;
    return Fault->Mapping.Valid && (Fault->Mapping.Rights & Needed) != 0;
}

// Mapped for the user, allowed by the tables, and yet the processor refused: SMAP, or SMEP for
// code.
static BOOLEAN MiIsUserPage(const MI_FAULT *Fault)
{
    return !Fault->System && Fault->Mapping.Valid && (Fault->Mapping.Entry & PTE_USER) != 0;
}

BOOLEAN MiPageFault(PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG ErrorCode,
                    PEXCEPTION_RECORD Exception)
{
    MI_FAULT Fault;
    MiDescribeFault(&Fault, Frame, Address,
                    ErrorCode & PF_FETCH   ? KE_ACCESS_EXECUTE
                    : ErrorCode & PF_WRITE ? KE_ACCESS_WRITE
                                           : KE_ACCESS_READ);
    if (ErrorCode & PF_RESERVED)
        MiTableFault(&Fault);
    if (MiIsAllowedNow(&Fault) && !MiIsUserPage(&Fault)) {
        KiInvalidatePage((PVOID)Address);
        return TRUE;
    }
    if (Fault.Mapping.Valid && Fault.Access == KE_ACCESS_EXECUTE)
        MiProtectionFault(&Fault);
    if (Fault.Mapping.Valid && Fault.System)
        MiProtectionFault(&Fault);
    if (Fault.System) {
        MiUnloadedFault(&Fault);
        MiSpecialFault(&Fault);
    }
    if (Fault.Irql >= DISPATCH_LEVEL)
        MiIrqlFault(&Fault);
    if (Fault.System || MiIsUserPage(&Fault))
        MiSystemFault(&Fault);
    return MiRaiseAccessViolation(&Fault, Exception);
}

// The page fault at Frame became an access violation that nobody handled: what it was, in words.
const char *MmDescribeViolation(PKTRAP_FRAME Frame, const EXCEPTION_RECORD *Exception)
{
    MI_FAULT Fault;
    MiDescribeFault(&Fault, Frame, Exception->ExceptionInformation[1],
                    (ULONG)Exception->ExceptionInformation[0]);
    return MiSentence(&Fault, "Nobody handled the exception.");
}

// A general protection fault whose cause is a pointer that is not canonical. Does not return.
DECLSPEC_NORETURN VOID MmBugCheckNonCanonical(PKTRAP_FRAME Frame, ULONG_PTR Address, ULONG Access)
{
    MI_FAULT Fault;
    MiDescribeFault(&Fault, Frame, Address, Access);
    Fault.Canonical = FALSE;
    MiSystemFault(&Fault);
}
