// SPDX-License-Identifier: MIT
// i386: what a processor needs before anything else: KPCR, descriptor tables, tasks for the traps
// that cannot trust the current stack.
//
// The boot processor's block is static, since there is no memory manager yet; kernel/processors.c
// makes the others'. The IDT is one for
// all processors; GDT and TSSs belong to each. Double fault (a kernel stack has run into its guard
// page, so that the processor could not push a frame) and NMI (which may come at any instruction)
// are task gates: the processor saves its registers into the interrupted TSS and loads the task's,
// stack included. A task carries its own CR3: the one the system started with, which maps the
// kernel as every other does. The return from a task loads the interrupted TSS's Cr3, which the
// processor never stores: whoever switches address spaces has to write it there (KPCR.TSS).
#include "../ki.h"
#include "offsets.h"

#define TASK_STACK_SIZE 0x2000
#define DPC_STACK_SIZE  0x6000

typedef struct _KTSS {
    ULONG Backlink, Esp0, Ss0, Esp1, Ss1, Esp2, Ss2;
    ULONG Cr3, Eip, EFlags, Eax, Ecx, Edx, Ebx, Esp, Ebp, Esi, Edi;
    ULONG Es, Cs, Ss, Ds, Fs, Gs, Ldt;
    USHORT Trap, IoMapBase;
} KTSS;
C_ASSERT(sizeof(KTSS) == 0x68);

typedef struct _KIDTENTRY {
    USHORT OffsetLow;
    USHORT Selector;
    UCHAR Zero;
    UCHAR Type;
    USHORT OffsetHigh;
} KIDTENTRY;

typedef struct __attribute__((packed)) _KDESCRIPTOR {
    USHORT Limit;
    ULONG Base;
} KDESCRIPTOR;

typedef struct DECLSPEC_ALIGN(PAGE_SIZE) _KI_PROCESSOR {
    UCHAR DpcGuard[PAGE_SIZE];
    UCHAR DpcStack[DPC_STACK_SIZE];
    UCHAR DoubleFaultStack[TASK_STACK_SIZE], NmiStack[TASK_STACK_SIZE];
    KPCR Pcr;
    ULONG64 Gdt[KGDT_ENTRIES];
    KTSS Tss, DoubleFaultTss, NmiTss;
} KI_PROCESSOR;

static KI_PROCESSOR KiBootProcessor;
static DECLSPEC_ALIGN(16) KIDTENTRY KiIdt[HAL_VECTOR_COUNT];

extern const UCHAR KiTrapStubs[HAL_VECTOR_COUNT][16], KiDoubleFaultTask[], KiNmiTask[];

#define GATE_INTERRUPT 0x8E
#define GATE_TASK      0x85
#define GATE_USER      0x60  // software may raise it from ring 3

static VOID KiSetGate(ULONG Vector, USHORT Selector, const VOID *Entry, UCHAR Type)
{
    KiIdt[Vector] =
        (KIDTENTRY){(USHORT)(ULONG)Entry, Selector, 0, Type, (USHORT)((ULONG)Entry >> 16)};
}

static VOID KiSetUserGate(ULONG Vector)
{
    KiSetGate(Vector, KGDT_R0_CODE, KiTrapStubs[Vector], GATE_INTERRUPT | GATE_USER);
}

static VOID KiInitializeIdt(VOID)
{
    for (ULONG Vector = 0; Vector < HAL_VECTOR_COUNT; Vector++)
        KiSetGate(Vector, KGDT_R0_CODE, KiTrapStubs[Vector], GATE_INTERRUPT);
    KiSetGate(TRAP_NMI, KGDT_NMI_TSS, NULL, GATE_TASK);
    KiSetGate(TRAP_DOUBLE_FAULT, KGDT_DF_TSS, NULL, GATE_TASK);
    KiSetUserGate(TRAP_BREAKPOINT);
    KiSetUserGate(TRAP_OVERFLOW);
    KiSetUserGate(TRAP_FAST_FAIL);
    KiSetUserGate(TRAP_ASSERTION);
}

#define SEGMENT_TSS  0x89u
#define SEGMENT_DATA 0x93u

static ULONG64 KiSegment(const VOID *Base, ULONG Limit, ULONG Access)
{
    ULONG64 Address = (ULONG)Base;
    return Limit | (Address & 0xFFFFFF) << 16 | (ULONG64)Access << 40 | (Address >> 24) << 56;
}

static VOID KiInitializeGdt(KI_PROCESSOR *Processor)
{
    ULONG64 *Gdt = Processor->Gdt;
    Gdt[KGDT_R0_CODE / 8] = 0x00CF9B000000FFFF;
    Gdt[KGDT_R0_DATA / 8] = 0x00CF93000000FFFF;
    Gdt[KGDT_R3_CODE / 8] = 0x00CFFB000000FFFF;
    Gdt[KGDT_R3_DATA / 8] = 0x00CFF3000000FFFF;
    Gdt[KGDT_R3_TEB / 8] = 0x0040F30000000FFF;
    Gdt[KGDT_R0_PCR / 8] = KiSegment(&Processor->Pcr, sizeof(KPCR) - 1, SEGMENT_DATA) | 1ull << 54;
    Gdt[KGDT_TSS / 8] = KiSegment(&Processor->Tss, sizeof(KTSS) - 1, SEGMENT_TSS);
    Gdt[KGDT_DF_TSS / 8] = KiSegment(&Processor->DoubleFaultTss, sizeof(KTSS) - 1, SEGMENT_TSS);
    Gdt[KGDT_NMI_TSS / 8] = KiSegment(&Processor->NmiTss, sizeof(KTSS) - 1, SEGMENT_TSS);
}

static VOID KiInitializeTask(KTSS *Tss, const VOID *Entry, UCHAR *Stack)
{
    *Tss = (KTSS){
        .Cr3 = KiReadCr3(),
        .Eip = (ULONG)Entry,
        .EFlags = 2,
        .Esp = (ULONG)(Stack + TASK_STACK_SIZE),
        .Ss = KGDT_R0_DATA,
        .Cs = KGDT_R0_CODE,
        .Ds = KGDT_R3_DATA | 3,
        .Es = KGDT_R3_DATA | 3,
        .Fs = KGDT_R0_PCR,
        .IoMapBase = sizeof(KTSS),
    };
}

static VOID KiInitializeTasks(KI_PROCESSOR *Processor, PKTHREAD IdleThread)
{
    Processor->Tss.Cr3 = KiReadCr3();  // loaded by the return from a task, stored by nobody
    Processor->Tss.Ss0 = KGDT_R0_DATA;
    Processor->Tss.Esp0 = (ULONG)IdleThread->StackBase;
    Processor->Tss.IoMapBase = sizeof(KTSS);
    KiInitializeTask(&Processor->DoubleFaultTss, KiDoubleFaultTask, Processor->DoubleFaultStack);
    KiInitializeTask(&Processor->NmiTss, KiNmiTask, Processor->NmiStack);
}

static VOID KiLoadDescriptors(KI_PROCESSOR *Processor)
{
    KDESCRIPTOR Gdtr = {sizeof(Processor->Gdt) - 1, (ULONG)Processor->Gdt};
    KDESCRIPTOR Idtr = {sizeof(KiIdt) - 1, (ULONG)KiIdt};

    __asm__ volatile("lgdt %0\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmovl %3, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "movl %4, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %5, %%eax\n\t"
                     "movl %%eax, %%fs\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movl %%eax, %%gs\n\t"
                     "lldt %%ax\n\t"
                     "lidt %1\n\t"
                     "movl %6, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(Gdtr), "m"(Idtr), "i"(KGDT_R0_CODE), "i"(KGDT_R0_DATA),
                       "i"(KGDT_R3_DATA | 3), "i"(KGDT_R0_PCR), "i"(KGDT_TSS)
                     : "eax", "memory");
}

static VOID KiInitializePcr(KI_PROCESSOR *Processor, ULONG Number, PKTHREAD IdleThread)
{
    PKPCR Pcr = &Processor->Pcr;
    Pcr->NtTib.ExceptionList = EXCEPTION_CHAIN_END;
    Pcr->NtTib.StackBase = IdleThread->StackBase;
    Pcr->NtTib.StackLimit = IdleThread->StackLimit;
    Pcr->TssCopy = &Processor->Tss;
    Pcr->Used_Self = Pcr;
    Pcr->SelfPcr = Pcr;
    Pcr->Prcb = &Pcr->PrcbData;
    Pcr->IDT = KiIdt;
    Pcr->GDT = Processor->Gdt;
    Pcr->TSS = &Processor->Tss;
    Pcr->MajorVersion = Pcr->MinorVersion = 1;
    Pcr->SetMember = Pcr->SetMemberCopy = (KAFFINITY)1 << Number;
    Pcr->Number = (UCHAR)Number;
    Pcr->PrcbData.MajorVersion = Pcr->PrcbData.MinorVersion = 1;
    Pcr->PrcbData.Number = (UCHAR)Number;
    Pcr->PrcbData.DpcStackLimit = Processor->DpcStack;
}

SIZE_T KeProcessorSize(VOID)
{
    return sizeof(KI_PROCESSOR);
}

PKPRCB KePrepareProcessor(PVOID Block, ULONG Number, PKTHREAD IdleThread, PVOID StackLimit,
                          PVOID StackBase)
{
    KI_PROCESSOR *Processor = Block;
    PKPRCB Prcb = &Processor->Pcr.PrcbData;

    KiInitializeIdleThread(IdleThread, StackBase, StackLimit);
    KiInitializeGdt(Processor);
    KiInitializeTasks(Processor, IdleThread);
    KiInitializePcr(Processor, Number, IdleThread);
    KiInitializePrcb(Prcb, Number, IdleThread, Processor->DpcStack + DPC_STACK_SIZE);
    return Prcb;
}

VOID KeLoadProcessor(PKPRCB Prcb)
{
    KiLoadDescriptors(CONTAINING_RECORD(Prcb, KI_PROCESSOR, Pcr.PrcbData));
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

VOID FASTCALL KiFatalTask(ULONG Vector);

// What a debugger may have changed.
static VOID KiReturnToTask(const KTRAP_FRAME *Frame, KTSS *Tss)
{
    Tss->Edi = Frame->Edi;
    Tss->Esi = Frame->Esi;
    Tss->Ebx = Frame->Ebx;
    Tss->Edx = Frame->Edx;
    Tss->Ecx = Frame->Ecx;
    Tss->Eax = Frame->Eax;
    Tss->Ebp = Frame->Ebp;
    Tss->Eip = Frame->Eip;
    Tss->Esp = Frame->HardwareEsp;
    Tss->EFlags = Frame->EFlags;
}

// Runs as the task: what the processor left in the interrupted TSS becomes a trap frame.
VOID FASTCALL KiFatalTask(ULONG Vector)
{
    KTSS *Tss = KeGetPcr()->TSS;
    KTRAP_FRAME Frame = {
        .PreviousIrql = KiGetIrql(),
        .Cr2 = KiReadCr2(),
        .ExceptionList = KeGetPcr()->Used_ExceptionList,
        .HardwareEsp = Tss->Esp,
        .SegGs = Tss->Gs,
        .SegFs = Tss->Fs,
        .SegEs = Tss->Es,
        .SegDs = Tss->Ds,
        .Edi = Tss->Edi,
        .Esi = Tss->Esi,
        .Ebx = Tss->Ebx,
        .Edx = Tss->Edx,
        .Ecx = Tss->Ecx,
        .Eax = Tss->Eax,
        .Ebp = Tss->Ebp,
        .ReturnAddress = Tss->Eip,
        .Vector = Vector,
        .Eip = Tss->Eip,
        .SegCs = Tss->Cs,
        .EFlags = Tss->EFlags,
        .Esp = Tss->Esp,
        .SegSs = Tss->Ss,
    };
    __asm__ volatile("clts");  // set by every task switch
    KiDispatchFatal(&Frame);
    KiReturnToTask(&Frame, Tss);
}

// NT has no exception for it on i386.
BOOLEAN KiProtectionException(PKTRAP_FRAME Frame, PEXCEPTION_RECORD Exception)
{
    return FALSE;
}

#define ASSERT_FRAME(Offset, Field) C_ASSERT(FIELD_OFFSET(KTRAP_FRAME, Field) == (Offset))
ASSERT_FRAME(TF_EXCEPTION_LIST, ExceptionList);
ASSERT_FRAME(TF_SEGS, SegGs);
ASSERT_FRAME(TF_EDI, Edi);
ASSERT_FRAME(TF_EBP, Ebp);
ASSERT_FRAME(TF_EBP + 4, ReturnAddress);
ASSERT_FRAME(TF_CS, SegCs);
ASSERT_FRAME(TF_HARDWARE_ESP, HardwareEsp);
ASSERT_FRAME(TF_SIZE, Esp);
#define ASSERT_CONTEXT(Offset, Field) C_ASSERT(FIELD_OFFSET(CONTEXT, Field) == (Offset))
ASSERT_CONTEXT(CX_EDI, Edi);
ASSERT_CONTEXT(CX_EAX, Eax);
ASSERT_CONTEXT(CX_EBP, Ebp);
ASSERT_CONTEXT(CX_EIP, Eip);
ASSERT_CONTEXT(CX_EFLAGS, EFlags);
ASSERT_CONTEXT(CX_ESP, Esp);
