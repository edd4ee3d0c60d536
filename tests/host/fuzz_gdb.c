// SPDX-License-Identifier: MIT
// Links: kernel/kd/gdbpacket.c kernel/kd/gdbserver.c kernel/kd/gdbquery.c kernel/kd/gdbmemory.c
// Links: kernel/kd/gdbwatch.c kernel/kd/gdbregisters.c kernel/rtl/format.c kernel/rtl/utf.c
//
// The gdb server on an arbitrary line. An even first byte takes the rest as the line's raw bytes;
// an odd one takes it as packets, each ended by a newline, and frames them properly, which reaches
// further than guessing checksums does. Whatever comes, the machine's memory outside what was
// written stays, and once gdb is gone no breakpoint is left in it.
#include "gdb_fake.h"

#include <stdint.h>
#include <stdlib.h>

static UCHAR Line[1u << 16];

static size_t Frame(const uint8_t *Data, size_t Size)
{
    static const char Digits[] = "0123456789abcdef";
    size_t Length = 0;
    UCHAR Sum = 0;

    for (size_t i = 0; i < Size && Length + 8 < sizeof(Line); i++) {
        if (i == 0 || Data[i - 1] == '\n') {
            Line[Length++] = '$';
            Sum = 0;
        }
        if (Data[i] != '\n' && Data[i] != '$' && Data[i] != '#') {
            Line[Length++] = Data[i];
            Sum += Data[i];
        }
        if (Data[i] == '\n' || i + 1 == Size) {
            Line[Length++] = '#';
            Line[Length++] = (UCHAR)Digits[Sum >> 4];
            Line[Length++] = (UCHAR)Digits[Sum & 15];
            Line[Length++] = '+';
        }
    }
    return Length;
}

// Every stop but the last is followed by the machine running on until the next.
static void Serve(const UCHAR *Bytes, size_t Length)
{
    GDB_STOP Stop = {
        .Signal = GdbSignalTrap, .Thread = 1, .Reason = GdbReasonWatch, .Address = FAKE_BASE};
    GDB_RESUME Resume = FakeServe(Bytes, Length, Stop);
    while (Resume.Action != GdbVanished)
        GdbServe(&FakeSession, &Stop, &Resume);
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);
int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    if (Size == 0)
        return 0;
    FakeReset();
    if ((Data[0] & 1) == 0)
        Serve(Data + 1, Size - 1);
    else
        Serve(Line, Frame(Data + 1, Size - 1));
    if (FakeSession.Attached || GdbDebugRegisters.Control != 0)
        abort();
    for (ULONG64 i = 0; i < FAKE_SIZE; i++)
        if (FakeMemory[i] == 0xCC && GdbIsSoftware(FAKE_BASE + i))
            abort();
    return 0;
}
