// SPDX-License-Identifier: MIT
// Links: kernel/rtl/amd64/unwind.c
//
// Any unwind information, code and stack: unwinding ends, and reads nothing but through SafeCopy.
#include "unwind_image.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

// Input: place in the function, registers' low parts, then the image from the function on.
int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    CONTEXT Context;
    ULONG64 Frame;
    PVOID HandlerData;

    if (Size < 40)
        return 0;
    memset(&Context, 0, sizeof(Context));
    for (ULONG i = 0; i < 16; i++)
        (&Context.Rax)[i] = (ULONG64)Stack + Data[i] * 8;
    Context.Rip = (ULONG64)Image + 0x100 + Data[16];
    memcpy(Stack, Data, Size < sizeof(Stack) ? Size : sizeof(Stack));
    memset(Image, 0, sizeof(Image));
    Data += 17;
    Size -= 17;
    memcpy(Image + INFO_AT, Data, Size < IMAGE_SIZE - INFO_AT ? Size : IMAGE_SIZE - INFO_AT);
    memcpy(Image + 0x100, Data, Size < 0x400 ? Size : 0x400);
    Functions[0] = (RUNTIME_FUNCTION){0x100, 0x300, INFO_AT};
    Functions[1] = (RUNTIME_FUNCTION){0x300, 0x400, INFO_AT | 1};
    Functions[2] = (RUNTIME_FUNCTION){0x400, 0x500, Data[0]};
    for (ULONG i = 0; i < 64 && Context.Rip != 0; i++) {
        RTL_IMAGE Found;
        if (!RtlpFindImage(Context.Rip, &Found))
            break;
        PRUNTIME_FUNCTION Function = RtlpFindFunction(&Found, Context.Rip);
        if (Function == NULL)
            break;
        RtlVirtualUnwind(UNW_FLAG_EHANDLER, Found.Base, Context.Rip, Function, &Context,
                         &HandlerData, &Frame, NULL);
    }
    return 0;
}
