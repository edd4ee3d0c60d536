// SPDX-License-Identifier: MIT
// System time (100 ns units since 1 January 1601, UTC) and the calendar.
//
// Days are counted from 1 March of year 0 of the proleptic Gregorian calendar, so that the leap
// day is the last of its year and the lengths of months follow one formula (153 days in every
// five months).
#include "rtl.h"
#include "rtlp.h"

#define UNITS_PER_MS      10000
#define UNITS_PER_SECOND  10000000LL
#define SECONDS_PER_DAY   86400
#define DAYS_TO_1601      584694  // from 1 March 0 to 1 January 1601
#define SECONDS_1601_1970 11644473600LL
#define SECONDS_1601_1980 11960006400LL
#define DAYS_PER_ERA      146097  // 400 years

typedef struct _RTLP_DATE {
    LONG Year, Month, Day;
} RTLP_DATE;

static RTLP_DATE RtlpDateOfDay(LONG Days)
{
    LONG Era, DayOfEra, YearOfEra, DayOfYear, Month;

    Days += DAYS_TO_1601;
    Era = Days / DAYS_PER_ERA;
    DayOfEra = Days % DAYS_PER_ERA;
    YearOfEra = (DayOfEra - DayOfEra / 1460 + DayOfEra / 36524 - DayOfEra / 146096) / 365;
    DayOfYear = DayOfEra - (365 * YearOfEra + YearOfEra / 4 - YearOfEra / 100);
    Month = (5 * DayOfYear + 2) / 153;  // 0: March
    return (RTLP_DATE){
        .Year = Era * 400 + YearOfEra + (Month >= 10),
        .Month = Month < 10 ? Month + 3 : Month - 9,
        .Day = DayOfYear - (153 * Month + 2) / 5 + 1,
    };
}

static LONG RtlpDayOfDate(LONG Year, LONG Month, LONG Day)
{
    LONG YearOfEra, DayOfYear;

    Year -= Month <= 2;
    YearOfEra = Year % 400;
    DayOfYear = (153 * (Month > 2 ? Month - 3 : Month + 9) + 2) / 5 + Day - 1;
    return Year / 400 * DAYS_PER_ERA + YearOfEra * 365 + YearOfEra / 4 - YearOfEra / 100 +
           DayOfYear - DAYS_TO_1601;
}

// The calendar's view of a system time. IRQL: any when both are resident.
// Source: Windows driver documentation.
VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields)
{
    LONG64 Seconds = Time->QuadPart / UNITS_PER_SECOND;
    LONG Days = (LONG)(Seconds / SECONDS_PER_DAY), Rest = (LONG)(Seconds % SECONDS_PER_DAY);
    RTLP_DATE Date = RtlpDateOfDay(Days);

    TimeFields->Year = (CSHORT)Date.Year;
    TimeFields->Month = (CSHORT)Date.Month;
    TimeFields->Day = (CSHORT)Date.Day;
    TimeFields->Hour = (CSHORT)(Rest / 3600);
    TimeFields->Minute = (CSHORT)(Rest / 60 % 60);
    TimeFields->Second = (CSHORT)(Rest % 60);
    TimeFields->Milliseconds = (CSHORT)(Time->QuadPart % UNITS_PER_SECOND / UNITS_PER_MS);
    TimeFields->Weekday = (CSHORT)((Days + 1) % 7);  // 1 January 1601 was a Monday
}
EXPORT(RtlTimeToTimeFields, EXPORT_ANY_IRQL, ON_WDM);

static BOOLEAN RtlpIsDate(const TIME_FIELDS *f)
{
    RTLP_DATE Back;

    if (f->Year < 1601 || f->Month < 1 || f->Month > 12 || f->Day < 1 || f->Day > 31)
        return FALSE;
    Back = RtlpDateOfDay(RtlpDayOfDate(f->Year, f->Month, f->Day));
    return Back.Month == f->Month;  // 30 February would come back as a day in March
}

// The system time of a calendar date; Weekday is not looked at. IRQL: any when both are resident.
// Fails: FALSE for what is no time from 1601 on. Source: Windows driver documentation.
BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time)
{
    const TIME_FIELDS *f = TimeFields;
    LONG64 Seconds;

    if (!RtlpIsDate(f) || f->Hour < 0 || f->Hour > 23 || f->Minute < 0 || f->Minute > 59 ||
        f->Second < 0 || f->Second > 59 || f->Milliseconds < 0 || f->Milliseconds > 999)
        return FALSE;
    Seconds = (LONG64)RtlpDayOfDate(f->Year, f->Month, f->Day) * SECONDS_PER_DAY + f->Hour * 3600 +
              f->Minute * 60 + f->Second;
    Time->QuadPart = Seconds * UNITS_PER_SECOND + f->Milliseconds * UNITS_PER_MS;
    return TRUE;
}
EXPORT(RtlTimeFieldsToTime, EXPORT_ANY_IRQL, ON_WDM);

static BOOLEAN RtlpSecondsSince(const LARGE_INTEGER *Time, LONG64 Start, PULONG Seconds)
{
    LONG64 Count = Time->QuadPart / UNITS_PER_SECOND - Start;

    if (Count < 0 || Count > MAXULONG)
        return FALSE;
    *Seconds = (ULONG)Count;
    return TRUE;
}

// Seconds since 1 January 1970. IRQL: any when both are resident.
// Fails: FALSE when 32 bits do not hold them. Source: Windows driver documentation.
BOOLEAN NTAPI RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG Seconds)
{
    return RtlpSecondsSince(Time, SECONDS_1601_1970, Seconds);
}
EXPORT(RtlTimeToSecondsSince1970, EXPORT_ANY_IRQL, ON_NTIFS);

// The same since 1 January 1980. IRQL: any when both are resident.
// Fails: FALSE when 32 bits do not hold them. Source: Windows driver documentation.
BOOLEAN NTAPI RtlTimeToSecondsSince1980(PLARGE_INTEGER Time, PULONG Seconds)
{
    return RtlpSecondsSince(Time, SECONDS_1601_1980, Seconds);
}
EXPORT(RtlTimeToSecondsSince1980, EXPORT_ANY_IRQL, ON_NTIFS);

// The system time of a number of seconds since 1 January 1970. IRQL: any when Time is resident.
// Source: Windows driver documentation.
VOID NTAPI RtlSecondsSince1970ToTime(ULONG Seconds, PLARGE_INTEGER Time)
{
    Time->QuadPart = (SECONDS_1601_1970 + Seconds) * UNITS_PER_SECOND;
}
EXPORT(RtlSecondsSince1970ToTime, EXPORT_ANY_IRQL, ON_NTIFS);

// The same since 1 January 1980. IRQL: any when Time is resident.
// Source: Windows driver documentation.
VOID NTAPI RtlSecondsSince1980ToTime(ULONG Seconds, PLARGE_INTEGER Time)
{
    Time->QuadPart = (SECONDS_1601_1980 + Seconds) * UNITS_PER_SECOND;
}
EXPORT(RtlSecondsSince1980ToTime, EXPORT_ANY_IRQL, ON_NTIFS);
