// SPDX-License-Identifier: MIT
// Links: kernel/hal/acpi.c
//
// Any memory at all behind the root pointer: hal reads nothing outside a table and no count leaves
// its array. Checksums are made right on the way, so that the fuzzer reaches what is behind them.
// The first byte chooses: a whole machine from its root pointer, or one table.
#include "acpi_image.h"

#define CHECK(Condition)                                                                           \
    do {                                                                                           \
        if (!(Condition))                                                                          \
            abort();                                                                               \
    } while (0)

static HALP_ACPI Acpi;

static void check_result(void)
{
    CHECK(Acpi.TableCount <= ACPI_MAX_TABLES);
    CHECK(Acpi.IoApicCount <= ACPI_MAX_IO_APICS);
    CHECK(Acpi.OverrideCount <= ACPI_MAX_OVERRIDES);
    CHECK(Acpi.NmiCount <= ACPI_MAX_NMIS);
    CHECK(Acpi.ProcessorCount <= ACPI_MAX_PROCESSORS);
    CHECK(Acpi.PmTimerPort <= 0xFFFC);
    CHECK(Mappings == 0);
}

static void parse_one(const uint8_t *Data, size_t Size)
{
    UCHAR *Table = malloc(Size);
    memcpy(Table, Data, Size);
    memset(&Acpi, 0, sizeof(Acpi));
    if (Size >= ACPI_HEADER_LENGTH)
        HalpAcpiParseTable(&Acpi, Table, Size);
    free(Table);
}

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    if (Size < 2)
        return 0;
    Memory = (UCHAR *)Data + 1;
    MemorySize = Size - 1;
    RepairChecksums = TRUE;
    if (Data[0] & 1)
        parse_one(Data + 1, Size - 1);
    else
        HalpAcpiLoad(&Acpi, 1);  // 0 means that there is none
    check_result();
    return 0;
}
