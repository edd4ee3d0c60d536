// SPDX-License-Identifier: MIT
// Links: kernel/ldr/pe.c kernel/rtl/format.c kernel/rtl/utf.c
//
// The PE reader on arbitrary bytes. An even first byte takes the rest as the file; an odd one takes
// it as a list of patches (two bytes where, four what) to a good image, which reaches further than
// chance does.
#include "pe_image.h"

#include <stdint.h>
#include <stdlib.h>

static BOOLEAN Ignore(VOID *Context, const char *Library, const char *Name, ULONG Ordinal,
                      ULONG_PTR *Slot)
{
    (void)Context;
    *Slot = strlen(Library) + (Name != NULL ? strlen(Name) : Ordinal);
    return TRUE;
}

static void Load(const UCHAR *File, SIZE_T Length)
{
    BOOLEAN Forwarder;
    PE_IMAGE Image;

    if (!PeOpen(&Image, File, Length)) {
        if (Image.Reason[0] == 0)
            abort();
        return;
    }
    if (Image.Size > (64u << 20))
        return; // legal, but not worth a fuzzer's time
    UCHAR *Memory = calloc(1, Image.Size);
    PeCopy(&Image, Memory);
    PeRelocate(&Image, Memory, 0x7F0000000000);
    PeWalkImports(&Image, Memory, Ignore, NULL);
    PeFindExport(Memory, Image.Size, "Real", 0, &Forwarder);
    PeFindExport(Memory, Image.Size, NULL, 6, &Forwarder);
    free(Memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);
int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    TEST_IMAGE Patched;

    if (Size == 0)
        return 0;
    if ((Data[0] & 1) == 0) {
        UCHAR *Exact = malloc(Size - 1);
        memcpy(Exact, Data + 1, Size - 1);
        Load(Exact, Size - 1);
        free(Exact);
        return 0;
    }
    ImageBuild(&Patched);
    for (size_t i = 1; i + 6 <= Size; i += 6) {
        size_t Offset = (size_t)(Data[i] | Data[i + 1] << 8) % (sizeof(Patched.Bytes) - 3);
        memcpy(Patched.Bytes + Offset, Data + i + 2, 4);
    }
    Load(Patched.Bytes, sizeof(Patched.Bytes));
    return 0;
}
