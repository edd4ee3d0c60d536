// SPDX-License-Identifier: MIT
// i386: the pool's structures for assembly; poolentry.c asserts each against the C declaration.
#pragma once

#define PCR_IRQL  0x24
#define PCR_CELLS 0x140

#define CELL_KEY   0
#define CELL_TAG   4
#define CELL_LEFT  8
#define CELL_FREES 12
#define CELL_CACHE 28

#define CACHE_LIMIT  4
#define CACHE_IRQL   8
#define CACHE_BLOCK  12
#define CACHE_RECORD 16

#define RECORD_CELL 4
#define RECORD_SIZE 6

#define PAGE_RECIPROCAL 0
#define PAGE_RECORDS    16

#define POOL_BASE  0
#define POOL_LIMIT 4
#define POOL_PAGES 8
#define POOL_BYTES 0x8C0

#ifdef __ASSEMBLER__
#define POOL_SMALL_LIMIT 2040
#define POOL_HASH_FACTOR 0x9E3779B1
#define POOL_HASH_SHIFT  20
#endif
