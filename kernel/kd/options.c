// SPDX-License-Identifier: MIT
// The kernel's command line: boot.ini's switches and a few of our own, "/NAME" or "/NAME=value".
//
// A value with blanks or semicolons is quoted: /MONITOR="!vm; !idt"; GRUB passes such a word on as
// "/MONITOR=!vm; !idt", which is read alike. Names are matched without regard to case. The table
// below is the whole truth: `help boot` prints it, and a name that is not in it is named in the log
// and otherwise ignored, as boot.ini's reader does.
#include "kdp.h"

typedef struct _KD_OPTION {
    const char *Name;
    const char *Help;
} KD_OPTION;

static const KD_OPTION KdOptions[] = {
    {"3GB", "i386: 3 GiB of user space, 1 GiB of system space"},
    {"BAUDRATE", "=N: speed of that port, 115200"},
    {"BREAK", "with /DEBUG stop at KiSystemStartup; else wait for a key"},
    {"BURNMEMORY", "=MIB: leave that much RAM unused"},
    {"CRASHDEBUG", "stay in the monitor after a bugcheck"},
    {"DEBUG", "gdb may connect on a serial port: COM2, or COM1 where there is no COM2"},
    {"DEBUGPORT", "=COM1 to COM4 or =0x2F8: gdb's port with /DEBUG, else that of log and prompt"},
    {"EXITPORT", "=PORT: QEMU's isa-debug-exit device; ends the run with a status"},
    {"FAILALLOCATION", "=N: the N-th pool allocation of drivers fails"},
    {"FAULTS", "=CHANCE,TAGS,SECONDS,SEED: fail allocations, CHANCE in 10000"},
    {"IMPORTS", "=TRAP: load drivers with unresolved imports; calling one stops the run"},
    {"MAXMEM", "=MIB: use no RAM above that address"},
    {"MONITOR", "=\"command; command\": run these at the prompt first"},
    {"NOEXECUTE", "=ALWAYSON: no pool is executable, whatever its type says"},
    {"NUMPROC", "=N: use that many processors at most"},
    {"ONECPU", "use one processor"},
    {"POOLGUARD", "=RATE: one pool allocation in RATE is put between inaccessible pages"},
    {"POOLQUOTA", "=BYTES: what the system process may be charged for of each pool"},
    {"OSVERSION", "=5.2, 6.0, 6.1 or 10.0: the version drivers are told"},
    {"RUN", "load all driver modules, let them run, unload them, end with a verdict"},
    {"CLOCKWATCHDOG", "=SECONDS: how long a processor may leave others' calls unanswered; 0: ever"},
    {"DPCWATCHDOG", "=MILLISECONDS: stops whoever holds DISPATCH_LEVEL for longer; 0: never"},
    {"RUNFOR", "=SECONDS: how long /RUN lets the drivers run; 0: until nothing is left to do"},
    {"PIC", "device interrupts by the 8259s although there is an I/O APIC"},
    {"SAFE", "one processor, 8259 interrupts, no ACPI, VGA text where there is one"},
    {"SPECIALPOOL", "=all,tag:T,size:N-M,driver:D,underrun: blocks between inaccessible pages"},
    {"SOS", "name every driver as it loads"},
    {"X2APICPOLICY", "=ENABLE: x2APIC mode where the processor has it; =DISABLE: xAPIC mode"},
    {"VERIFIER", "=FLAGS: 1 special pool for all, 4 random failures, 8 call stacks of blocks"},
};

// Moves *Cursor to the next option. Returns its name's length, 0 at the end; Value and ValueLength
// are what follows "=", without quotes.
static SIZE_T KdpNextOption(const char **Cursor, const char **Name, const char **Value,
                            SIZE_T *ValueLength)
{
    const char *p = *Cursor;
    while (*p != 0 && *p != '/')
        p++;
    if (*p == 0)
        return 0;
    BOOLEAN WholeQuoted = p != *Cursor && p[-1] == '"';
    *Name = ++p;
    while (*p != 0 && *p != '=' && *p != ' ' && *p != '/')
        p++;
    SIZE_T Length = (SIZE_T)(p - *Name);
    *Value = p;
    *ValueLength = 0;
    if (*p == '=') {
        char End = WholeQuoted || p[1] == '"' ? '"' : ' ';
        *Value = p += p[1] == '"' ? 2 : 1;
        while (*p != 0 && *p != End)
            p++;
        *ValueLength = (SIZE_T)(p - *Value);
        p += *p == '"';
    }
    *Cursor = p;
    return Length != 0 ? Length : KdpNextOption(Cursor, Name, Value, ValueLength);
}

BOOLEAN KdQueryOption(const char *Name, char *Value, SIZE_T Size)
{
    const char *Cursor = KeLoaderBlockStorage.CommandLine, *Found, *Text;
    SIZE_T Length, TextLength;

    while ((Length = KdpNextOption(&Cursor, &Found, &Text, &TextLength)) != 0) {
        if (strlen(Name) != Length || _strnicmp(Found, Name, Length) != 0)
            continue;
        if (Value != NULL && Size != 0) {
            TextLength = TextLength < Size ? TextLength : Size - 1;
            memcpy(Value, Text, TextLength);
            Value[TextLength] = 0;
        }
        return TRUE;
    }
    return FALSE;
}

ULONG64 KdQueryOptionNumber(const char *Name, ULONG64 Default)
{
    char Text[32];
    ULONG64 Value = 0;
    const char *p = Text;
    ULONG Base = 10;

    if (!KdQueryOption(Name, Text, sizeof(Text)) || Text[0] == 0)
        return Default;
    if (p[0] == '0' && (p[1] | 0x20) == 'x') {
        Base = 16;
        p += 2;
    }
    for (;; p++) {
        ULONG Digit = *p >= '0' && *p <= '9' ? (ULONG)(*p - '0')
                      : (*p | 0x20) >= 'a'   ? (ULONG)((*p | 0x20) - 'a' + 10)
                                             : 99;
        if (Digit >= Base)
            break;
        Value = Value * Base + Digit;
    }
    switch (*p | 0x20) {
    case 'g':
        return Value << 30;
    case 'm':
        return Value << 20;
    case 'k':
        return Value << 10;
    default:
        return Value;
    }
}

VOID KdpReportUnknownOptions(VOID)
{
    const char *Cursor = KeLoaderBlockStorage.CommandLine, *Name, *Value;
    SIZE_T Length, ValueLength;

    while ((Length = KdpNextOption(&Cursor, &Name, &Value, &ValueLength)) != 0) {
        BOOLEAN Known = FALSE;
        for (ULONG i = 0; i < RTL_NUMBER_OF(KdOptions) && !Known; i++)
            Known = strlen(KdOptions[i].Name) == Length &&
                    _strnicmp(KdOptions[i].Name, Name, Length) == 0;
        if (!Known)
            KLOG("kd", "option /%.*s is not known and is ignored", (int)Length, Name);
    }
}

VOID KdpPrintOptions(VOID)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(KdOptions); i++)
        KdPrintf("  /%-12s %s\n", KdOptions[i].Name, KdOptions[i].Help);
}
