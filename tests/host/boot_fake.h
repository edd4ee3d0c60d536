// SPDX-License-Identifier: MIT
// Invented physical memory for boot/'s code: a few blocks, and nothing between them.
//
// Each block is an allocation of exactly its size, so that the address sanitizer sees every byte
// read beyond it.
#pragma once

#include "boot/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_BLOCKS 4

static struct {
    ULONG64 Base;
    ULONG Length;
    UCHAR *Bytes;
} FakeBlock[FAKE_BLOCKS];

static void FakeFree(void)
{
    for (int i = 0; i < FAKE_BLOCKS; i++)
        free(FakeBlock[i].Bytes);
    memset(FakeBlock, 0, sizeof(FakeBlock));
}

// Puts Length bytes at Base and returns where they can be written.
static UCHAR *FakeMemory(ULONG64 Base, const void *Bytes, ULONG Length)
{
    int i = 0;

    while (FakeBlock[i].Bytes)
        if (++i == FAKE_BLOCKS)
            abort();
    FakeBlock[i].Base = Base;
    FakeBlock[i].Length = Length;
    FakeBlock[i].Bytes = calloc(1, Length ? Length : 1);
    if (Bytes && Length)
        memcpy(FakeBlock[i].Bytes, Bytes, Length);
    return FakeBlock[i].Bytes;
}

const void *BootMap(ULONG64 Address, ULONG Length)
{
    for (int i = 0; i < FAKE_BLOCKS; i++)
        if (FakeBlock[i].Bytes && Address >= FakeBlock[i].Base &&
            Address - FakeBlock[i].Base <= FakeBlock[i].Length &&
            Length <= FakeBlock[i].Length - (Address - FakeBlock[i].Base))
            return FakeBlock[i].Bytes + (Address - FakeBlock[i].Base);
    return NULL;
}
