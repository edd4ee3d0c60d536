// SPDX-License-Identifier: MIT
// i386: 64-bit arithmetic as Microsoft's compiler has it done by the kernel, and large stack
// frames.

LONG64 NTAPI _alldiv(LONG64 Dividend, LONG64 Divisor);
LONG64 NTAPI _allrem(LONG64 Dividend, LONG64 Divisor);
LONG64 NTAPI _allmul(LONG64 First, LONG64 Second);
ULONG64 NTAPI _aulldiv(ULONG64 Dividend, ULONG64 Divisor);
ULONG64 NTAPI _aullrem(ULONG64 Dividend, ULONG64 Divisor);

// mingw-w64's library has no _allshr and _aullshr under a name that C can say; these are looked up.
static PVOID Find(PCWSTR Name)
{
    UNICODE_STRING String;
    RtlInitUnicodeString(&String, Name);
    return MmGetSystemRoutineAddress(&String);
}

static ULONG64 Shift(PVOID Routine, ULONG64 Value, ULONG Count)
{
    __asm__("call *%1" : "+A"(Value) : "r"(Routine), "c"(Count));
    return Value;
}

static ULONG64 Divide(PVOID Routine, ULONG64 Dividend, ULONG64 Divisor, PULONG64 Remainder)
{
    ULONG Low, High, Rest, RestHigh;
    __asm__("pushl %7; pushl %6; pushl %5; pushl %4; call *%8"
            : "=a"(Low), "=d"(High), "=c"(Rest), "=b"(RestHigh)
            : "0"((ULONG)Dividend), "1"((ULONG)(Dividend >> 32)), "2"((ULONG)Divisor),
              "3"((ULONG)(Divisor >> 32)), "D"(Routine)
            : "memory");
    *Remainder = (ULONG64)RestHigh << 32 | Rest;
    return (ULONG64)High << 32 | Low;
}

// How far a probe with this size moved the stack pointer.
static ULONG Probe(PVOID Routine, ULONG Size)
{
    ULONG Before, After;
    __asm__("movl %%esp, %1; movl %%esp, %%esi; call *%2; movl %%esp, %0; movl %%esi, %%esp"
            : "=&r"(After), "=&r"(Before), "+r"(Routine), "+a"(Size)
            :
            : "esi", "memory");
    return Before - After;
}

static VOID ShiftsGoTheWholeWay(VOID)
{
    PVOID Left = Find(L"_allshl"), Right = Find(L"_allshr"), Unsigned = Find(L"_aullshr");
    ULONG64 Value = 0x8123456789ABCDEFull;

    for (ULONG n = 0; n < 80; n++) {
        CHECK_EQUAL(Shift(Left, Value, n), n < 64 ? Value << n : 0);
        CHECK_EQUAL(Shift(Unsigned, Value, n), n < 64 ? Value >> n : 0);
        CHECK_EQUAL(Shift(Right, Value, n), n < 64 ? (ULONG64)((LONG64)Value >> n) : ~0ull);
    }
}

static VOID CompilerRoutinesKeepTheirConventions(VOID)
{
    ULONG64 Rest = 0;

    CHECK_EQUAL(_alldiv(-1000000000007ll, 10), (ULONG64)-100000000000ll);
    CHECK_EQUAL(_allrem(-1000000000007ll, 10), (ULONG64)-7ll);
    CHECK_EQUAL(_allmul(0x100000001ll, -3), (ULONG64)(0x100000001ll * -3));
    CHECK_EQUAL(_aulldiv(~0ull, 3), 0x5555555555555555ull);
    CHECK_EQUAL(_aullrem(~0ull, 0x100000000ull), 0xFFFFFFFF);
    CHECK_EQUAL(Divide(Find(L"_alldvrm"), (ULONG64)-1000000000007ll, 10, &Rest),
                (ULONG64)-100000000000ll);
    CHECK_EQUAL(Rest, (ULONG64)-7ll);
    CHECK_EQUAL(Divide(Find(L"_aulldvrm"), ~0ull, 0x100000000ull, &Rest), 0xFFFFFFFF);
    CHECK_EQUAL(Rest, 0xFFFFFFFF);
    ShiftsGoTheWholeWay();
    CHECK_EQUAL(Probe(Find(L"_chkstk"), 8), 8);
    CHECK_EQUAL(Probe(Find(L"_alloca_probe"), 4096 + 12), 4096 + 12);
    CHECK_EQUAL(Probe(Find(L"_alloca_probe_16"), 20) % 4, 0);
}
