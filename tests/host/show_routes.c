// SPDX-License-Identifier: MIT
// Links: kernel/hal/aml.c kernel/hal/amlcode.c kernel/hal/amldata.c kernel/hal/amlfield.c
// Links: kernel/hal/amlname.c kernel/hal/amlop.c kernel/hal/route.c
//
// Where a real machine's table wires PCI's pins to: for tests/system/test_routing.py, which takes
// the tables from the machines that QEMU makes.
//
//   show_routes DSDT 00:01.0 5 9 10 11
//
// The chipset's routing registers, 0x60 to 0x63 of the function named, hold the numbers given. For
// each pin of the devices 3 to 5 of bus 0: a line with device, pin (from 0) and input. Input 238 is
// that of the interrupt line register: the table could not tell.
#include "aml_machine.h"

#include <stdio.h>

#define UNTOLD       238u
#define FIRST_DEVICE 3u
#define LAST_DEVICE  5u

static UCHAR Table[0x40000];

int main(int argc, char **argv)
{
    ULONG Bus, Device, Function;
    if (argc != 7 || sscanf(argv[2], "%x:%x.%x", &Bus, &Device, &Function) != 3)
        return 2;
    Functions[FunctionCount++] = (FUNCTION){(UCHAR)Bus, (UCHAR)Device, (UCHAR)Function, 0, 0, 0,
                                            {(UCHAR)atoi(argv[3]), (UCHAR)atoi(argv[4]),
                                             (UCHAR)atoi(argv[5]), (UCHAR)atoi(argv[6])}};
    for (UCHAR i = FIRST_DEVICE; i <= LAST_DEVICE; i++)
        for (UCHAR Pin = 0; Pin < 4; Pin++)
            Functions[FunctionCount++] =
                (FUNCTION){0, i, Pin, (UCHAR)(Pin + 1), UNTOLD, 0, {0}};
    FILE *File = fopen(argv[1], "rb");
    size_t Length = File != NULL ? fread(Table, 1, sizeof(Table), File) : 0;
    if (Length <= ACPI_HEADER_LENGTH)
        return 2;
    fclose(File);
    route(Table, (ULONG)Length);
    for (ULONG i = 1; i < FunctionCount; i++)
        printf("%u %u %u\n", Functions[i].Device, Functions[i].Function,
               HalQueryPciLine(0, Functions[i].Device, Functions[i].Function));
    return 0;
}
