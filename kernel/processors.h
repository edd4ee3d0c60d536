// SPDX-License-Identifier: MIT
// What processors.c offers start.c.
#pragma once

#include "loader.h"

VOID KiStartProcessors(const LOADER_BLOCK *Block);  // at PASSIVE_LEVEL, in a thread
