// SPDX-License-Identifier: MIT
// What the 64-bit kernel needs of a processor.

#include "boot.h"

const BOOT_FEATURE BootRequiredFeatures[] = {
    { 0x80000001, 3, 29, "64-bit mode (long mode); the i386 image may run on it" },
    { 0x80000001, 3, 20, "no-execute pages (NX, XD), or they are switched off in the firmware" },
    { 1, 3, 6, "PAE (physical address extension)" },
    { 1, 2, 13, "CMPXCHG16B instruction" },
    { 0, 0, 0, NULL },
};
