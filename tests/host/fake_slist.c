// SPDX-License-Identifier: MIT
// Sequenced lists for the thread sanitizer, which cannot see what the kernel's assembly does: the
// same, under one lock.
#include "ex.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

UCHAR ExpInterlockedPopEntrySListFault[1];

static PSLIST_ENTRY *first_of(PSLIST_HEADER list)
{
    return (PSLIST_ENTRY *)&list->Region;
}

VOID NTAPI InitializeSListHead(PSLIST_HEADER SListHead)
{
    pthread_mutex_lock(&lock);
    SListHead->Alignment = SListHead->Region = 0;
    pthread_mutex_unlock(&lock);
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    pthread_mutex_lock(&lock);
    PSLIST_ENTRY before = *first_of(ListHead);
    ListEntry->Next = before;
    *first_of(ListHead) = ListEntry;
    ListHead->Alignment += 0x10001;
    pthread_mutex_unlock(&lock);
    return before;
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    pthread_mutex_lock(&lock);
    PSLIST_ENTRY entry = *first_of(ListHead);
    if (entry != NULL) {
        *first_of(ListHead) = entry->Next;
        ListHead->Alignment--;
    }
    pthread_mutex_unlock(&lock);
    return entry;
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER ListHead)
{
    pthread_mutex_lock(&lock);
    USHORT depth = (USHORT)ListHead->Alignment;
    pthread_mutex_unlock(&lock);
    return depth;
}
