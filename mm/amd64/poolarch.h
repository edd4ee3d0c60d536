// SPDX-License-Identifier: MIT
// The pool's private part that differs, amd64: in which bucket an identity is looked for.
#pragma once

// The factor has 64 bits: with 32 the type, in the lowest bits, would not reach the bucket's
// number, and a tag's cells for the three pools would all share one, of which the fast path finds
// the last.
FORCEINLINE ULONG ExpBucketOf(ULONG64 Identity)
{
    return (ULONG)(Identity * 0x9E3779B97F4A7C15ull >> 52);
}

C_ASSERT(POOL_BUCKETS == 1u << (64 - 52));
