// SPDX-License-Identifier: MIT
// Links: kernel/rtl/format.c kernel/rtl/utf.c
//
// Any bytes as a format, 8 and 16 bits wide. Every argument is a pointer to something that is
// valid as text of either width and as a counted string, so whatever a conversion takes it for,
// it may read it. Checked: nothing is written outside the buffer, the length told is the whole
// text's, and it does not depend on the size of the buffer.
#include "rtl.h"
#include "kernel/rtl/rtlp.h"

#include <stdint.h>
#include <stdlib.h>

#define ARGUMENTS 32

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

typedef struct _ANYTHING {
    UNICODE_STRING String;
    WCHAR End[2];
} ANYTHING;

static ULONG Consumed(const CHAR *Format)
{
    ULONG Count = 0;
    for (; *Format != 0; Format++)
        Count += *Format == '%' || *Format == '*';
    return Count;
}

static VOID Require(BOOLEAN Condition)
{
    if (!Condition)
        abort();
}

static VOID PutNarrow(PRTLP_FORMAT_TARGET Target, const CHAR *Text, SIZE_T Length)
{
    for (SIZE_T i = 0; i < Length; i++)
        Target->Count += 1 + (Text[i] & 0);
}

static VOID PutWide(PRTLP_FORMAT_TARGET Target, const WCHAR *Text, SIZE_T Length)
{
    for (SIZE_T i = 0; i < Length; i++)
        Target->Count += 1 + (Text[i] & 0);
}

static VOID FormatWide(const WCHAR *Format, ...)
{
    RTLP_FORMAT_TARGET Target = {PutNarrow, PutWide, 0};
    va_list Arguments;

    va_start(Arguments, Format);
    RtlpFormat(&Target, Format, TRUE, Arguments);
    va_end(Arguments);
}

#define FOUR(x)    x, x, x, x
#define ALL(x)     FOUR(x), FOUR(x), FOUR(x), FOUR(x), FOUR(x), FOUR(x), FOUR(x), FOUR(x)

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static WCHAR Text[] = {'w', 0xD83D, 0xDE00, 0xDC00, 0};
    ANYTHING Any = {{6, 8, Text}, {0, 0}};
    CHAR *Format = malloc(Size + 1), *Exact;
    WCHAR *Wide = malloc((Size + 1) * sizeof(WCHAR));
    int Length;

    for (size_t i = 0; i < Size; i++) {
        Format[i] = (CHAR)Data[i];
        Wide[i] = Data[i];
    }
    Format[Size] = 0;
    Wide[Size] = 0;
    if (Consumed(Format) < ARGUMENTS) {
        Length = RtlFormat(NULL, 0, Format, ALL(&Any));
        Require(Length >= 0);
        Exact = malloc((SIZE_T)Length / 2 + 1);
        Require(RtlFormat(Exact, (SIZE_T)Length / 2 + 1, Format, ALL(&Any)) == Length);
        Require(Exact[Length / 2] == 0);
        free(Exact);
        FormatWide(Wide, ALL(&Any));
    }
    free(Format);
    free(Wide);
    return 0;
}
