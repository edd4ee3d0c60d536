// SPDX-License-Identifier: MIT
// Where ACPI begins: the root system description pointer (RSDP).
//
// A loader that knows passes a copy, which goes into the loader block, since loader memory is
// reused. On a BIOS machine without such a loader it lies, on a multiple of 16, in the first KiB of
// the extended BIOS data area or between 0xE0000 and 1 MiB. On UEFI it is nowhere to be found.
// Source: ACPI Specification 6.5, 5.2.5.

#include "boot.h"

#define RSDP_OLD_LENGTH 20u  // bytes; all there is before revision 2, and summed up by all
#define RSDP_REVISION   15u  // offsets
#define RSDP_LENGTH     20u

static BOOLEAN IsSumZero(const UCHAR *Bytes, ULONG Length)
{
    UCHAR Sum = 0;

    for (ULONG i = 0; i < Length; i++)
        Sum += Bytes[i];
    return Sum == 0;
}

static BOOLEAN IsRsdp(const UCHAR *Rsdp, ULONG Length)
{
    static const CHAR Signature[] = "RSD PTR ";

    if (Length < RSDP_OLD_LENGTH)
        return FALSE;
    for (ULONG i = 0; i < sizeof(Signature) - 1; i++)
        if (Rsdp[i] != (UCHAR)Signature[i])
            return FALSE;
    if (!IsSumZero(Rsdp, RSDP_OLD_LENGTH))
        return FALSE;
    if (Rsdp[RSDP_REVISION] < 2)
        return TRUE;
    return Length >= LOADER_RSDP && Rsdp[RSDP_LENGTH] == LOADER_RSDP &&
           IsSumZero(Rsdp, LOADER_RSDP);
}

// Copies the RSDP of Length bytes into Block, if it is one.
BOOLEAN BootKeepRsdp(PLOADER_BLOCK Block, const UCHAR *Rsdp, ULONG Length)
{
    if (!IsRsdp(Rsdp, Length))
        return FALSE;
    for (ULONG i = 0; i < LOADER_RSDP && i < Length; i++)
        Block->Rsdp[i] = Rsdp[i];
    Block->RsdpAddress = (ULONG_PTR)Block->Rsdp;
    return TRUE;
}

static BOOLEAN Search(PLOADER_BLOCK Block, ULONG64 Start, ULONG64 End)
{
    const UCHAR *Candidate;
    ULONG Length;

    for (ULONG64 Address = Start; Address + RSDP_OLD_LENGTH <= End; Address += 16) {
        Length = End - Address < LOADER_RSDP ? (ULONG)(End - Address) : LOADER_RSDP;
        Candidate = BootMap(Address, Length);
        if (Candidate && IsRsdp(Candidate, Length)) {
            Block->RsdpAddress = Address;
            return TRUE;
        }
    }
    return FALSE;
}

// Finds the RSDP of a BIOS machine, unless the loader passed it.
void BootFindRsdp(PLOADER_BLOCK Block)
{
    const USHORT *Segment = BootMap(0x40E, sizeof(*Segment));
    ULONG64 Ebda = Segment ? (ULONG64)*Segment << 4 : 0;

    if (Block->RsdpAddress || Block->EfiSystemTable)
        return;
    if (Ebda >= 0x80000 && Ebda < 0xA0000 && Search(Block, Ebda, Ebda + 1024))
        return;
    Search(Block, 0xE0000, 0x100000);
}
