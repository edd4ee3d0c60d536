// SPDX-License-Identifier: MIT
// A machine for the gdb server to look at: some memory, two threads, a serial line whose far end is
// the test. It has the registers of no real processor, of several sizes.
#pragma once

#include "kernel/kd/gdb.h"
#include "rtl.h"

#define FAKE_BASE 0xFFFFF80000001000ull
#define FAKE_SIZE 0x3000u
#define FAKE_HOLE 0x1000u // the page at this offset is not there

static UCHAR FakeMemory[FAKE_SIZE];
static UCHAR FakeRegisters[2][8][GDB_REGISTER_BYTES];
static const UCHAR *FakeInput;
static size_t FakeInputLeft;
static UCHAR FakeOutput[1u << 20];
static size_t FakeOutputLength;
static GDB_SESSION FakeSession;

const char KdpArchitectureName[] = "i386:x86-64";
const GDB_FEATURE KdpFeatures[] = {{"org.test.core", ""}, {"org.test.more", "<flags/>"}};
const GDB_REGISTER KdpRegisters[] = {
    {"a", "int64", 8, 0, 0},     {"fp", "data_ptr", 8, 0, 1}, {"sp", "data_ptr", 8, 0, 2},
    {"pc", "code_ptr", 8, 0, 3}, {"flags", "int32", 4, 0, 4}, {"st", "i387_ext", 10, 0, 5},
    {"xmm", "vec128", 16, 1, 6}, {"gone", "int16", 2, 1, 7},
};
const ULONG KdpRegisterCount = RTL_NUMBER_OF(KdpRegisters);
const ULONG KdpBulkRegisters = 5;
const UCHAR KdpExpedited[3] = {1, 2, 3};
const ULONG KdpWatchBytes = 8;

static unsigned FakeSilences; // how often silence comes before the end does

int KdpGdbReadByte(BOOLEAN Forever)
{
    if (FakeInputLeft == 0 && !Forever && FakeSilences != 0) {
        FakeSilences--;
        return KD_SILENCE;
    }
    if (FakeInputLeft == 0)
        return KD_LINE_GONE;
    FakeInputLeft--;
    return *FakeInput++;
}

ULONG KdpGdbPacketSize(VOID)
{
    return GDB_PACKET_SIZE;
}

static const UCHAR *FakePause; // before this byte of the input

BOOLEAN KdpGdbWasQuiet(VOID)
{
    return FakePause == FakeInput - 1;
}

VOID KdpGdbWriteBytes(const UCHAR *Bytes, SIZE_T Length)
{
    for (SIZE_T i = 0; i < Length && FakeOutputLength < sizeof(FakeOutput); i++)
        FakeOutput[FakeOutputLength++] = Bytes[i];
}

static BOOLEAN FakeMapped(ULONG64 Address)
{
    ULONG64 Offset = Address - FAKE_BASE;
    return Offset < FAKE_SIZE && Offset / 0x1000 != FAKE_HOLE / 0x1000;
}

SIZE_T KdpReadMemory(ULONG64 Address, VOID *Buffer, SIZE_T Length)
{
    SIZE_T Done = 0;
    for (; Done < Length && FakeMapped(Address + Done); Done++)
        ((UCHAR *)Buffer)[Done] = FakeMemory[Address + Done - FAKE_BASE];
    return Done;
}

BOOLEAN KdpWriteMemory(ULONG64 Address, const VOID *Buffer, SIZE_T Length)
{
    for (SIZE_T i = 0; i < Length; i++)
        if (!FakeMapped(Address + i))
            return FALSE;
    memcpy(FakeMemory + (Address - FAKE_BASE), Buffer, Length);
    return TRUE;
}

BOOLEAN KdpReadRegister(ULONG Thread, ULONG Number, UCHAR *Value)
{
    if (Thread - 1 >= 2 || Number == 7)
        return FALSE;
    memcpy(Value, FakeRegisters[Thread - 1][Number], KdpRegisters[Number].Bytes);
    return TRUE;
}

BOOLEAN KdpWriteRegister(ULONG Thread, ULONG Number, const UCHAR *Value)
{
    if (Thread - 1 >= 2 || Number == 7)
        return FALSE;
    memcpy(FakeRegisters[Thread - 1][Number], Value, KdpRegisters[Number].Bytes);
    return TRUE;
}

VOID KdpSetProgramCounter(ULONG Thread, ULONG64 Address)
{
    memcpy(FakeRegisters[Thread - 1][3], &Address, sizeof(Address));
}

ULONG KdpNextThread(ULONG Previous)
{
    return Previous < 2 ? Previous + 1 : 0;
}

static ULONG FakeStepping = 2; // the first so many threads are on processors

BOOLEAN KdpCanStep(ULONG Thread)
{
    return Thread - 1 < FakeStepping;
}

VOID KdpDescribeThread(ULONG Thread, char *Buffer, SIZE_T Size)
{
    RtlFormat(Buffer, Size, "processor %u", Thread - 1);
}

VOID KdpDescribeModules(GDB_WINDOW *Window)
{
    GdbWindowText(Window, "<library name=\"%s\"/>", "edu.sys");
}

VOID KdpDescribeMemory(GDB_WINDOW *Window)
{
    GdbWindowText(Window, "<memory type=\"ram\" start=\"0x%llx\" length=\"0x%x\"/>", FAKE_BASE,
                  FAKE_SIZE);
}

VOID KdpRunMonitorCommand(const char *Line)
{
    GdbOutput(&FakeSession, "you said ", 9);
    GdbOutput(&FakeSession, Line, strlen(Line));
}

static void FakeReset(void)
{
    memset(FakeMemory, 0x90, sizeof(FakeMemory));
    memset(FakeRegisters, 0, sizeof(FakeRegisters));
    GdbRemoveAllBreakpoints();
    memset(FakeMemory, 0x90, sizeof(FakeMemory));
    GdbInitializeSession(&FakeSession);
    FakeOutputLength = 0;
}

// Serves these bytes as if they had come over the line.
static GDB_RESUME FakeServe(const void *Input, size_t Length, GDB_STOP Stop)
{
    GDB_RESUME Resume;
    FakeInput = Input;
    FakeInputLeft = Length;
    GdbServe(&FakeSession, &Stop, &Resume);
    return Resume;
}
