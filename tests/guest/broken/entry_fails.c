// SPDX-License-Identifier: MIT
// DriverEntry fails: the run says with which status, by number and name.
// Status: 1
// Says: 0xC00000C0 STATUS_DEVICE_DOES_NOT_EXIST
#include "broken.h"

BREAK
{
    return STATUS_DEVICE_DOES_NOT_EXIST;
}
