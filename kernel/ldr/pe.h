// SPDX-License-Identifier: MIT
// The reader of PE files. Works on bytes alone, so that tests and fuzzers run it on the host.
#pragma once

#include "nt/nt.h"

typedef struct _PE_IMAGE {
    const UCHAR *File;
    SIZE_T Length; // bytes of the file
    const IMAGE_FILE_HEADER *FileHeader;
    const IMAGE_OPTIONAL_HEADER *Header;
    const IMAGE_SECTION_HEADER *Section;
    ULONG SectionCount;
    SIZE_T Size;      // bytes in memory, whole pages
    char Reason[112]; // why it was refused, for people
} PE_IMAGE, *PPE_IMAGE;

// Checks headers, sections and directories. FALSE: refused, Reason says why.
BOOLEAN PeOpen(PPE_IMAGE Image, const UCHAR *File, SIZE_T Length);

// The bytes that section i has in memory.
FORCEINLINE ULONG PeSectionSize(const IMAGE_SECTION_HEADER *Section)
{
    return Section->Misc.VirtualSize != 0 ? Section->Misc.VirtualSize : Section->SizeOfRawData;
}

// What the page at Offset of the image may be used for: IMAGE_SCN_MEM_WRITE and _EXECUTE if any
// section in it wants that, _DISCARDABLE if it holds nothing else.
ULONG PePageTraits(const PE_IMAGE *Image, ULONG64 Offset);

// Lays headers and sections out in Memory (Image->Size bytes, zeroed).
VOID PeCopy(const PE_IMAGE *Image, UCHAR *Memory);

// Adjusts a laid-out image for running at Base. FALSE: its relocations are damaged or missing.
BOOLEAN PeRelocate(PPE_IMAGE Image, UCHAR *Memory, ULONG_PTR Base);

// Calls Routine for every import of a laid-out image. Name is NULL for an import by ordinal. Slot
// is where the address belongs. FALSE: the tables are damaged, or Routine returned FALSE (Reason is
// then its own).
typedef BOOLEAN PE_IMPORT_ROUTINE(VOID *Context, const char *Library, const char *Name,
                                  ULONG Ordinal, ULONG_PTR *Slot);
BOOLEAN PeWalkImports(PPE_IMAGE Image, UCHAR *Memory, PE_IMPORT_ROUTINE *Routine, VOID *Context);

// The address that a laid-out image exports under Name (or, Name NULL, Ordinal). 0: it does not, or
// it is a forwarder (*Forwarder then TRUE), which no driver may be bound to. Size is the image's in
// memory.
ULONG_PTR PeFindExport(const UCHAR *Memory, SIZE_T Size, const char *Name, ULONG Ordinal,
                       BOOLEAN *Forwarder);
