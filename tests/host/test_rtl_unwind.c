// SPDX-License-Identifier: MIT
// Links: kernel/rtl/amd64/unwind.c
//
// A function is "run" by hand up to each of its instructions, prolog, body and epilog; unwinding
// from there must always give the caller's registers back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unwind_image.h"

#define RETURN_ADDRESS 0x1122334455667788ull
#define OF(Register)   ((ULONG64)(0xAA00 + (Register)))  // the caller's value
#define BEGIN          0x100u

static CONTEXT Start, Now;

static PULONG64 Reg(PCONTEXT Context, ULONG Number)
{
    return &Context->Rax + Number;
}

static VOID Push(ULONG64 Value)
{
    Now.Rsp -= 8;
    memcpy((PVOID)Now.Rsp, &Value, 8);
}

// A call of the function at BEGIN, Codes in the order in which they lie in the file (last one
// first).
static VOID Enter(const UCHAR *Code, ULONG Length, UNWIND_INFO Info, const USHORT *Codes,
                  ULONG Slots)
{
    memset(Image, 0xCC, sizeof(Image));
    memset(Stack, 0xEE, sizeof(Stack));
    memcpy(Image + BEGIN, Code, Length);
    Functions[0] = (RUNTIME_FUNCTION){0x10, 0x20, INFO_AT};
    Functions[1] = (RUNTIME_FUNCTION){BEGIN, BEGIN + Length, INFO_AT};
    Functions[2] = (RUNTIME_FUNCTION){0x700, 0x710, INFO_AT};
    Info.CountOfCodes = (UCHAR)Slots;
    memcpy(Image + INFO_AT, &Info, 4);
    memcpy(Image + INFO_AT + 4, Codes, Slots * 2);
    memset(&Start, 0, sizeof(Start));
    for (ULONG i = 0; i < 16; i++) {
        *Reg(&Start, i) = OF(i);
        (&Start.Xmm0)[i] = (M128A){OF(i), ~(LONGLONG)i};
    }
    Start.Rsp = (ULONG64)Stack + STACK_SIZE - 0x100;
    Now = Start;
    Start.Rip = RETURN_ADDRESS;
    Push(RETURN_ADDRESS);
}

static PEXCEPTION_ROUTINE Handler;
static PVOID HandlerData;
static ULONG64 Frame;

// Unwinds from Offset in the function and compares what must come back.
static VOID ExpectCaller(ULONG Offset)
{
    CONTEXT Context = Now;
    ULONG64 Base;
    PRUNTIME_FUNCTION Function;

    Context.Rip = (ULONG64)Image + BEGIN + Offset;
    Function = RtlLookupFunctionEntry(Context.Rip, &Base, NULL);
    assert_ptr_equal(Function, &Functions[1]);
    Handler = RtlVirtualUnwind(UNW_FLAG_EHANDLER, Base, Context.Rip, Function, &Context,
                               &HandlerData, &Frame, NULL);
    if (Context.Rip != RETURN_ADDRESS || Context.Rsp != Start.Rsp)
        fail_msg("at %u: rip %llx, rsp off by %lld", Offset, Context.Rip,
                 (LONG64)(Context.Rsp - Start.Rsp));
    static const UCHAR Preserved[] = {3, 5, 6, 7, 12, 13, 14, 15};
    for (ULONG i = 0; i < sizeof(Preserved); i++)
        if (*Reg(&Context, Preserved[i]) != OF(Preserved[i]))
            fail_msg("at %u: register %u is wrong", Offset, Preserved[i]);
    for (ULONG i = 6; i < 16; i++)
        assert_memory_equal(&(&Context.Xmm0)[i], &(&Start.Xmm0)[i], 16);
}

// UNWIND_CODE: offset of the prolog instruction's end, operation, operand.
#define CODE(Offset, Op, Info) (USHORT)((Offset) | (Op) << 8 | (Info) << 12)

// push rbx; push r12; sub rsp, 28h; nop; add rsp, 28h; pop r12; pop rbx; ret
static const UCHAR Simple[] = {0x53, 0x41, 0x54, 0x48, 0x83, 0xEC, 0x28, 0x90,
                               0x48, 0x83, 0xC4, 0x28, 0x41, 0x5C, 0x5B, 0xC3};
static const USHORT SimpleCodes[] = {CODE(7, UWOP_ALLOC_SMALL, 4), CODE(3, UWOP_PUSH_NONVOL, 12),
                                     CODE(1, UWOP_PUSH_NONVOL, 3)};

static VOID EnterSimple(UCHAR Flags)
{
    Enter(Simple, sizeof(Simple), (UNWIND_INFO){.Version = 1, .Flags = Flags, .SizeOfProlog = 7},
          SimpleCodes, 3);
}

static void every_place_of_a_function_unwinds(void **state)
{
    EnterSimple(0);
    ExpectCaller(0);
    Push(OF(3));
    Now.Rbx = 1;
    ExpectCaller(1);
    Push(OF(12));
    Now.R12 = 2;
    ExpectCaller(3);
    Now.Rsp -= 0x28;
    ExpectCaller(7);
    ExpectCaller(8);  // in the epilog, nothing of it done yet
    Now.Rsp += 0x28;
    ExpectCaller(12);
    Now.R12 = OF(12);
    Now.Rsp += 8;
    ExpectCaller(14);
    Now.Rbx = OF(3);
    Now.Rsp += 8;
    ExpectCaller(15);
}

// push rbp; sub rsp, 1000h; lea rbp, [rsp+80h]; saves; body; lea rsp, [rbp+0F80h]; pop rbp; ret
static const UCHAR Framed[] = {0x55, 0x48, 0x81, 0xEC, 0x00, 0x01, 0x00, 0x00, 0x48, 0x8D, 0xAC,
                               0x24, 0x80, 0x00, 0x00, 0x00, 0x90, 0x90, 0x90, 0x90,
                               0x48, 0x8D, 0xA5, 0x80, 0x00, 0x00, 0x00, 0x5D, 0xC3};
static const USHORT FramedCodes[] = {
    CODE(19, UWOP_SAVE_XMM128, 7), 2, CODE(18, UWOP_SAVE_NONVOL_FAR, 14), 0x40, 0,
    CODE(17, UWOP_SAVE_NONVOL, 13), 6, CODE(16, UWOP_SET_FPREG, 0),
    CODE(8, UWOP_ALLOC_LARGE, 0), 0x20, CODE(1, UWOP_PUSH_NONVOL, 5)};

static void a_frame_register_survives_alloca(void **state)
{
    Enter(Framed, sizeof(Framed),
          (UNWIND_INFO){.Version = 1, .SizeOfProlog = 19, .FrameRegister = 5, .FrameOffset = 8},
          FramedCodes, RTL_NUMBER_OF(FramedCodes));
    ExpectCaller(0);
    Push(OF(5));
    ExpectCaller(1);
    Now.Rsp -= 0x100;
    ExpectCaller(8);
    assert_int_equal(Frame, Now.Rsp);
    Now.Rbp = Now.Rsp + 0x80;
    ExpectCaller(16);
    ULONG64 Base = Now.Rsp;
    memcpy((PVOID)(Base + 6 * 8), &Now.R13, 8);
    Now.R13 = 1;
    ExpectCaller(17);
    memcpy((PVOID)(Base + 0x40), &Now.R14, 8);
    Now.R14 = 2;
    memcpy((PVOID)(Base + 2 * 16), &Now.Xmm7, 16);
    Now.Xmm7 = (M128A){1, 2};
    ExpectCaller(19);
    assert_int_equal(Frame, Base);
    Now.Rsp -= 0x40;  // alloca: only the frame register knows
    ExpectCaller(19);
    assert_int_equal(Frame, Base);
    Now.R13 = OF(13);
    Now.R14 = OF(14);
    Now.Xmm7 = Start.Xmm7;
    ExpectCaller(20);  // lea rsp
    Now.Rsp = Now.Rbp + 0x80;
    ExpectCaller(27);
}

static void a_handler_belongs_to_the_body_alone(void **state)
{
    ULONG Address = 0x123;
    EnterSimple(UNW_FLAG_EHANDLER);
    memcpy(Image + INFO_AT + 4 + 8, &Address, 4);
    ExpectCaller(0);
    assert_null(Handler);
    Push(OF(3));
    Push(OF(12));
    Now.Rsp -= 0x28;
    ExpectCaller(7);
    assert_ptr_equal(Handler, Image + 0x123);
    assert_ptr_equal(HandlerData, Image + INFO_AT + 16);
    ExpectCaller(8);  // epilog
    assert_null(Handler);
}

static void a_part_of_a_function_unwinds_with_its_parent(void **state)
{
    RUNTIME_FUNCTION Parent = {0x500, 0x520, INFO_AT + 0x40};
    UNWIND_INFO ParentInfo = {.Version = 1, .SizeOfProlog = 7, .CountOfCodes = 3};
    static const USHORT PartCodes[] = {CODE(0, UWOP_SAVE_NONVOL, 14), 2};
    static const UCHAR Part[] = {0x90, 0x90};

    Enter(Part, sizeof(Part), (UNWIND_INFO){.Version = 1, .Flags = UNW_FLAG_CHAININFO}, PartCodes,
          2);
    memcpy(Image + INFO_AT + 8, &Parent, sizeof(Parent));
    memcpy(Image + INFO_AT + 0x40, &ParentInfo, 4);
    memcpy(Image + INFO_AT + 0x44, SimpleCodes, sizeof(SimpleCodes));
    Push(OF(3));
    Push(OF(12));
    Now.Rsp -= 0x28;
    memcpy((PVOID)(Now.Rsp + 16), &Now.R14, 8);
    Now.R14 = Now.Rbx = Now.R12 = 0;
    ExpectCaller(1);
}

static void a_machine_frame_ends_where_the_trap_came_from(void **state)
{
    static const USHORT Codes[] = {CODE(4, UWOP_ALLOC_SMALL, 4), CODE(0, UWOP_PUSH_MACHFRAME, 1)};
    static const UCHAR Trap[] = {0x48, 0x83, 0xEC, 0x28, 0x90};

    Enter(Trap, sizeof(Trap), (UNWIND_INFO){.Version = 1, .SizeOfProlog = 4}, Codes, 2);
    Now.Rsp += 8;
    Push(0x18);       // ss
    Push(Start.Rsp);
    Push(0x202);
    Push(0x10);       // cs
    Push(RETURN_ADDRESS);
    Push(0xE);        // error code
    ExpectCaller(0);
    Now.Rsp -= 0x28;
    ExpectCaller(4);
}

static void a_jump_within_the_function_is_no_epilog(void **state)
{
    // push rbx; sub rsp, 20h; L: nop; jmp L
    static const UCHAR Loop[] = {0x53, 0x48, 0x83, 0xEC, 0x20, 0x90, 0xEB, 0xFD};
    static const USHORT Codes[] = {CODE(5, UWOP_ALLOC_SMALL, 3), CODE(1, UWOP_PUSH_NONVOL, 3)};

    Enter(Loop, sizeof(Loop), (UNWIND_INFO){.Version = 1, .SizeOfProlog = 5}, Codes, 2);
    Push(OF(3));
    Now.Rsp -= 0x20;
    Now.Rbx = 0;
    ExpectCaller(6);
}

static void tables_that_make_no_sense_end_the_walk(void **state)
{
    CONTEXT Context;
    EnterSimple(0);
    for (ULONG Bad = 0; Bad < 5; Bad++) {
        EnterSimple(Bad == 3 ? UNW_FLAG_CHAININFO : 0);
        Context = Now;
        Context.Rip = (ULONG64)Image + BEGIN + 7;
        if (Bad == 0)
            Functions[1].UnwindData = IMAGE_SIZE - 2;     // beyond the image
        else if (Bad == 1)
            Image[INFO_AT] = 7;                           // version
        else if (Bad == 2)
            Context.Rsp = 0x1000;                         // no stack there
        else if (Bad == 3)                                // its own parent
            memcpy(Image + INFO_AT + 12, &Functions[1], sizeof(Functions[1]));
        else
            Functions[1].UnwindData = (ULONG)((UCHAR *)&Functions[1] - Image) | 1;
        RtlVirtualUnwind(0, (ULONG64)Image, Context.Rip, &Functions[1], &Context, &HandlerData,
                         &Frame, NULL);
        assert_int_equal(Context.Rip, 0);
    }
}

static void functions_are_found_by_any_of_their_bytes(void **state)
{
    ULONG64 Base;
    EnterSimple(0);
    for (ULONG i = 0; i < IMAGE_SIZE; i++) {
        PRUNTIME_FUNCTION Expected = NULL;
        for (ULONG f = 0; f < 3; f++)
            if (i >= Functions[f].BeginAddress && i < Functions[f].EndAddress)
                Expected = &Functions[f];
        assert_ptr_equal(RtlLookupFunctionEntry((ULONG64)Image + i, &Base, NULL), Expected);
        assert_int_equal(Base, (ULONG64)Image);
    }
    assert_null(RtlLookupFunctionEntry((ULONG64)Image - 1, &Base, NULL));
    assert_int_equal(Base, 0);
}

int main(void)
{
    const struct CMUnitTest Tests[] = {
        cmocka_unit_test(every_place_of_a_function_unwinds),
        cmocka_unit_test(a_frame_register_survives_alloca),
        cmocka_unit_test(a_handler_belongs_to_the_body_alone),
        cmocka_unit_test(a_part_of_a_function_unwinds_with_its_parent),
        cmocka_unit_test(a_machine_frame_ends_where_the_trap_came_from),
        cmocka_unit_test(a_jump_within_the_function_is_no_epilog),
        cmocka_unit_test(tables_that_make_no_sense_end_the_walk),
        cmocka_unit_test(functions_are_found_by_any_of_their_bytes),
    };
    return cmocka_run_group_tests(Tests, NULL, NULL);
}
