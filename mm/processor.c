// SPDX-License-Identifier: MIT
// Processors, as mm sees them: the page at which they start, and the registers that have to be the
// same on all.
//
// A processor that starts needs a page mapped at its own address for the instructions between the
// one that switches paging on and the jump to the kernel. The mapping is in user space, of which
// there is none yet; its page tables go with it.
//
// Memory types. Where two processors disagree about a page's type, what one writes the other may
// never see. So the page attribute table and CR4 are set alike (MiEnableProcessorFeatures), and the
// MTRRs, which firmware sets on each (and QEMU's INIT clears), are compared with the first
// processor's and made equal by the procedure of Intel's manual (volume 3, "Memory Cache Control",
// "MTRR Considerations in MP Systems"): caches off and empty, TLB empty, MTRRs off, written, and
// all on again.
#include "mi.h"

// ---- identity mapping ---------------------------------------------------------------------------
static PFN_NUMBER MiIdentityTable[PAGING_LEVELS];
static ULONG MiIdentityTables;

static PFN_NUMBER INIT_CODE MiSupplyIdentityTable(PVOID Context)
{
    PFN_NUMBER Page = MmAllocatePage(MM_PAGE_ANY);
    if (Page != MM_NO_PAGE)
        MiIdentityTable[MiIdentityTables++] = Page;
    return Page;
}

BOOLEAN INIT_CODE MmMapIdentity(ULONG64 Address)
{
    KIRQL OldIrql = MiRaiseToDispatch();
    BOOLEAN Made = MiEnsureTables((ULONG_PTR)Address, MiSupplyIdentityTable, NULL);
    if (Made)
        MiWriteValidPte(MiPteOf((ULONG_PTR)Address), Address | PTE_VALID | PTE_WRITE |
                                                         PTE_ACCESSED | PTE_DIRTY);
    MiLowerFromDispatch(OldIrql);
    return Made;
}

VOID INIT_CODE MmUnmapIdentity(ULONG64 Address)
{
    MiWriteInvalidPte(MiEntryOf((ULONG_PTR)Address, MI_SELF_MAP_LEVELS), 0);
    MiFlushTlb(NULL, ~(SIZE_T)0);
    while (MiIdentityTables != 0) {
        MmFreePage(MiIdentityTable[--MiIdentityTables]);
        MiTablePages--;
    }
}

// ---- MTRRs --------------------------------------------------------------------------------------
#define CPUID_MTRR        (1u << 12)
#define MSR_MTRR_CAP      0xFEu
#define MSR_MTRR_BASE(n)  (0x200u + 2 * (n))
#define MSR_MTRR_MASK(n)  (0x201u + 2 * (n))
#define MSR_MTRR_DEFAULT  0x2FFu
#define MTRR_FIXED        0x100u  // of the capabilities: there are fixed ranges
#define MTRR_ENABLE       0x800u  // of the default type
#define MTRR_MAXIMUM      32u
#define CR0_CACHE_DISABLE 0x40000000u
#define CR0_NO_WRITE_THROUGH 0x20000000u

static const USHORT MiFixedMtrr[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26A,
                                     0x26B, 0x26C, 0x26D, 0x26E, 0x26F};

typedef struct _MI_MTRRS {
    ULONG Variable; // how many
    BOOLEAN Fixed;
    ULONG64 Default, FixedValue[RTL_NUMBER_OF(MiFixedMtrr)], Base[MTRR_MAXIMUM], Mask[MTRR_MAXIMUM];
} MI_MTRRS;

static MI_MTRRS MiMtrrs; // the boot processor's
static BOOLEAN MiHasMtrrs;

static VOID INIT_CODE MiReadMtrrs(MI_MTRRS *Mtrrs)
{
    ULONG64 Capabilities = KiReadMsr(MSR_MTRR_CAP);
    memset(Mtrrs, 0, sizeof(*Mtrrs));
    Mtrrs->Variable = (ULONG)Capabilities & 0xFF;
    if (Mtrrs->Variable > MTRR_MAXIMUM)
        Mtrrs->Variable = MTRR_MAXIMUM;
    Mtrrs->Fixed = (Capabilities & MTRR_FIXED) != 0;
    Mtrrs->Default = KiReadMsr(MSR_MTRR_DEFAULT);
    for (ULONG i = 0; Mtrrs->Fixed && i < RTL_NUMBER_OF(MiFixedMtrr); i++)
        Mtrrs->FixedValue[i] = KiReadMsr(MiFixedMtrr[i]);
    for (ULONG i = 0; i < Mtrrs->Variable; i++) {
        Mtrrs->Base[i] = KiReadMsr(MSR_MTRR_BASE(i));
        Mtrrs->Mask[i] = KiReadMsr(MSR_MTRR_MASK(i));
    }
}

static VOID INIT_CODE MiWriteMtrrs(const MI_MTRRS *Mtrrs)
{
    for (ULONG i = 0; Mtrrs->Fixed && i < RTL_NUMBER_OF(MiFixedMtrr); i++)
        KiWriteMsr(MiFixedMtrr[i], Mtrrs->FixedValue[i]);
    for (ULONG i = 0; i < Mtrrs->Variable; i++) {
        KiWriteMsr(MSR_MTRR_BASE(i), Mtrrs->Base[i]);
        KiWriteMsr(MSR_MTRR_MASK(i), Mtrrs->Mask[i]);
    }
}

static VOID INIT_CODE MiSetMtrrs(const MI_MTRRS *Mtrrs)
{
    ULONG_PTR Cr0 = KiReadCr0();
    KiWriteCr0((Cr0 | CR0_CACHE_DISABLE) & ~(ULONG_PTR)CR0_NO_WRITE_THROUGH);
    MiFlushCaches();
    MmEnterSystemSpace();
    KiWriteMsr(MSR_MTRR_DEFAULT, Mtrrs->Default & ~(ULONG64)MTRR_ENABLE);
    MiWriteMtrrs(Mtrrs);
    KiWriteMsr(MSR_MTRR_DEFAULT, Mtrrs->Default);
    MiFlushCaches();
    MmEnterSystemSpace();
    KiWriteCr0(Cr0);
}

VOID INIT_CODE MmPrepareProcessors(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    MiHasMtrrs = (Registers[3] & CPUID_MTRR) != 0;
    if (MiHasMtrrs)
        MiReadMtrrs(&MiMtrrs);
}

VOID INIT_CODE MmLoadProcessor(VOID)
{
    MI_MTRRS Own;
    MiEnableProcessorFeatures();
    if (!MiHasMtrrs)
        return;
    MiReadMtrrs(&Own);
    if (memcmp(&Own, &MiMtrrs, sizeof(Own)) != 0)
        MiSetMtrrs(&MiMtrrs);
}
