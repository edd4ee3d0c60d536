// SPDX-License-Identifier: MIT
// rtl: memory, strings, formatting, version, exceptions' machine-independent part. Lowest layer.
#pragma once

#include <stdarg.h>
#include "nt/nt.h"

// C library names, cdecl as drivers import them.
void *memcpy(void *Destination, const void *Source, SIZE_T Length);
void *memmove(void *Destination, const void *Source, SIZE_T Length);
void *memset(void *Destination, int Value, SIZE_T Length);
int memcmp(const void *First, const void *Second, SIZE_T Length);
void *memchr(const void *Memory, int Value, SIZE_T Length);
SIZE_T strlen(const char *String);
SIZE_T strnlen(const char *String, SIZE_T Maximum);
int strcmp(const char *First, const char *Second);
int strncmp(const char *First, const char *Second, SIZE_T Length);
char *strchr(const char *String, int Character);
char *strrchr(const char *String, int Character);
char *strstr(const char *String, const char *Part);
int _stricmp(const char *First, const char *Second);
int _strnicmp(const char *First, const char *Second, SIZE_T Length);

// NT's formats (%wZ %Z %ws %S %I64x %Iu %p %hs ...), bounded: always NUL terminates when Size > 0 and
// returns the number of characters the whole text has (C99's vsnprintf).
int RtlFormatV(char *Buffer, SIZE_T Size, const char *Format, va_list Arguments);
int RtlFormat(char *Buffer, SIZE_T Size, const char *Format, ...);
// The same text, piecewise to a sink, with no length limit. Returns the number of characters.
typedef void RTL_FORMAT_SINK(void *Context, const char *Text, SIZE_T Length);
int RtlFormatToSink(RTL_FORMAT_SINK *Sink, void *Context, const char *Format, va_list Arguments);

// Name of an NTSTATUS ("STATUS_INSUFFICIENT_RESOURCES"), or "unknown status".
const char *RtlStatusName(NTSTATUS Status);

#define RtlZeroMemory(Destination, Length) memset((Destination), 0, (Length))
#ifndef RtlCopyMemory
#define RtlCopyMemory(Destination, Source, Length) memcpy((Destination), (Source), (Length))
#endif
