// SPDX-License-Identifier: MIT
// What the 32-bit kernel needs of a processor. It uses no-execute pages where there are any.

#include "boot.h"

const BOOT_FEATURE BootRequiredFeatures[] = {
    { 1, 3, 6, "PAE (physical address extension)" },
    { 1, 3, 8, "the CMPXCHG8B instruction" },
    { 1, 3, 15, "the CMOV instruction" },
    { 1, 3, 4, "a time stamp counter" },
    { 1, 3, 5, "model-specific registers" },
    { 0, 0, 0, NULL },
};
