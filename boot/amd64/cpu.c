// SPDX-License-Identifier: MIT
// What the 64-bit kernel needs of a processor.

#include "boot.h"

const BOOT_FEATURE BootRequiredFeatures[] = {
    { 0x80000001, 3, 29, "64-bit mode (long mode): start the i386 kernel instead" },
    { 0x80000001, 3, 20, "no-execute pages (NX, XD), or the firmware hides them" },
    { 1, 3, 6, "PAE (physical address extension)" },
    { 1, 2, 13, "the CMPXCHG16B instruction" },
    { 1, 3, 9, "a local APIC, or the firmware has switched it off" },
    { 0, 0, 0, NULL },
};
