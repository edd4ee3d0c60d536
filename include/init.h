// SPDX-License-Identifier: MIT
// init.h: code that is needed only while starting.
//
// It is linked into a section of its own, which MmFreeInitialMemory gives back to RAM. Nothing that
// runs later may call it, and no table that is read later may point to it.
#pragma once

#define INIT_CODE __attribute__((section("INIT")))
