// SPDX-License-Identifier: MIT
// hwinfo.c: the monitor's `hwinfo`: the machine on one screen.
//
// Made to be photographed: whoever tries the kernel on a PC that its authors have never seen sends
// a picture of this. So it says what was found, what is used and what nobody drives, in at most 80
// columns and, on machines of usual size, 24 rows. Each paragraph is a label and items that wrap
// under each other. `hwinfo all` prints the whole of each list.
#include "cpuid.h"
#include "halp.h"

#define LINE_WIDTH  79u
#define LABEL_WIDTH 8u
#define ITEM_SIZE   96u
#define LABEL_COLOUR "\033[96m"
#define PLAIN_COLOUR "\033[m"
#define PCI_COLUMN  24u  // "00:1f.2 8086:2922 SATA " and a blank

static HAL_OWNERS HalpOwners;

VOID HalRegisterOwners(const HAL_OWNERS *Owners)
{
    HalpOwners = *Owners;
}

// ---- paragraphs ---------------------------------------------------------------------------------
static ULONG HalpColumn;  // of the paragraph being printed

// The label has a colour of its own on the screen; the log has none.
static VOID HalpBeginParagraph(const char *Label)
{
    HalDisplayOnScreen(LABEL_COLOUR, sizeof(LABEL_COLOUR) - 1);
    KdPrintf("%-*s", (int)LABEL_WIDTH - 1, Label);
    HalDisplayOnScreen(PLAIN_COLOUR, sizeof(PLAIN_COLOUR) - 1);
    HalpColumn = LABEL_WIDTH - 1;
}

static VOID HalpEndParagraph(VOID)
{
    KdPrintf("\n");
}

// One item behind a blank; an item that does not fit begins the next row.
static VOID HalpItem(const char *Format, ...)
{
    char Text[ITEM_SIZE];
    va_list Arguments;
    va_start(Arguments, Format);
    RtlFormatV(Text, sizeof(Text), Format, Arguments);
    va_end(Arguments);
    ULONG Length = (ULONG)strlen(Text);
    if (HalpColumn + 1 + Length > LINE_WIDTH) {
        KdPrintf("\n%*s", (int)LABEL_WIDTH - 1, "");
        HalpColumn = LABEL_WIDTH - 1;
    }
    KdPrintf(" %s", Text);
    HalpColumn += 1 + Length;
}

// ---- processor ----------------------------------------------------------------------------------
static VOID HalpProcessorName(char Name[49])
{
    ULONG Registers[4];
    memset(Name, 0, 49);
    KiCpuid(0x80000000, 0, Registers);
    if (Registers[0] >= 0x80000004) {
        for (ULONG i = 0; i < 3; i++) {
            KiCpuid(0x80000002 + i, 0, Registers);
            memcpy(Name + 16 * i, Registers, 16);
        }
        return;
    }
    KiCpuid(0, 0, Registers);
    memcpy(Name, &Registers[1], 4);
    memcpy(Name + 4, &Registers[3], 4);
    memcpy(Name + 8, &Registers[2], 4);
}

static VOID HalpReportModel(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    ULONG Family = (Registers[0] >> 8) & 15, Model = (Registers[0] >> 4) & 15;
    if (Family == 6 || Family == 15)
        Model |= (Registers[0] >> 12) & 0xF0;
    if (Family == 15)
        Family += (Registers[0] >> 20) & 0xFF;
    HalpItem("(family %u model %u stepping %u)", Family, Model, Registers[0] & 15);
}

static VOID HalpReportFeatures(VOID)
{
    static const struct {
        ULONG Leaf;
        UCHAR Register, Bit;  // 0 to 3: eax to edx
        const char *Name;
    } Features[] = {
        {0x80000001, 3, 20, "NX"},     {0x80000001, 3, 29, "long"},
        {1, 3, 6, "PAE"},              {1, 3, 13, "PGE"},
        {1, 3, 16, "PAT"},             {1, 3, 12, "MTRR"},
        {1, 3, 26, "SSE2"},            {1, 2, 13, "CX16"},
        {1, 2, 26, "XSAVE"},           {1, 2, 21, "x2APIC"},
        {7, 1, 7, "SMEP"},             {7, 1, 20, "SMAP"},
        {7, 2, 2, "UMIP"},             {0x80000001, 3, 26, "1G-pages"},
        {0x80000007, 3, 8, "invariant-TSC"}, {1, 2, 31, "hypervisor"},
    };
    for (ULONG i = 0; i < RTL_NUMBER_OF(Features); i++)
        if (KiCpuidRegister(Features[i].Leaf, Features[i].Register) >> Features[i].Bit & 1)
            HalpItem("%s", Features[i].Name);
        else if (i == 0)
            HalpItem("no NX:");
}

static VOID HalpReportProcessors(BOOLEAN All)
{
    ULONG Running = HalpOwners.Processors != NULL ? HalpOwners.Processors() : 1;
    HalpItem("processors %u, running %u; APIC ids", HalpAcpi.ProcessorCount, Running);
    for (ULONG i = 0; i < HalpAcpi.ProcessorCount && (All || i < 16); i++)
        HalpItem("%u", HalpAcpi.ApicId[i]);
    if (HalpAcpi.ProcessorCount > 16 && !All)
        HalpItem("...");
}

static VOID HalpReportCpu(BOOLEAN All)
{
    char Name[49];
    HalpProcessorName(Name);
    const char *Start = Name;
    while (*Start == ' ')
        Start++;
    HalpBeginParagraph("cpu");
    HalpItem("%s", Start);
    HalpReportModel();
    HalpReportFeatures();
    if (HalpAcpi.ProcessorCount != 0)
        HalpReportProcessors(All);
    HalpEndParagraph();
}

// ---- memory -------------------------------------------------------------------------------------
static const char *const HalpMemoryNames[] = {"none", "RAM", "firmware", "loaded", "bad",
                                              "reserved"};

static ULONG64 HalpMemoryOf(ULONG First, ULONG Last)
{
    ULONG64 Bytes = 0;
    for (ULONG i = 0; i < HalpLoaderBlock->MemoryCount; i++)
        if (HalpLoaderBlock->Memory[i].Type >= First && HalpLoaderBlock->Memory[i].Type <= Last)
            Bytes += HalpLoaderBlock->Memory[i].Length;
    return Bytes;
}

static ULONG64 HalpTopOfMemory(VOID)
{
    ULONG64 Top = 0;
    for (ULONG i = 0; i < HalpLoaderBlock->MemoryCount; i++)
        if (HalpLoaderBlock->Memory[i].Type == LoaderMemoryFree)
            Top = HalpLoaderBlock->Memory[i].Base + HalpLoaderBlock->Memory[i].Length;
    return Top;
}

static VOID HalpReportMemory(BOOLEAN All)
{
    HalpBeginParagraph("memory");
    HalpItem("%llu MiB up to %llx;", HalpMemoryOf(LoaderMemoryFree, LoaderMemoryLoaded) >> 20,
             HalpTopOfMemory());
    HalpItem("firmware keeps %llu KiB;",
             HalpMemoryOf(LoaderMemoryFirmware, LoaderMemoryFirmware) >> 10);
    if (HalpMemoryOf(LoaderMemoryBad, LoaderMemoryBad) != 0)
        HalpItem("%llu KiB are bad;", HalpMemoryOf(LoaderMemoryBad, LoaderMemoryBad) >> 10);
    HalpItem("%u ranges; RAM:", HalpLoaderBlock->MemoryCount);
    ULONG Shown = 0;
    for (ULONG i = 0; i < HalpLoaderBlock->MemoryCount; i++) {
        const LOADER_MEMORY *Range = &HalpLoaderBlock->Memory[i];
        if (!All && (Range->Type != LoaderMemoryFree || Shown++ >= 8))
            continue;
        HalpItem("%llx-%llx%s%s", Range->Base, Range->Base + Range->Length - 1, All ? " " : "",
                 All ? HalpMemoryNames[Range->Type] : "");
    }
    if (!All && Shown > 8)
        HalpItem("...");
    HalpEndParagraph();
}

// ---- firmware -----------------------------------------------------------------------------------
static const char *HalpSpaceName(UCHAR Space)
{
    return Space == ACPI_SPACE_IO ? "port" : Space == ACPI_SPACE_PCI ? "PCI" : "memory";
}

static VOID HalpReportPower(VOID)
{
    if (HalpAcpi.Reset.Address != 0)
        HalpItem("reset by %s %llx=%x;", HalpSpaceName(HalpAcpi.Reset.Space),
                 HalpAcpi.Reset.Address, HalpAcpi.ResetValue);
    else
        HalpItem("no reset register;");
    if (!HalpAcpi.HasS5)
        HalpItem("no power off");
    else if (HalpAcpi.SleepControl.Address != 0)
        HalpItem("off by %s %llx", HalpSpaceName(HalpAcpi.SleepControl.Space),
                 HalpAcpi.SleepControl.Address);
    else
        HalpItem("off by port %llx", HalpAcpi.Pm1aControl.Address);
}

static VOID HalpReportFirmware(VOID)
{
    HalpBeginParagraph("boot");
    HalpItem("%s from %s;", HalpLoaderBlock->LoaderName,
             HalpLoaderBlock->EfiSystemTable != 0 ? "UEFI" : "BIOS");
    HalpItem("ACPI:%s", HalpAcpi.TableCount == 0 ? " none" : "");
    for (ULONG i = 0; i < HalpAcpi.TableCount; i++)
        HalpItem("%s%s", HalpAcpi.Table[i].Signature, i + 1 == HalpAcpi.TableCount ? ";" : "");
    if (HalpAcpi.HasFadt) {
        HalpItem("SCI %u, flags %x;", HalpAcpi.SciInterrupt, HalpAcpi.BootFlags);
        HalpReportPower();
    }
    HalpEndParagraph();
}

// ---- interrupts ---------------------------------------------------------------------------------
static VOID HalpReportVectors(VOID)
{
    char Text[64];
    for (ULONG Vector = 0; Vector < HAL_VECTOR_COUNT; Vector++) {
        if (HalpVectors[Vector].Kind != HalpVectorLine &&
            HalpVectors[Vector].Kind != HalpVectorMessage)
            continue;
        HalDescribeVector(Vector, Text, sizeof(Text));
        const char *Owner = HalpOwners.OfVector != NULL ? HalpOwners.OfVector(Vector) : NULL;
        HalpItem("%s: %s;", Text, Owner != NULL ? Owner : "nobody");
    }
}

static VOID HalpReportInterrupts(VOID)
{
    HalpBeginParagraph("irq");
    HalpItem("%s,", HalDescribeInterrupts());
    if (HalpApic != NULL)
        HalpItem("%s %u version %x,", HalpX2Apic ? "x2APIC" : "APIC", HalpApicId(),
                 HalpApicRead(APIC_VERSION) & 0xFF);
    HalpIoApicSummary(HalpItem);
    HalpPicSummary(HalpItem);
    HalpRouteSummary(HalpItem);
    HalpItem("%u spurious, %u APIC errors;", HalpSpuriousInterrupts(), HalpApicErrors());
    HalpReportVectors();
    HalpEndParagraph();
}

// ---- time, consoles -----------------------------------------------------------------------------
static VOID HalpReportTime(VOID)
{
    HalpBeginParagraph("time");
    HalpCounterSummary(HalpItem);
    HalpItem("HPET: %s, PM timer: %s;", HalpAcpi.HpetAddress != 0 ? "yes" : "no",
             HalpAcpi.PmTimerPort != 0 ? "yes" : "no");
    HalpClockSummary(HalpItem);
    HalpEndParagraph();
}

static VOID HalpReportConsoles(VOID)
{
    ULONG Rows, Columns;
    const char *Screen = HalpScreenName(&Rows, &Columns), *Serial = HalpSerialName();
    const LOADER_DISPLAY *Display = HalpFramebufferDisplay();
    HalpBeginParagraph("console");
    if (Screen != NULL)
        HalpItem("%s %ux%u;", Screen, Columns, Rows);
    if (Display != NULL)
        HalpItem("%ux%u pixels of %u bits, pitch %u, at %llx;", Display->Width, Display->Height,
                 Display->BitsPerPixel, Display->Pitch, Display->Base);
    if (Serial != NULL)
        HalpItem("%s at %x;", Serial, HalpSerialPort());
    HalpItem("%s", HalpKeyboardPresent() ? "PS/2 keyboard" : "no PS/2 controller");
    HalpEndParagraph();
}

// ---- PCI ----------------------------------------------------------------------------------------
static ULONG HalpPciTotal, HalpPciDriven;

static const char *HalpDriverOf(ULONG Bus, ULONG Device, ULONG Function)
{
    return HalpOwners.OfPciFunction != NULL ? HalpOwners.OfPciFunction(Bus, Device, Function)
                                            : NULL;
}

static VOID HalpCountFunction(ULONG Bus, ULONG Device, ULONG Function)
{
    HalpPciTotal++;
    HalpPciDriven += HalpDriverOf(Bus, Device, Function) != NULL;
}

static VOID HalpReportFunction(ULONG Bus, ULONG Device, ULONG Function)
{
    char Text[PCI_COLUMN + 1];
    ULONG Id = 0;
    UCHAR Class[4] = {0};
    HalReadPci(Bus, Device, Function, 0, &Id, sizeof(Id));
    HalReadPci(Bus, Device, Function, 8, Class, sizeof(Class));
    RtlFormat(Text, sizeof(Text), "%02x:%02x.%x %04x:%04x %s", Bus, Device, Function, Id & 0xFFFF,
              Id >> 16, HalpPciClassName(Class[3], Class[2], TRUE));
    HalpItem("%-*s", (int)PCI_COLUMN - 1, Text);
}

static VOID HalpReportDriven(ULONG Bus, ULONG Device, ULONG Function)
{
    const char *Driver = HalpDriverOf(Bus, Device, Function);
    if (Driver != NULL)
        HalpItem("%02x:%02x.%x %s;", Bus, Device, Function, Driver);
}

static VOID HalpReportPci(VOID)
{
    HalpBeginParagraph("PCI");
    HalpPciTotal = HalpPciDriven = 0;
    HalpPciVisitAll(HalpCountFunction);
    if (HalpPciTotal == 0) {
        HalpItem("none");
    } else {
        HalpPciVisitAll(HalpReportFunction);
        HalpEndParagraph();
        HalpBeginParagraph("driven");
        HalpItem("%u of %u%s", HalpPciDriven, HalpPciTotal, HalpPciDriven != 0 ? ":" : "");
        HalpPciVisitAll(HalpReportDriven);
    }
    HalpEndParagraph();
}

static BOOLEAN HalpHardwareCommand(const char *Arguments)
{
    BOOLEAN All = strcmp(Arguments, "all") == 0;
    if (*Arguments != '\0' && !All)
        return FALSE;
    HalpReportCpu(All);
    HalpReportMemory(All);
    HalpReportFirmware();
    HalpReportInterrupts();
    HalpReportTime();
    HalpReportConsoles();
    HalpReportPci();
    if (All) {
        HalpInterruptReport();
        HalpPciReport();
    }
    return TRUE;
}

KD_COMMAND(hwinfo, "hwinfo",
           "hwinfo [all]: the machine on one screen: processor, memory, interrupts, timers, PCI",
           HalpHardwareCommand, KD_SAFE_IN_BUGCHECK);
