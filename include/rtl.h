// SPDX-License-Identifier: MIT
// rtl: memory, strings, formatting, version, structured exceptions. The lowest layer.
//
// Text: the kernel's 8-bit code page is UTF-8, whatever the routine's name calls it (ANSI, OEM),
// so that no conversion loses anything and the log is what a terminal expects. Wide text is
// UTF-16.
#pragma once

#include <stdarg.h>
#include "nt/nt.h"

// ---- C library names, cdecl as drivers import them --------------------------------------------
void *memcpy(void *Destination, const void *Source, size_t Length);  // copes with overlap: memmove
void *memmove(void *Destination, const void *Source, size_t Length);
void *memset(void *Destination, int Value, size_t Length);
int memcmp(const void *First, const void *Second, size_t Length);
void *memchr(const void *Memory, int Value, size_t Length);
size_t strlen(const char *String);
size_t strnlen(const char *String, size_t Maximum);
int strcmp(const char *First, const char *Second);
int strncmp(const char *First, const char *Second, size_t Length);
char *strchr(const char *String, int Character);
char *strrchr(const char *String, int Character);
char *strstr(const char *String, const char *Part);
int _stricmp(const char *First, const char *Second);
int _strnicmp(const char *First, const char *Second, size_t Length);

// ---- formatting -------------------------------------------------------------------------------
// NT's formats (%wZ %Z %ws %S %I64x %Iu %p %hs ...), bounded: always NUL terminates when Size > 0
// and returns the number of characters the whole text has (C99's vsnprintf). IRQL: any.
int RtlFormatV(char *Buffer, SIZE_T Size, const char *Format, va_list Arguments);
int RtlFormat(char *Buffer, SIZE_T Size, const char *Format, ...);
// The same text, piecewise to a sink, with no length limit. Returns the number of characters.
typedef void RTL_FORMAT_SINK(void *Context, const char *Text, SIZE_T Length);
int RtlFormatToSink(RTL_FORMAT_SINK *Sink, void *Context, const char *Format, va_list Arguments);

// Name of an NTSTATUS ("STATUS_INSUFFICIENT_RESOURCES"), or "unknown status".
const char *RtlStatusName(NTSTATUS Status);

#define RtlZeroMemory(Destination, Length) memset((Destination), 0, (Length))
#define RtlCopyMemory(Destination, Source, Length) memcpy((Destination), (Source), (Length))
#define RtlMoveMemory(Destination, Source, Length) memmove((Destination), (Source), (Length))
#define RtlFillMemory(Destination, Length, Fill) memset((Destination), (Fill), (Length))
