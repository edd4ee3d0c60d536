// SPDX-License-Identifier: MIT
// libtrace.so: writes down what a program allocates, for LD_PRELOAD.
//
// One record for each malloc and free, in the order in which they happened, into the file that
// POOLTRACE names: the block's address and the bytes asked for, 0 for a free. The process that
// opened the file writes it alone: children of a fork are left out. bench/traces.py makes a trace
// for the guest of it.
//
// calloc, realloc and aligned_alloc are glibc's, which calls its own allocator by other names; so
// they are wrapped too. What is allocated before the file is open is not recorded, and neither is
// its free.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS 4096

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

typedef struct { uint64_t address, bytes; } RECORD;

static RECORD records[RECORDS];
static unsigned count;
static int file = -1;
static pid_t owner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void flush(void)
{
    if (write(file, records, count * sizeof(RECORD)) < 0)
        file = -1;
    count = 0;
}

static void note(const void *block, size_t bytes)
{
    if (file < 0 || block == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (owner == getpid()) {
        records[count++] = (RECORD){(uint64_t)(uintptr_t)block, bytes};
        if (count == RECORDS)
            flush();
    }
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("POOLTRACE");
    if (name == NULL)
        return;
    owner = getpid();
    file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

__attribute__((destructor)) static void end(void)
{
    pthread_mutex_lock(&lock);
    if (file >= 0 && owner == getpid())
        flush();
    file = -1;
    pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
    void *block = __libc_malloc(size);
    note(block, size != 0 ? size : 1);
    return block;
}

void *calloc(size_t number, size_t size)
{
    void *block = __libc_calloc(number, size);
    note(block, number * size != 0 ? number * size : 1);
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);
    note(block, size != 0 ? size : 1);
    return block;
}

void free(void *block)
{
    note(block, 0);
    __libc_free(block);
}

// A free and an allocation, as it would be with a pool.
void *realloc(void *block, size_t size)
{
    note(block, 0);
    void *moved = __libc_realloc(block, size);
    note(moved, size);
    return moved;
}
