// SPDX-License-Identifier: MIT
// i386: what Microsoft's compiler calls for 64-bit arithmetic and large stack frames.
//
// Multiplication, division and remainder take two 64-bit arguments on the stack, pop them and
// return in edx:eax, which is this kernel's NTAPI; they preserve what C functions preserve. The
// others have conventions of their own and are in compiler_asm.S. A division by zero raises the
// processor's exception, as it does on NT.
//
// Source: compiler output and "Compiler support" notes in the Microsoft C++ documentation.
#include "rtl.h"
#include "../rtlp.h"

#define ON_COMPILER "support routine of the Microsoft C++ compiler"
#define UNCHECKED   __attribute__((no_sanitize("undefined")))  // the driver's own arithmetic

LONG64 NTAPI _alldiv(LONG64 Dividend, LONG64 Divisor);
LONG64 NTAPI _allrem(LONG64 Dividend, LONG64 Divisor);
LONG64 NTAPI _allmul(LONG64 First, LONG64 Second);
ULONG64 NTAPI _aulldiv(ULONG64 Dividend, ULONG64 Divisor);
ULONG64 NTAPI _aullrem(ULONG64 Dividend, ULONG64 Divisor);
LONG64 NTAPI RtlpSignedDivide(LONG64 Dividend, LONG64 Divisor, PLONG64 Remainder);
ULONG64 NTAPI RtlpUnsignedDivide(ULONG64 Dividend, ULONG64 Divisor, PULONG64 Remainder);

// Signed quotient. IRQL: any. Source: Microsoft C++ compiler.
UNCHECKED LONG64 NTAPI _alldiv(LONG64 Dividend, LONG64 Divisor)
{
    return Dividend / Divisor;
}
EXPORT(_alldiv, EXPORT_ANY_IRQL, ON_COMPILER);

// Signed remainder, with the dividend's sign. IRQL: any. Source: Microsoft C++ compiler.
UNCHECKED LONG64 NTAPI _allrem(LONG64 Dividend, LONG64 Divisor)
{
    return Dividend % Divisor;
}
EXPORT(_allrem, EXPORT_ANY_IRQL, ON_COMPILER);

// Low 64 bits of the product, signed and unsigned alike. IRQL: any. Source: Microsoft C++ compiler.
LONG64 NTAPI _allmul(LONG64 First, LONG64 Second)
{
    return (LONG64)((ULONG64)First * (ULONG64)Second);
}
EXPORT(_allmul, EXPORT_ANY_IRQL, ON_COMPILER);

// Unsigned quotient. IRQL: any. Source: Microsoft C++ compiler.
UNCHECKED ULONG64 NTAPI _aulldiv(ULONG64 Dividend, ULONG64 Divisor)
{
    return Dividend / Divisor;
}
EXPORT(_aulldiv, EXPORT_ANY_IRQL, ON_COMPILER);

// Unsigned remainder. IRQL: any. Source: Microsoft C++ compiler.
UNCHECKED ULONG64 NTAPI _aullrem(ULONG64 Dividend, ULONG64 Divisor)
{
    return Dividend % Divisor;
}
EXPORT(_aullrem, EXPORT_ANY_IRQL, ON_COMPILER);

// For _alldvrm and _aulldvrm.
UNCHECKED LONG64 NTAPI RtlpSignedDivide(LONG64 Dividend, LONG64 Divisor, PLONG64 Remainder)
{
    *Remainder = Dividend % Divisor;
    return Dividend / Divisor;
}

UNCHECKED ULONG64 NTAPI RtlpUnsignedDivide(ULONG64 Dividend, ULONG64 Divisor, PULONG64 Remainder)
{
    *Remainder = Dividend % Divisor;
    return Dividend / Divisor;
}

// compiler_asm.S. Not callable from C: registers are described there.
VOID _alldvrm(VOID);
VOID _aulldvrm(VOID);
VOID _allshl(VOID);
VOID _allshr(VOID);
VOID _aullshr(VOID);
VOID _chkstk(VOID);
VOID _alloca_probe_8(VOID);
VOID _alloca_probe_16(VOID);

EXPORT(_alldvrm, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_aulldvrm, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_allshl, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_allshr, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_aullshr, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_chkstk, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT_AS(_alloca_probe, _chkstk, EXPORT_ANY_IRQL, 0, ON_COMPILER);
EXPORT(_alloca_probe_8, EXPORT_ANY_IRQL, ON_COMPILER);
EXPORT(_alloca_probe_16, EXPORT_ANY_IRQL, ON_COMPILER);
