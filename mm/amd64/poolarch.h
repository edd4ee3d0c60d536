// SPDX-License-Identifier: MIT
// The pool's private part that differs, amd64: in which bucket an identity is looked for.
#pragma once

FORCEINLINE ULONG ExpBucketOf(ULONG64 Identity)
{
    return (ULONG)(Identity * 0x61C88647u >> 52);
}

C_ASSERT(POOL_BUCKETS == 1u << (64 - 52));
