// SPDX-License-Identifier: MIT
// I/O space, contiguous and noncached memory, address queries: what the memory manager promises
// drivers that talk to hardware.
#include "guest.h"

#define BIOS     0xF0000ull // always there, never RAM of ours
#define MEGABYTE 0x100000ull

// Not in mingw-w64's header.
NTKERNELAPI BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress);

static PHYSICAL_ADDRESS At(ULONG64 Address)
{
    PHYSICAL_ADDRESS Physical = {.QuadPart = (LONGLONG)Address};
    return Physical;
}

static ULONG64 PhysicalOf(PVOID Address)
{
    return (ULONG64)MmGetPhysicalAddress(Address).QuadPart;
}

// ---- I/O space ----------------------------------------------------------------------------------
static VOID AMappingKeepsTheOffset(VOID)
{
    PUCHAR Mapping = MmMapIoSpace(At(BIOS + 0x123), 0x2000, MmNonCached);
    CHECK(Mapping != NULL);
    CHECK_EQUAL((ULONG_PTR)Mapping % PAGE_SIZE, 0x123);
    CHECK_EQUAL(PhysicalOf(Mapping), BIOS + 0x123);
    CHECK_EQUAL(PhysicalOf(Mapping + 0x1FFF), BIOS + 0x2122);
    CHECK(MmIsAddressValid(Mapping));
    CHECK(MmIsAddressValid(Mapping + 0x1FFF));
    CHECK(!MmIsAddressValid(PAGE_ALIGN(Mapping + 0x3000)));
    MmUnmapIoSpace(Mapping, 0x2000);
    CHECK(!MmIsAddressValid(Mapping));
}

static VOID TwoMappingsSeeTheSameBytes(VOID)
{
    volatile UCHAR *One = MmMapIoSpace(At(BIOS), MEGABYTE - BIOS, MmNonCached);
    volatile UCHAR *Other = MmMapIoSpace(At(BIOS + 0xFFF0), 16, MmNonCached);
    CHECK(One != NULL && Other != NULL);
    for (ULONG i = 0; i < 16; i++)
        CHECK_EQUAL(One[0xFFF0 + i], Other[i]);
    MmUnmapIoSpace((PVOID)One, MEGABYTE - BIOS);
    MmUnmapIoSpace((PVOID)Other, 16);
}

static VOID OnePageHasOneCacheType(VOID)
{
    PVOID Uncached = MmMapIoSpace(At(BIOS), PAGE_SIZE, MmNonCached);
    CHECK(Uncached != NULL);
    CHECK(MmMapIoSpace(At(BIOS), PAGE_SIZE, MmCached) == NULL);
    CHECK(MmMapIoSpace(At(BIOS - PAGE_SIZE), 3 * PAGE_SIZE, MmCached) == NULL);
    MmUnmapIoSpace(Uncached, PAGE_SIZE);
    PVOID Cached = MmMapIoSpace(At(BIOS), PAGE_SIZE, MmCached);
    CHECK(Cached != NULL);
    MmUnmapIoSpace(Cached, PAGE_SIZE);
}

static VOID NonsenseIsRefused(VOID)
{
    CHECK(MmMapIoSpace(At(BIOS), 0, MmNonCached) == NULL);
    CHECK(MmMapIoSpace(At(BIOS), PAGE_SIZE, MmMaximumCacheType) == NULL);
    CHECK(MmMapIoSpace(At(1ull << 60), PAGE_SIZE, MmNonCached) == NULL);
    CHECK(MmMapIoSpace(At((1ull << 52) - PAGE_SIZE), 2 * PAGE_SIZE, MmNonCached) == NULL);
}

static VOID MappingWorksAtDispatchLevel(VOID)
{
    KIRQL OldIrql;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    PVOID Mapping = MmMapIoSpace(At(BIOS), 0x10000, MmNonCached);
    CHECK(Mapping != NULL);
    MmUnmapIoSpace(Mapping, 0x10000);
    KeLowerIrql(OldIrql);
}

static VOID ThousandsOfMappingsComeAndGo(VOID)
{
    static PVOID Mapping[512];
    for (ULONG Round = 0; Round < 4; Round++) {
        for (ULONG i = 0; i < RTL_NUMBER_OF(Mapping); i++)
            CHECK((Mapping[i] = MmMapIoSpace(At(BIOS), (i % 16 + 1) * PAGE_SIZE, MmNonCached)) !=
                  NULL);
        for (ULONG i = 0; i < RTL_NUMBER_OF(Mapping); i++)
            CHECK_EQUAL(PhysicalOf(Mapping[i]), BIOS);
        for (ULONG i = 0; i < RTL_NUMBER_OF(Mapping); i++) {
            ULONG Which = i * 7 % RTL_NUMBER_OF(Mapping);
            MmUnmapIoSpace(Mapping[Which], (Which % 16 + 1) * PAGE_SIZE);
        }
    }
}

// ---- contiguous memory --------------------------------------------------------------------------
static VOID CheckContiguous(PUCHAR Block, SIZE_T Bytes, ULONG64 Low, ULONG64 High)
{
    ULONG64 First = PhysicalOf(Block);
    CHECK_EQUAL((ULONG_PTR)Block % PAGE_SIZE, 0);
    CHECK(First >= Low && First + Bytes - 1 <= High);
    for (SIZE_T Offset = 0; Offset < Bytes; Offset += PAGE_SIZE)
        CHECK_EQUAL(PhysicalOf(Block + Offset), First + Offset);
    for (SIZE_T Offset = 0; Offset < Bytes; Offset++)
        Block[Offset] = (UCHAR)(Offset * 7);
    for (SIZE_T Offset = 0; Offset < Bytes; Offset++)
        if (Block[Offset] != (UCHAR)(Offset * 7))
            CHECK(!"memory keeps what was written");
}

static VOID ContiguousMemoryIsContiguous(VOID)
{
    static const SIZE_T Size[] = {1, PAGE_SIZE, PAGE_SIZE + 1, 0x10000, 0x123456};
    for (ULONG i = 0; i < RTL_NUMBER_OF(Size); i++) {
        PUCHAR Block = MmAllocateContiguousMemory(Size[i], At(~0ull));
        CHECK(Block != NULL);
        if (Block == NULL)
            continue;
        CheckContiguous(Block, Size[i], 0, ~0ull);
        MmFreeContiguousMemory(Block);
        CHECK(!MmIsAddressValid(Block));
    }
}

static VOID ContiguousMemoryKeepsItsLimits(VOID)
{
    for (ULONG64 High = MEGABYTE; High <= 16 * MEGABYTE; High *= 2) {
        PUCHAR Block = MmAllocateContiguousMemory(0x3000, At(High - 1));
        CHECK(Block != NULL);
        if (Block == NULL)
            continue;
        CheckContiguous(Block, 0x3000, 0, High - 1);
        MmFreeContiguousMemory(Block);
    }
    CHECK(MmAllocateContiguousMemory(PAGE_SIZE, At(0xFFE)) == NULL);
}

static VOID ContiguousMemoryCrossesNoBoundary(VOID)
{
    PVOID Block[64];
    for (ULONG i = 0; i < RTL_NUMBER_OF(Block); i++) {
        Block[i] = MmAllocateContiguousMemorySpecifyCache(0x5000, At(MEGABYTE), At(~0ull),
                                                          At(0x8000), MmCached);
        CHECK(Block[i] != NULL);
        CHECK_EQUAL(PhysicalOf(Block[i]) / 0x8000, (PhysicalOf(Block[i]) + 0x4FFF) / 0x8000);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Block); i++)
        MmFreeContiguousMemorySpecifyCache(Block[i], 0x5000, MmCached);
    CHECK(MmAllocateContiguousMemorySpecifyCache(0x9000, At(0), At(~0ull), At(0x8000), MmCached) ==
          NULL);
}

static VOID ContiguousMemoryComesUncached(VOID)
{
    PUCHAR Block =
        MmAllocateContiguousMemorySpecifyCache(0x4000, At(0), At(~0ull), At(0), MmNonCached);
    CHECK(Block != NULL);
    CheckContiguous(Block, 0x4000, 0, ~0ull);
    CHECK(MmMapIoSpace(At(PhysicalOf(Block)), PAGE_SIZE, MmCached) == NULL);
    PVOID Again = MmMapIoSpace(At(PhysicalOf(Block)), PAGE_SIZE, MmNonCached);
    CHECK(Again != NULL);
    MmUnmapIoSpace(Again, PAGE_SIZE);
    MmFreeContiguousMemorySpecifyCache(Block, 0x4000, MmNonCached);
}

// Whatever the machine's size, RAM that was used up is all there again.
static VOID MemoryRunsOutAndComesBack(VOID)
{
    static PVOID Block[4096];
    ULONG First = 0, Count;
    for (ULONG Round = 0; Round < 2; Round++) {
        for (Count = 0; Count < RTL_NUMBER_OF(Block); Count++)
            if ((Block[Count] = MmAllocateContiguousMemory(0x40000, At(~0ull))) == NULL)
                break;
        CHECK(Count != 0);
        for (ULONG i = 0; i < Count; i++)
            *(volatile ULONG *)Block[i] = i;
        for (ULONG i = 0; i < Count; i++)
            CHECK_EQUAL(*(volatile ULONG *)Block[i], i);
        for (ULONG i = 0; i < Count; i++)
            MmFreeContiguousMemory(Block[i]);
        First = Round == 0 ? Count : First;
    }
    CHECK(Count + 4 >= First);
}

static VOID NonCachedMemoryIsMemory(VOID)
{
    PUCHAR Block = MmAllocateNonCachedMemory(3 * PAGE_SIZE - 5);
    CHECK(Block != NULL);
    CHECK_EQUAL((ULONG_PTR)Block % PAGE_SIZE, 0);
    for (ULONG i = 0; i < 3 * PAGE_SIZE - 5; i++)
        Block[i] = (UCHAR)i;
    CHECK_EQUAL(Block[PAGE_SIZE + 3], 3);
    MmFreeNonCachedMemory(Block, 3 * PAGE_SIZE - 5);
    CHECK(MmAllocateNonCachedMemory(0) == NULL);
}

// ---- addresses ----------------------------------------------------------------------------------
static VOID OwnCodeAndStackAreMapped(VOID)
{
    UCHAR Local;
    CHECK(MmIsAddressValid(&Local));
    CHECK(MmIsAddressValid((PVOID)(ULONG_PTR)OwnCodeAndStackAreMapped));
    CHECK(PhysicalOf(&Local) != 0);
    CHECK_EQUAL(PhysicalOf(&Local) % PAGE_SIZE, (ULONG_PTR)&Local % PAGE_SIZE);
}

static VOID NothingIsMappedAtNullOrBeyondTheEnd(VOID)
{
    CHECK(!MmIsAddressValid(NULL));
    CHECK(!MmIsAddressValid((PVOID)0x7FFE0000));
#ifdef _AMD64_
    CHECK(!MmIsAddressValid((PVOID)0x8000000000000000ull));
    CHECK(!MmIsAddressValid((PVOID)0x0000800000000000ull));
#endif
    CHECK_EQUAL(PhysicalOf(NULL), 0);
}

static VOID SharedUserDataIsReadable(VOID)
{
    CHECK(MmIsAddressValid((PVOID)SharedUserData));
}

static VOID TheSystemHasASize(VOID)
{
    MM_SYSTEMSIZE Size = MmQuerySystemSize();
    CHECK(Size == MmSmallSystem || Size == MmMediumSystem || Size == MmLargeSystem);
    CHECK((ULONG_PTR)MmHighestUserAddress < MmUserProbeAddress);
    CHECK((ULONG_PTR)MmSystemRangeStart > MmUserProbeAddress);
}

static VOID RamIsListed(VOID)
{
    PPHYSICAL_MEMORY_RANGE Range = MmGetPhysicalMemoryRanges();
    ULONG64 End = 0, Total = 0, Own = PhysicalOf(&End);
    BOOLEAN Found = FALSE;
    CHECK(Range != NULL);
    for (ULONG i = 0; Range[i].NumberOfBytes.QuadPart != 0; i++) {
        ULONG64 Base = (ULONG64)Range[i].BaseAddress.QuadPart;
        CHECK(Base > End || End == 0);
        End = Base + (ULONG64)Range[i].NumberOfBytes.QuadPart;
        Total += (ULONG64)Range[i].NumberOfBytes.QuadPart;
        Found |= Own >= Base && Own < End;
    }
    CHECK(Found);
    CHECK(Total > 4 * MEGABYTE);
    ExFreePool(Range);
}

static const GUEST_CASE Cases[] = {
    {"MD-81 a mapping keeps the offset in the page", AMappingKeepsTheOffset},
    {"MD-81 two mappings see the same bytes", TwoMappingsSeeTheSameBytes},
    {"MD-85 one page has one cache type", OnePageHasOneCacheType},
    {"MD-81 nonsense is refused", NonsenseIsRefused},
    {"MD-81 mapping works at DISPATCH_LEVEL", MappingWorksAtDispatchLevel},
    {"MD-83 thousands of mappings come and go", ThousandsOfMappingsComeAndGo},
    {"MD-70 contiguous memory is contiguous", ContiguousMemoryIsContiguous},
    {"MD-77 contiguous memory keeps its limits", ContiguousMemoryKeepsItsLimits},
    {"MD-76 contiguous memory crosses no boundary", ContiguousMemoryCrossesNoBoundary},
    {"MD-71 contiguous memory comes uncached", ContiguousMemoryComesUncached},
    {"memory runs out and comes back", MemoryRunsOutAndComesBack},
    {"PL-59 noncached memory is memory", NonCachedMemoryIsMemory},
    {"own code and stack are mapped", OwnCodeAndStackAreMapped},
    {"nothing is mapped at NULL or beyond the end", NothingIsMappedAtNullOrBeyondTheEnd},
    {"VA-62 shared user data is readable", SharedUserDataIsReadable},
    {"the system has a size and a border", TheSystemHasASize},
    {"RAM is listed in ascending runs", RamIsListed},
};
GUEST_DRIVER(Cases)
