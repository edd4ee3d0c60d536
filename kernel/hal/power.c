// SPDX-License-Identifier: MIT
// power.c: the end: reset, power off, QEMU's exit port, halt.
//
// Each way is tried in turn, from the one that firmware names to the one that always works on a PC.
// They run with interrupts off, at any IRQL, also during a bugcheck.
#include "halp.h"

#define PM1_SCI_ENABLED     0x0001u
#define PM1_SLEEP_TYPE(t)   ((USHORT)(((t)&7u) << 10))
#define PM1_SLEEP_TYPE_MASK 0x1C00u
#define PM1_SLEEP_ENABLE    0x2000u
#define SLEEP_TYPE(t)       ((UCHAR)(((t)&7u) << 2))
#define SLEEP_ENABLE        0x20u

#define RESET_CONTROL     0xCF9u
#define RESET_FULL        0x06u  // after 0x02: hard reset
#define I8042_PULSE_RESET 0xFEu

#define SETTLE_TIME  50000u  // microseconds for the machine to go away
#define ENABLE_LIMIT 3000u   // milliseconds that firmware may take to hand ACPI over

DECLSPEC_NORETURN VOID HalHalt(VOID)
{
    for (;;) {
        KiCli();
        KiHalt();
    }
}

VOID HalExitEmulator(ULONG Port, ULONG Value)
{
    KiOutByte((USHORT)Port, (UCHAR)Value);
}

// ---- registers that firmware names --------------------------------------------------------------
static VOID HalpWritePciRegister(ULONG64 Where, UCHAR Value)
{
    HalWritePci(0, (ULONG)(Where >> 32) & 0x1F, (ULONG)(Where >> 16) & 7, (ULONG)Where & 0xFF,
                &Value, 1);
}

static VOID HalpWriteMemory(ULONG64 Where, UCHAR Value)
{
    volatile UCHAR *Register = HalMapPhysical(Where, 1, FALSE);
    if (Register != NULL)
        *Register = Value;
}

// Writes an eight-bit register of ACPI's, wherever it is, and waits for what it does.
static VOID HalpWriteAcpiRegister(const ACPI_REGISTER *Register, UCHAR Value)
{
    ULONG64 Where = Register->Address;
    if (Where == 0)
        return;
    if (Register->Space == ACPI_SPACE_IO && Where <= 0xFFFF)
        KiOutByte((USHORT)Where, Value);
    else if (Register->Space == ACPI_SPACE_MEMORY)
        HalpWriteMemory(Where, Value);
    else if (Register->Space == ACPI_SPACE_PCI)
        HalpWritePciRegister(Where, Value);
    HalStallExecution(SETTLE_TIME);
}

// ---- reset --------------------------------------------------------------------------------------
static VOID HalpResetByChipset(VOID)
{
    UCHAR Control = KiInByte(RESET_CONTROL) & (UCHAR)~RESET_FULL;
    KiOutByte(RESET_CONTROL, Control | 0x02);
    HalStallExecution(50);
    KiOutByte(RESET_CONTROL, Control | RESET_FULL);
    HalStallExecution(SETTLE_TIME);
}

DECLSPEC_NORETURN VOID HalReboot(VOID)
{
    KiCli();
    HalpWriteAcpiRegister(&HalpAcpi.Reset, HalpAcpi.ResetValue);
    HalpResetByChipset();
    if (HalpKeyboardController(I8042_PULSE_RESET))
        HalStallExecution(SETTLE_TIME);
    KiTripleFault();
    HalHalt();
}

// ---- power off ----------------------------------------------------------------------------------
static USHORT HalpPm1Port(const ACPI_REGISTER *Register)
{
    BOOLEAN Usable = Register->Space == ACPI_SPACE_IO && Register->Address <= 0xFFFE;
    return Usable ? (USHORT)Register->Address : 0;
}

// Firmware keeps the power register to itself until it is told that ACPI is wanted.
static VOID HalpEnterAcpiMode(USHORT Pm1a)
{
    if (HalpAcpi.SmiCommand == 0 || HalpAcpi.SmiCommand > 0xFFFF ||
        (KiInWord(Pm1a) & PM1_SCI_ENABLED))
        return;
    KiOutByte((USHORT)HalpAcpi.SmiCommand, HalpAcpi.AcpiEnable);
    for (ULONG i = 0; i < ENABLE_LIMIT && !(KiInWord(Pm1a) & PM1_SCI_ENABLED); i++)
        HalStallExecution(1000);
}

static VOID HalpWriteSleep(USHORT Port, UCHAR Type)
{
    if (Port == 0)
        return;
    USHORT Control = KiInWord(Port) & (USHORT) ~(PM1_SLEEP_TYPE_MASK | PM1_SLEEP_ENABLE);
    KiOutWord(Port, Control | PM1_SLEEP_TYPE(Type));
    KiOutWord(Port, Control | PM1_SLEEP_TYPE(Type) | PM1_SLEEP_ENABLE);
}

static VOID HalpPowerOffByAcpi(VOID)
{
    USHORT Pm1a = HalpPm1Port(&HalpAcpi.Pm1aControl);
    if (!HalpAcpi.HasS5)
        return;
    HalpWriteAcpiRegister(&HalpAcpi.SleepControl, SLEEP_TYPE(HalpAcpi.S5TypeA) | SLEEP_ENABLE);
    if (Pm1a == 0)
        return;
    HalpEnterAcpiMode(Pm1a);
    HalpWriteSleep(Pm1a, HalpAcpi.S5TypeA);
    HalpWriteSleep(HalpPm1Port(&HalpAcpi.Pm1bControl), HalpAcpi.S5TypeB);
    HalStallExecution(SETTLE_TIME);
}

// The emulators' own: QEMU's and Bochs's PM registers at their default addresses, and old ones'.
static VOID HalpPowerOffByEmulator(VOID)
{
    KiOutWord(0x604, 0x2000);
    KiOutWord(0xB004, 0x2000);
    KiOutWord(0x4004, 0x3400);
    HalStallExecution(SETTLE_TIME);
}

static BOOLEAN HalpUnderHypervisor(VOID)
{
    ULONG Registers[4];
    KiCpuid(1, 0, Registers);
    return (Registers[2] & 0x80000000u) != 0;
}

VOID HalPowerOff(VOID)
{
    BOOLEAN Enabled = KiDisableInterrupts();
    HalpPowerOffByAcpi();
    if (HalpUnderHypervisor())
        HalpPowerOffByEmulator();
    KiRestoreInterrupts(Enabled);
}
