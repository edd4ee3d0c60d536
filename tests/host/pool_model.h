// SPDX-License-Identifier: MIT
// The whole public interface of pools and lookaside lists under operations of four bytes each,
// against a model of what has to come of them. fuzz_pool.c and soak_pool.c make the bytes.
//
// A model is one processor's: it holds a few dozen blocks, whose contents, place, tag and size it
// knows. Lists are shared. Whatever is not as promised ends in abort().
#pragma once

#include "ex.h"
#include "fake_ke.h"
#include "fake_mm.h"
#include "pool.h"

#define MODEL_SLOTS     64
#define MODEL_OPERATION 4  // bytes

typedef struct _MODEL_SLOT {
    UCHAR *Block;
    SIZE_T Bytes;
    ULONG Tag;
    POOL_TYPE Type;  // without modifiers
    UCHAR Fill;
    UCHAR List;      // one more than the number of the list it came from; 0: the pool
} MODEL_SLOT;

typedef struct _MODEL {
    MODEL_SLOT Slot[MODEL_SLOTS];
    BOOLEAN Alone;   // nobody else runs: memory may end, lists may go, and everything is checked
    BOOLEAN Keeper;  // the one that trims
} MODEL;

// Starts mm and pools as HostOptions says, once a process, and the lists.
VOID ModelStart(VOID);
VOID ModelTurn(MODEL *Model, const UCHAR *Operation);
VOID ModelEmpty(MODEL *Model);
// All models are empty, and nobody else runs: the lists go, the books balance.
VOID ModelCheckBooks(VOID);
