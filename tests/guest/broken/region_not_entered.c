// SPDX-License-Identifier: MIT
// BC-135: leaving a critical region that was not entered
#include "broken.h"

BREAK
{
    Expect(0x01, IN_DRIVER, 0, 0, 0);
    KeLeaveCriticalRegion();
    return STATUS_SUCCESS;
}
