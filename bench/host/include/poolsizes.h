// SPDX-License-Identifier: MIT
// The pool's sizes in libpoolmalloc.so, in place of the kernel's (mm/poolp.h); every source of it
// is compiled with this first.
//
// Pages. malloc promises nothing about pages, so blocks are cut from 16 KiB: sizes above 1 KiB lose
// little at a page's end, and can be closer. Pages of 32 and 64 KiB cost more memory: they are
// seldom empty, and what is not empty stays.
//
// Sizes. Every 16 bytes up to 288, then eight to a doubling, each the largest of which a page holds
// as many.
//
// Idle memory. A process pays for what the pool keeps, and there is no clock that trims: an empty
// page is free for every class at once, a few are kept, and two blocks of the next two classes are
// taken before a new page. Caches are deep only for small blocks: the depth falls with the square
// of the size, from 1020 blocks of 80 bytes to 16 of 640 and more.
#pragma once

#define POOL_PAGE_SHIFT  14
#define POOL_MAP_WORDS   4u  // the smallest blocks leave the rest of their page untouched
#define POOL_SMALL_LIMIT 2712u
#define POOL_CLASSES     41u
#define POOL_CLASS_SIZES 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, \
                         272, 288, 320, 352, 384, 416, 464, 512, 560, 592, 640, 704, 768, 848,     \
                         960, 1024, 1088, 1248, 1360, 1488, 1632, 1808, 2048, 2336, 2720
#define POOL_CACHE_DEPTH(Size) (6553600u / (Size) / (Size))
#define POOL_CACHE_MOST  1020u
#define POOL_CACHE_LEAST 16u
#define POOL_CLASS_IDLE  0u
#define POOL_BORROW      2u
#define POOL_SPARE_PAGES 16u
#define POOL_PEAKS       FALSE
#define POOL_CALLERS     FALSE
#define POOL_PROCESSORS  250u
