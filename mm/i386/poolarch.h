// SPDX-License-Identifier: MIT
// The pool's private part that differs, i386: in which bucket an identity is looked for.
// mm/i386/poolfast.S does the same.
#pragma once

#define POOL_HASH_FACTOR 0x9E3779B1u
#define POOL_HASH_SHIFT  20

FORCEINLINE ULONG ExpBucketOf(ULONG64 Identity)
{
    return ((ULONG)(Identity >> 32) + (ULONG)Identity) * POOL_HASH_FACTOR >> POOL_HASH_SHIFT;
}

C_ASSERT(POOL_BUCKETS == 1u << (32 - POOL_HASH_SHIFT));
