// SPDX-License-Identifier: MIT
// A driver leaves the clock at a finer resolution.
// Status: 4
// Says: timer resolution asked for by
// Says: resolution_left.sys left 2 timer resolutions
#include "broken.h"

BREAK
{
    ExSetTimerResolution(10000, TRUE);
    ExSetTimerResolution(20000, TRUE);
    return STATUS_SUCCESS;
}
