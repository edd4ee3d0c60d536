// SPDX-License-Identifier: MIT
// Links: kernel/hal/aml.c kernel/hal/amlcode.c kernel/hal/amldata.c kernel/hal/amlfield.c
// Links: kernel/hal/amlname.c kernel/hal/amlop.c kernel/hal/route.c
//
// Any bytes at all as a definition block: it is read within its bounds and in bounded time, and no
// function gets an input that its interrupt line register has no room for.
#include "aml_machine.h"

#define CHECK(Condition)                                                                           \
    do {                                                                                           \
        if (!(Condition))                                                                          \
            abort();                                                                               \
    } while (0)

static UCHAR Table[BLOCK_LIMIT];

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static const FUNCTION Some[] = {
        {0, 1, 0, 0, 0, 0, {10, 11, 0x80, 0xFF}},
        {0, 2, 0, 1, 11, 0, {0}},
        {0, 3, 0, 2, 10, 0, {0}},
        {0, 30, 0, 0, 0, 1, {0}},
        {1, 1, 0, 4, 9, 0, {0}},
    };
    if (Size > sizeof(Table) - ACPI_HEADER_LENGTH)
        return 0;
    memcpy(Functions, Some, sizeof(Some));
    FunctionCount = RTL_NUMBER_OF(Some);
    memcpy(Table + ACPI_HEADER_LENGTH, Data, Size);
    route(Table, (ULONG)(ACPI_HEADER_LENGTH + Size));
    CHECK(Mappings == 0);
    for (ULONG i = 0; i < FunctionCount; i++)
        CHECK(HalQueryPciLine(Functions[i].Bus, Functions[i].Device, 0) <= HAL_NO_LINE);
    return 0;
}
