// SPDX-License-Identifier: MIT
// The last step of ke's start: the shared page is filled, the clock runs, interrupts are on. And
// what the system says it is.
//
// Drivers learn the version from KUSER_SHARED_DATA, NtBuildNumber, PsGetVersion and RtlGetVersion.
// All of them tell /OSVERSION='s, so that a driver's other code paths can be tried; nothing here
// behaves differently for it.
#include "cpuid.h"
#include "ki.h"

typedef struct _KI_VERSION {
    const char *Option;
    ULONG Major, Minor, Build, ServicePack;
} KI_VERSION;

static const KI_VERSION KiVersions[] = {
    {"6.1", 6, 1, 7601, 1},
    {"6.0", 6, 0, 6002, 2},
    {"5.2", 5, 2, 3790, 2},
    {"10.0", 10, 0, 19045, 0},
};

#define BUILD_FREE    0xF0000000u
#define BUILD_CHECKED 0xC0000000u

ULONG NtBuildNumber = (DBG ? BUILD_CHECKED : BUILD_FREE) | 7601;
EXPORT_VARIABLE(NtBuildNumber, "WDK ntddk.h NtBuildNumber");

static VOID KiReadVersionOption(VOID)
{
    char Value[16];

    if (!KdQueryOption("OSVERSION", Value, sizeof(Value)))
        return;
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiVersions); i++) {
        const KI_VERSION *Version = &KiVersions[i];
        if (strcmp(Value, Version->Option) != 0)
            continue;
        RtlSetReportedVersion(Version->Major, Version->Minor, Version->Build, Version->ServicePack);
        NtBuildNumber = (NtBuildNumber & 0xF0000000) | Version->Build;
        return;
    }
    KLOG("ke", "/OSVERSION=%s is not one of 5.2, 6.0, 6.1, 10.0: ignored", Value);
}

// CPUID's bits that NT reports by PF_ numbers.
typedef struct _KI_PROCESSOR_FEATURE {
    UCHAR Feature;
    ULONG Leaf, Register, Bit;  // registers in the order eax, ebx, ecx, edx
} KI_PROCESSOR_FEATURE;

static const KI_PROCESSOR_FEATURE KiProcessorFeatures[] = {
    {PF_RDTSC_INSTRUCTION_AVAILABLE, 1, 3, 4},
    {PF_COMPARE_EXCHANGE_DOUBLE, 1, 3, 8},
    {PF_MMX_INSTRUCTIONS_AVAILABLE, 1, 3, 23},
    {PF_XMMI_INSTRUCTIONS_AVAILABLE, 1, 3, 25},
    {PF_XMMI64_INSTRUCTIONS_AVAILABLE, 1, 3, 26},
    {PF_SSE3_INSTRUCTIONS_AVAILABLE, 1, 2, 0},
    {PF_COMPARE_EXCHANGE128, 1, 2, 13},
    {PF_3DNOW_INSTRUCTIONS_AVAILABLE, 0x80000001, 3, 31},
    {PF_NX_ENABLED, 0x80000001, 3, 20},
};

static VOID KiReportFeatures(VOID)
{
    volatile BOOLEAN *Features = KeSharedUserData->ProcessorFeatures;

    Features[PF_PAE_ENABLED] = TRUE;  // PAE and long mode are the only ones there are
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiProcessorFeatures); i++) {
        const KI_PROCESSOR_FEATURE *f = &KiProcessorFeatures[i];
        Features[f->Feature] = KiCpuidRegister(f->Leaf, f->Register) >> f->Bit & 1;
    }
}

#define IMAGE_FILE_MACHINE (sizeof(PVOID) == 8 ? 0x8664 : 0x14C)

static VOID KiFillSharedData(VOID)
{
    static const WCHAR SystemRoot[] = L"C:\\Windows";
    PKUSER_SHARED_DATA Shared = KeSharedUserData;

    memset(Shared, 0, sizeof(*Shared));
    memcpy(Shared->NtSystemRoot, SystemRoot, sizeof(SystemRoot));
    Shared->ImageNumberLow = Shared->ImageNumberHigh = IMAGE_FILE_MACHINE;
    Shared->TickCountMultiplier = (ULONG)(((ULONG64)HAL_CLOCK_INCREMENT << 24) / 10000);
    Shared->LargePageMinimum = 0x200000;
    Shared->NtProductType = NtProductWinNt;
    Shared->ProductTypeIsValid = TRUE;
    Shared->NtMajorVersion = RtlReportedVersion.dwMajorVersion;
    Shared->NtMinorVersion = RtlReportedVersion.dwMinorVersion;
    Shared->NXSupportPolicy = NX_SUPPORT_POLICY_OPTIN;
    Shared->ActiveProcessorCount = (ULONG)KeNumberProcessors;
    Shared->ActiveGroupCount = 1;
    KiReportFeatures();
}

VOID KeStartInterrupts(VOID)
{
    KiReadVersionOption();
    KiFillSharedData();
    KiInitializeTime();
    KiInitializeIpis();
    KiLowerIrql(PASSIVE_LEVEL);
    HalStartClock();
    KiSti();
}
