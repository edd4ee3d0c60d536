// SPDX-License-Identifier: MIT
// amd64: what a processor needs before anything else: KPCR, descriptor tables, stacks for the traps
// that cannot trust the current one, control registers.
//
// The boot processor's block is static, since there is no memory manager yet; kernel/processors.c
// makes the others'. The IDT is one for
// all processors; GDT and TSS belong to each. The stacks that the processor itself switches to
// (IST) are for double fault (a kernel stack has run into its guard page), NMI and machine check
// (they may come at any instruction). They and the DPC stack are separated by nothing: overflow of
// the DPC stack runs into its guard page, the block's first, which is unmapped (KeGuardPage).
#include "../ki.h"
#include "offsets.h"

#define IST_STACK_SIZE 0x2000
#define DPC_STACK_SIZE 0x6000

typedef struct __attribute__((packed)) _KTSS64 {
    ULONG Reserved0;
    ULONG64 Rsp[3];
    ULONG64 Reserved1;
    ULONG64 Ist[7];
    ULONG64 Reserved2;
    USHORT Reserved3;
    USHORT IoMapBase;
} KTSS64;
C_ASSERT(sizeof(KTSS64) == 0x68);

typedef struct _KIDTENTRY64 {
    USHORT OffsetLow;
    USHORT Selector;
    UCHAR Ist;
    UCHAR Type;
    USHORT OffsetMiddle;
    ULONG OffsetHigh;
    ULONG Reserved;
} KIDTENTRY64;

typedef struct __attribute__((packed)) _KDESCRIPTOR {
    USHORT Limit;
    ULONG64 Base;
} KDESCRIPTOR;

typedef struct DECLSPEC_ALIGN(PAGE_SIZE) _KI_PROCESSOR {
    UCHAR DpcGuard[PAGE_SIZE];
    UCHAR DpcStack[DPC_STACK_SIZE];
    UCHAR FatalStack[3][IST_STACK_SIZE];
    KPCR Pcr;
    ULONG64 Gdt[KGDT_ENTRIES];
    DECLSPEC_ALIGN(16) KTSS64 Tss;
} KI_PROCESSOR;

static KI_PROCESSOR KiBootProcessor;
static DECLSPEC_ALIGN(16) KIDTENTRY64 KiIdt[HAL_VECTOR_COUNT];

extern const UCHAR KiTrapStubs[HAL_VECTOR_COUNT][16], KiDpcEntry[];

enum { IST_DOUBLE_FAULT = 1, IST_NMI, IST_MACHINE_CHECK };

#define GATE_INTERRUPT 0x8E
#define GATE_USER      0x60  // software may raise it from ring 3

static VOID KiSetGate(ULONG Vector, const VOID *Entry, UCHAR Ist, UCHAR Access)
{
    ULONG64 Address = (ULONG64)Entry;
    KiIdt[Vector] = (KIDTENTRY64){
        .OffsetLow = (USHORT)Address,
        .Selector = KGDT_R0_CODE,
        .Ist = Ist,
        .Type = GATE_INTERRUPT | Access,
        .OffsetMiddle = (USHORT)(Address >> 16),
        .OffsetHigh = (ULONG)(Address >> 32),
    };
}

static VOID KiInitializeIdt(VOID)
{
    for (ULONG Vector = 0; Vector < HAL_VECTOR_COUNT; Vector++)
        KiSetGate(Vector, KiTrapStubs[Vector], 0, 0);
    KiSetGate(TRAP_NMI, KiTrapStubs[TRAP_NMI], IST_NMI, 0);
    KiSetGate(TRAP_DOUBLE_FAULT, KiTrapStubs[TRAP_DOUBLE_FAULT], IST_DOUBLE_FAULT, 0);
    KiSetGate(TRAP_MACHINE_CHECK, KiTrapStubs[TRAP_MACHINE_CHECK], IST_MACHINE_CHECK, 0);
    KiSetGate(TRAP_BREAKPOINT, KiTrapStubs[TRAP_BREAKPOINT], 0, GATE_USER);
    KiSetGate(TRAP_OVERFLOW, KiTrapStubs[TRAP_OVERFLOW], 0, GATE_USER);
    KiSetGate(TRAP_FAST_FAIL, KiTrapStubs[TRAP_FAST_FAIL], 0, GATE_USER);
    KiSetGate(TRAP_ASSERTION, KiTrapStubs[TRAP_ASSERTION], 0, GATE_USER);
    KiSetGate(DPC_VECTOR, KiDpcEntry, 0, 0);
}

static VOID KiInitializeGdt(KI_PROCESSOR *Processor)
{
    ULONG64 *Gdt = Processor->Gdt, Tss = (ULONG64)&Processor->Tss;
    Gdt[KGDT_R0_CODE / 8] = 0x00209B0000000000;
    Gdt[KGDT_R0_DATA / 8] = 0x00CF93000000FFFF;
    Gdt[KGDT_R3_CMCODE / 8] = 0x00CFFB000000FFFF;
    Gdt[KGDT_R3_DATA / 8] = 0x00CFF3000000FFFF;
    Gdt[KGDT_R3_CODE / 8] = 0x0020FB0000000000;
    Gdt[KGDT_R3_CMTEB / 8] = 0x00CFF3000000FFFF;
    Gdt[KGDT_TSS / 8] = (sizeof(KTSS64) - 1) | (Tss & 0xFFFFFF) << 16 | 0x89ull << 40 |
                        (Tss >> 24 & 0xFF) << 56;
    Gdt[KGDT_TSS / 8 + 1] = Tss >> 32;
}

static VOID KiInitializeTss(KI_PROCESSOR *Processor)
{
    for (ULONG i = 0; i < 3; i++)
        Processor->Tss.Ist[i] = (ULONG64)(Processor->FatalStack[i] + IST_STACK_SIZE);
    Processor->Tss.IoMapBase = sizeof(KTSS64);
}

#define MSR_GS_BASE        0xC0000101
#define MSR_KERNEL_GS_BASE 0xC0000102

static VOID KiLoadDescriptors(KI_PROCESSOR *Processor)
{
    KDESCRIPTOR Gdtr = {sizeof(Processor->Gdt) - 1, (ULONG64)Processor->Gdt};
    KDESCRIPTOR Idtr = {sizeof(KiIdt) - 1, (ULONG64)KiIdt};

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %2\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tmovl %3, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "movl %4, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%fs\n\t"
                     "movl %%eax, %%gs\n\t"
                     "lidt %1\n\t"
                     "movl %5, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(Gdtr), "m"(Idtr), "i"(KGDT_R0_CODE), "i"(KGDT_R0_DATA),
                       "i"(KGDT_R3_DATA | 3), "i"(KGDT_TSS)
                     : "rax", "memory");
    KiWriteMsr(MSR_GS_BASE, (ULONG64)&Processor->Pcr);
    KiWriteMsr(MSR_KERNEL_GS_BASE, 0);
}

static VOID KiInitializePcr(KI_PROCESSOR *Processor, ULONG Number)
{
    PKPCR Pcr = &Processor->Pcr;
    Pcr->GdtBase = Processor->Gdt;
    Pcr->TssBase = &Processor->Tss;
    Pcr->IdtBase = KiIdt;
    Pcr->Self = Pcr;
    Pcr->CurrentPrcb = &Pcr->Prcb;
    Pcr->Used_Self = &Pcr->NtTib;
    Pcr->MajorVersion = Pcr->MinorVersion = 1;
    Pcr->Prcb.MxCsr = KiInitialMxCsr;
    Pcr->Prcb.Number = (UCHAR)Number;
    Pcr->Prcb.DpcStackLimit = Processor->DpcStack;
}

SIZE_T KeProcessorSize(VOID)
{
    return sizeof(KI_PROCESSOR);
}

PKPRCB KePrepareProcessor(PVOID Block, ULONG Number, PKTHREAD IdleThread, PVOID StackLimit,
                          PVOID StackBase)
{
    KI_PROCESSOR *Processor = Block;
    PKPRCB Prcb = &Processor->Pcr.Prcb;

    KiInitializeIdleThread(IdleThread, StackBase, StackLimit);
    KiInitializeGdt(Processor);
    KiInitializeTss(Processor);
    KiInitializePcr(Processor, Number);
    // 32 bytes of shadow space for the first function called there.
    KiInitializePrcb(Prcb, Number, IdleThread, Processor->DpcStack + DPC_STACK_SIZE - 0x20);
    return Prcb;
}

VOID KeLoadProcessor(PKPRCB Prcb)
{
    KiLoadDescriptors(CONTAINING_RECORD(Prcb, KI_PROCESSOR, Pcr.Prcb));
    KiInitializeControlRegisters();
    KiInitializeMachineCheck();
    KiSetIrql(PASSIVE_LEVEL);
}

VOID KeInitializeProcessor(PKTHREAD IdleThread, PVOID BootStackLimit, PVOID BootStackBase)
{
    PKPRCB Prcb =
        KePrepareProcessor(&KiBootProcessor, 0, IdleThread, BootStackLimit, BootStackBase);

    KiInitializeIdt();
    KiInitializeVectors();
    KeLoadProcessor(Prcb);
    KeActivateProcessor(Prcb);
}

PVOID KeGuardPage(VOID)
{
    return KiBootProcessor.DpcGuard;
}

// A pointer that is not canonical is the memory manager's to report, with the address. For what
// else breaks protection there is none: NT raises an access violation at -1.
BOOLEAN KiProtectionException(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception)
{
    ULONG64 Address;
    ULONG Access;

    if (KeNonCanonicalRoutine != NULL && KiNonCanonicalOperand(Frame, &Address, &Access))
        KeNonCanonicalRoutine(Frame, Address, Access);
    Exception->ExceptionCode = STATUS_ACCESS_VIOLATION;
    Exception->NumberParameters = 2;
    Exception->ExceptionInformation[0] = 0;
    Exception->ExceptionInformation[1] = MAXULONG_PTR;
    return TRUE;
}

#define ASSERT_FRAME(Offset, Field) C_ASSERT(FIELD_OFFSET(KTRAP_FRAME, Field) == (Offset))
ASSERT_FRAME(TF_XMM0, Xmm);
ASSERT_FRAME(TF_MXCSR, MxCsr);
ASSERT_FRAME(TF_IRQL, PreviousIrql);
ASSERT_FRAME(TF_CR2, Cr2);
ASSERT_FRAME(TF_R15, R15);
ASSERT_FRAME(TF_R8, R8);
ASSERT_FRAME(TF_RDI, Rdi);
ASSERT_FRAME(TF_RAX, Rax);
ASSERT_FRAME(TF_RBP, Rbp);
ASSERT_FRAME(TF_RBP + 8, ReturnAddress);
ASSERT_FRAME(TF_CS, SegCs);
C_ASSERT(sizeof(KTRAP_FRAME) == TF_SIZE);
C_ASSERT(sizeof(KTRAP_FRAME) == 0x150);
#define ASSERT_CONTEXT(Offset, Field) C_ASSERT(FIELD_OFFSET(CONTEXT, Field) == (Offset))
ASSERT_CONTEXT(CX_MXCSR, MxCsr);
ASSERT_CONTEXT(CX_EFLAGS, EFlags);
ASSERT_CONTEXT(CX_RAX, Rax);
ASSERT_CONTEXT(CX_RSP, Rsp);
ASSERT_CONTEXT(CX_R15, R15);
ASSERT_CONTEXT(CX_RIP, Rip);
ASSERT_CONTEXT(CX_FLTSAVE, FltSave);
