// SPDX-License-Identifier: MIT
// IR-51: a DPC for a processor that does not exist.
#include "broken.h"

BREAK
{
    KDPC Dpc;

    KeInitializeDpc(&Dpc, NULL, NULL);
    KeSetTargetProcessorDpc(&Dpc, MAXIMUM_PROCESSORS - 1);
    Expect(0xC7, 3, (ULONG_PTR)&Dpc, MAXIMUM_PROCESSORS - 1, 0);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_SUCCESS;
}
