// SPDX-License-Identifier: MIT
// cmos.c: the battery-backed memory and its clock.
//
// The clock is read until two readings agree, so that a change in between cannot tear one apart. It
// holds binary or BCD, 12 or 24 hours, and a year of two digits: the century is in a register that
// the FADT names, and without that counts from 1980. Firmware that keeps local time gives local
// time; NT's own rule.
#include "halp.h"

#define CMOS_INDEX   0x70u
#define CMOS_DATA    0x71u
#define NMI_DISABLED 0x80u

#define RTC_SECOND   0x00u
#define RTC_MINUTE   0x02u
#define RTC_HOUR     0x04u
#define RTC_DAY      0x07u
#define RTC_MONTH    0x08u
#define RTC_YEAR     0x09u
#define RTC_STATUS_A 0x0Au
#define RTC_STATUS_B 0x0Bu
#define RTC_UPDATING 0x80u
#define RTC_BINARY   0x04u
#define RTC_24_HOURS 0x02u
#define RTC_PM       0x80u
#define UPDATE_LIMIT 10000u
#define READ_LIMIT   8u

static HALP_LOCK HalpCmosLock;

UCHAR HalpReadCmos(ULONG Register)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpCmosLock);
    KiOutByte(CMOS_INDEX, (UCHAR)(Register & ~NMI_DISABLED));
    UCHAR Value = KiInByte(CMOS_DATA);
    HalpReleaseLock(&HalpCmosLock, Enabled);
    return Value;
}

VOID HalpWriteCmos(ULONG Register, UCHAR Value)
{
    BOOLEAN Enabled = HalpAcquireLock(&HalpCmosLock);
    KiOutByte(CMOS_INDEX, (UCHAR)(Register & ~NMI_DISABLED));
    KiOutByte(CMOS_DATA, Value);
    HalpReleaseLock(&HalpCmosLock, Enabled);
}

typedef struct _HALP_RTC {
    UCHAR Second, Minute, Hour, Day, Month, Year, Century;
} HALP_RTC;

static HALP_RTC HalpReadRtcOnce(VOID)
{
    for (ULONG i = 0; i < UPDATE_LIMIT && (HalpReadCmos(RTC_STATUS_A) & RTC_UPDATING); i++)
        KiPause();
    HALP_RTC Rtc = {HalpReadCmos(RTC_SECOND),
                    HalpReadCmos(RTC_MINUTE),
                    HalpReadCmos(RTC_HOUR),
                    HalpReadCmos(RTC_DAY),
                    HalpReadCmos(RTC_MONTH),
                    HalpReadCmos(RTC_YEAR),
                    0};
    if (HalpAcpi.Century != 0 && HalpAcpi.Century < 0x80)
        Rtc.Century = HalpReadCmos(HalpAcpi.Century);
    return Rtc;
}

// FALSE: no two readings agree, so there is no clock.
static BOOLEAN HalpReadRtc(HALP_RTC *Rtc)
{
    HALP_RTC Again;
    *Rtc = HalpReadRtcOnce();
    for (ULONG i = 0; i < READ_LIMIT; i++) {
        Again = HalpReadRtcOnce();
        if (memcmp(Rtc, &Again, sizeof(Again)) == 0)
            return TRUE;
        *Rtc = Again;
    }
    return FALSE;
}

static UCHAR HalpFromBcd(UCHAR Value)
{
    return (UCHAR)((Value >> 4) * 10 + (Value & 15));
}

static VOID HalpDecodeRtc(HALP_RTC *Rtc, UCHAR StatusB)
{
    BOOLEAN Afternoon = !(StatusB & RTC_24_HOURS) && (Rtc->Hour & RTC_PM);
    if (Afternoon)
        Rtc->Hour &= (UCHAR)~RTC_PM;
    if (!(StatusB & RTC_BINARY))
        for (UCHAR *Field = &Rtc->Second; Field <= &Rtc->Century; Field++)
            *Field = HalpFromBcd(*Field);
    if (!(StatusB & RTC_24_HOURS))
        Rtc->Hour = (UCHAR)(Rtc->Hour % 12 + (Afternoon ? 12 : 0));
}

static BOOLEAN HalpRtcPlausible(const HALP_RTC *Rtc)
{
    return Rtc->Second < 60 && Rtc->Minute < 60 && Rtc->Hour < 24 && Rtc->Day >= 1 &&
           Rtc->Day <= 31 && Rtc->Month >= 1 && Rtc->Month <= 12 && Rtc->Year < 100;
}

static ULONG HalpRtcYear(const HALP_RTC *Rtc)
{
    if (Rtc->Century >= 19 && Rtc->Century <= 25)
        return Rtc->Century * 100u + Rtc->Year;
    return Rtc->Year >= 80 ? 1900u + Rtc->Year : 2000u + Rtc->Year;
}

// Days from 1601-01-01. The year is counted from March, so that the leap day is its last.
static ULONG HalpDaysSince1601(ULONG Year, ULONG Month, ULONG Day)
{
    if (Month <= 2) {
        Year--;
        Month += 12;
    }
    ULONG Days =
        365 * Year + Year / 4 - Year / 100 + Year / 400 + (153 * (Month - 3) + 2) / 5 + Day;
    return Days - 584695;
}

ULONG64 HalQueryRealTime(VOID)
{
    HALP_RTC Rtc;
    if ((HalpAcpi.BootFlags & ACPI_BOOT_NO_CMOS) || !HalpReadRtc(&Rtc))
        return 0;
    HalpDecodeRtc(&Rtc, HalpReadCmos(RTC_STATUS_B));
    if (!HalpRtcPlausible(&Rtc))
        return 0;
    ULONG64 Days = HalpDaysSince1601(HalpRtcYear(&Rtc), Rtc.Month, Rtc.Day);
    return (((Days * 24 + Rtc.Hour) * 60 + Rtc.Minute) * 60 + Rtc.Second) * 10000000ull;
}
