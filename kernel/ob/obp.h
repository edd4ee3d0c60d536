// SPDX-License-Identifier: MIT
// Private to ob: what stands in front of every object.
#pragma once

#include "ob.h"
#include "pool.h"
#include "rtl.h"

#define OB_TAG 'bObL'

typedef struct _OBJECT_HEADER {
    volatile LONG_PTR PointerCount; // references, one for each handle included
    volatile LONG_PTR HandleCount;
    POBJECT_TYPE Type;
    BOOLEAN Static;    // the memory is not the pool's, and the object stays
    PVOID Reserved[4]; // keeps the body aligned as the pool does
} OBJECT_HEADER, *POBJECT_HEADER;
C_ASSERT(sizeof(OBJECT_HEADER) == OB_HEADER_SIZE);

FORCEINLINE POBJECT_HEADER ObpHeaderOf(PVOID Object)
{
    return (POBJECT_HEADER)Object - 1;
}
