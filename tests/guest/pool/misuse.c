// SPDX-License-Identifier: MIT
// Makes one mistake with the pool: MISTAKE-POOL-SIZE-WATCH, by the name it is loaded under
// (mistakes.h has the words). WATCH says how the kernel was started, which decides the report.
#include "../broken/broken.h"
#include "named.h"

#define SYSTEM_START    ((ULONG_PTR)MmSystemRangeStart)
#define FOREIGN_ADDRESS ((ULONG_PTR)&Foreigner[4])

static ULONG Foreigner[8];

#include "mistakes.h"

static ULONG FindWord(const char **Text, const WORD *Words, ULONG Count)
{
    for (ULONG i = 0; i < Count; i++)
        if (TakeWord(Text, Words[i].Name))
            return i;
    return Count;
}

static const MISTAKE *FindMistake(const char **Text)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(Mistakes); i++)
        if (TakeWord(Text, Mistakes[i].Name))
            return &Mistakes[i];
    return NULL;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    char Name[64];
    const char *Text = Name;

    DriverObject->DriverUnload = BrokenUnload;
    ReadOwnName(RegistryPath, Name, sizeof(Name));
    const MISTAKE *Mistake = FindMistake(&Text);
    ULONG Pool = FindWord(&Text, Pools, RTL_NUMBER_OF(Pools));
    ULONG Size = FindWord(&Text, Sizes, RTL_NUMBER_OF(Sizes));
    ULONG Watch = FindWord(&Text, Watches, RTL_NUMBER_OF(Watches));
    if (Mistake == NULL || Pool == RTL_NUMBER_OF(Pools) || Size == RTL_NUMBER_OF(Sizes) ||
        Watch == RTL_NUMBER_OF(Watches))
        return STATUS_OBJECT_NAME_INVALID;
    SCENE Scene = MakeScene(Pool, Size, Watch);
    if (!IsPossible(Mistake, &Scene, Size))
        return STATUS_INVALID_PARAMETER;
    Mistake->Make(&Scene);
    return STATUS_SUCCESS;
}
