// SPDX-License-Identifier: MIT
// GL-12: a driver leaves a resource behind
// Status: 4
// Says: resource
// Says: not deleted
#include "broken.h"

static ERESOURCE Resource;

BREAK
{
    ExInitializeResourceLite(&Resource);
    return STATUS_SUCCESS;
}
