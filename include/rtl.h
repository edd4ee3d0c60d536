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
char *strcpy(char *Destination, const char *String);
char *strncpy(char *Destination, const char *String, size_t Length);
char *strcat(char *Destination, const char *String);
char *strncat(char *Destination, const char *String, size_t Length);
char *_strset(char *String, int Character);
char *_strrev(char *String);
char *_strlwr(char *String);
char *_strupr(char *String);
size_t strspn(const char *String, const char *Set);
char *strpbrk(const char *String, const char *Set);
int isdigit(int Character);
int islower(int Character);
int isupper(int Character);
int isspace(int Character);
int isprint(int Character);
int isxdigit(int Character);
int tolower(int Character);
int toupper(int Character);
int atoi(const char *String);
LONG64 _atoi64(const char *String);

#ifdef LOOKASIDE_HOST  // the host's C library has these names for 32-bit characters and other types
#define wcslen    RtlHost_wcslen
#define wcsnlen   RtlHost_wcsnlen
#define wcscpy    RtlHost_wcscpy
#define wcsncpy   RtlHost_wcsncpy
#define wcscat    RtlHost_wcscat
#define wcsncat   RtlHost_wcsncat
#define wcscmp    RtlHost_wcscmp
#define wcsncmp   RtlHost_wcsncmp
#define wcschr    RtlHost_wcschr
#define wcsrchr   RtlHost_wcsrchr
#define wcsstr    RtlHost_wcsstr
#define wcsspn    RtlHost_wcsspn
#define wcscspn   RtlHost_wcscspn
#define swprintf  RtlHost_swprintf
#endif

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

// ---- memory for converted strings -------------------------------------------------------------
// The pool registers these at start; the memory is paged pool. Caller is who asked rtl for the
// string: a leak is the caller's.
typedef PVOID RTL_ALLOCATE_ROUTINE(SIZE_T NumberOfBytes, ULONG Tag, ULONG_PTR Caller);
typedef VOID RTL_FREE_ROUTINE(PVOID Memory, ULONG_PTR Caller);
VOID RtlRegisterAllocator(RTL_ALLOCATE_ROUTINE *Allocate, RTL_FREE_ROUTINE *Free);

// ---- version ----------------------------------------------------------------------------------
extern RTL_OSVERSIONINFOEXW RtlReportedVersion;  // what every way of asking tells
VOID RtlSetReportedVersion(ULONG Major, ULONG Minor, ULONG Build, ULONG ServicePack);

// ---- structured exceptions --------------------------------------------------------------------
// rtl stands below what it needs for this, so the start of the system hands it over
// (kernel/exception.c).
typedef struct _RTL_IMAGE {
    ULONG_PTR Base;
    SIZE_T Size;
    const VOID *FunctionTable;  // .pdata as RUNTIME_FUNCTIONs, amd64
    ULONG FunctionCount;
} RTL_IMAGE, *PRTL_IMAGE;

typedef struct _RTL_PLATFORM {
    // Copies, or returns FALSE when any byte is not accessible. Any IRQL.
    BOOLEAN (*SafeCopy)(PVOID Destination, const VOID *Source, SIZE_T Length);
    // The driver image that Address lies in. Any IRQL, no lock.
    BOOLEAN (*FindImage)(ULONG_PTR Address, PRTL_IMAGE Image);
    // Nobody took an exception that software raised: bugcheck. Does not return.
    VOID (*Unhandled)(PEXCEPTION_RECORD Record, PCONTEXT Context);
    ULONG_PTR UserLimit;  // every user address lies below
} RTL_PLATFORM;
VOID RtlInitializeExceptions(const RTL_PLATFORM *Platform);

// Offers an exception to the handlers of the code interrupted at Context. Returns TRUE when
// execution is to continue at Context, FALSE when nobody took it; a handler that takes it is
// continued in directly.
BOOLEAN RtlDispatchException(PEXCEPTION_RECORD Record, PCONTEXT Context);

// Loads the registers of Context, at the current IRQL.
DECLSPEC_NORETURN VOID RtlpRestoreContext(const CONTEXT *Context);

// Raise in the caller. IRQL: any.
VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord);
DECLSPEC_NORETURN VOID NTAPI RtlRaiseStatus(NTSTATUS Status);

VOID NTAPI RtlCaptureContext(PCONTEXT Context);  // the caller's registers

#ifdef __x86_64__
// Replaces Context by its caller's: by unwind tables where there are some, else by the frame
// pointer. Unknown registers may be zero. FALSE when the stack or the tables make no sense. IRQL:
// any.
BOOLEAN RtlStepFrame(PCONTEXT Context);
#endif

#define RtlZeroMemory(Destination, Length) memset((Destination), 0, (Length))
#define RtlCopyMemory(Destination, Source, Length) memcpy((Destination), (Source), (Length))
#define RtlMoveMemory(Destination, Source, Length) memmove((Destination), (Source), (Length))
#define RtlFillMemory(Destination, Length, Fill) memset((Destination), (Fill), (Length))

// ==== exported to drivers, by file ====

// avl.c
VOID NTAPI RtlInitializeGenericTableAvl(PRTL_AVL_TABLE Table,
                                        PRTL_AVL_COMPARE_ROUTINE CompareRoutine,
                                        PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine,
                                        PRTL_AVL_FREE_ROUTINE FreeRoutine, PVOID TableContext);
PVOID NTAPI RtlInsertElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                CLONG BufferSize,
                                                PBOOLEAN NewElement, PVOID NodeOrParent,
                                                TABLE_SEARCH_RESULT SearchResult);
PVOID NTAPI RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                            PBOOLEAN NewElement);
BOOLEAN NTAPI RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer);
PVOID NTAPI RtlLookupElementGenericTableFullAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                PVOID *NodeOrParent,
                                                TABLE_SEARCH_RESULT *SearchResult);
PVOID NTAPI RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer);
PVOID NTAPI RtlLookupFirstMatchingElementGenericTableAvl(PRTL_AVL_TABLE Table, PVOID Buffer,
                                                         PVOID *RestartKey);
PVOID NTAPI RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE Table, PVOID *RestartKey);
PVOID NTAPI RtlEnumerateGenericTableAvl(PRTL_AVL_TABLE Table, BOOLEAN Restart);
PVOID NTAPI RtlGetElementGenericTableAvl(PRTL_AVL_TABLE Table, ULONG I);
ULONG NTAPI RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE Table);
BOOLEAN NTAPI RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE Table);

// bitmap.c
VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP Map, PULONG Buffer, ULONG SizeOfBitMap);
VOID NTAPI RtlClearAllBits(PRTL_BITMAP Map);
VOID NTAPI RtlSetAllBits(PRTL_BITMAP Map);
VOID NTAPI RtlClearBits(PRTL_BITMAP Map, ULONG Start, ULONG Count);
VOID NTAPI RtlSetBits(PRTL_BITMAP Map, ULONG Start, ULONG Count);
VOID NTAPI RtlClearBit(PRTL_BITMAP Map, ULONG Bit);
VOID NTAPI RtlSetBit(PRTL_BITMAP Map, ULONG Bit);
BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP Map, ULONG Bit);
BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP Map, ULONG Start, ULONG Count);
BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP Map, ULONG Start, ULONG Count);
ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP Map);
ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP Map);
ULONG NTAPI RtlFindClearBits(PRTL_BITMAP Map, ULONG Count, ULONG Hint);
ULONG NTAPI RtlFindSetBits(PRTL_BITMAP Map, ULONG Count, ULONG Hint);
ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP Map, ULONG Count, ULONG Hint);
ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP Map, ULONG Count, ULONG Hint);
ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP Map, ULONG From, PULONG Start);
ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP Map, PULONG Start);
ULONG NTAPI RtlFindLastBackwardRunClear(PRTL_BITMAP Map, ULONG From, PULONG Start);
ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP Map, PULONG Start);
ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP Map, PRTL_BITMAP_RUN Runs, ULONG Room,
                             BOOLEAN LocateLongestRuns);
CCHAR NTAPI RtlFindMostSignificantBit(ULONGLONG Set);
CCHAR NTAPI RtlFindLeastSignificantBit(ULONGLONG Set);

// case.c
WCHAR NTAPI RtlUpcaseUnicodeChar(WCHAR Character);
WCHAR NTAPI RtlDowncaseUnicodeChar(WCHAR Character);
CHAR NTAPI RtlUpperChar(CHAR Character);

// exception.c
DECLSPEC_NORETURN VOID NTAPI ExRaiseStatus(NTSTATUS Status);
DECLSPEC_NORETURN VOID NTAPI ExRaiseAccessViolation(VOID);
DECLSPEC_NORETURN VOID NTAPI ExRaiseDatatypeMisalignment(VOID);
VOID NTAPI ProbeForRead(const VOID *Address, SIZE_T Length, ULONG Alignment);
VOID NTAPI ProbeForWrite(PVOID Address, SIZE_T Length, ULONG Alignment);
PVOID NTAPI RtlPcToFileHeader(PVOID Pc, PVOID *Base);

// guid.c
NTSTATUS NTAPI RtlStringFromGUID(const GUID *Guid, PUNICODE_STRING String);
NTSTATUS NTAPI RtlGUIDFromString(PCUNICODE_STRING String, GUID *Guid);

// integer.c
NTSTATUS NTAPI RtlInt64ToUnicodeString(ULONG64 Value, ULONG Base, PUNICODE_STRING String);
NTSTATUS NTAPI RtlIntegerToUnicodeString(ULONG Value, ULONG Base, PUNICODE_STRING String);
NTSTATUS NTAPI RtlUnicodeStringToInteger(PCUNICODE_STRING String, ULONG Base, PULONG Value);
NTSTATUS NTAPI RtlCharToInteger(PCSZ String, ULONG Base, PULONG Value);

// memory.c
VOID NTAPI (RtlCopyMemory)(PVOID Destination, const VOID *Source, SIZE_T Length);
VOID NTAPI RtlCopyMemoryNonTemporal(PVOID Destination, const VOID *Source, SIZE_T Length);
VOID NTAPI (RtlMoveMemory)(PVOID Destination, const VOID *Source, SIZE_T Length);
VOID NTAPI (RtlFillMemory)(PVOID Destination, SIZE_T Length, UCHAR Fill);
VOID NTAPI (RtlZeroMemory)(PVOID Destination, SIZE_T Length);
VOID NTAPI RtlFillMemoryUlong(PVOID Destination, SIZE_T Length, ULONG Pattern);
SIZE_T NTAPI RtlCompareMemory(const VOID *First, const VOID *Second, SIZE_T Length);
SIZE_T NTAPI RtlCompareMemoryUlong(PVOID Memory, SIZE_T Length, ULONG Pattern);
VOID FASTCALL RtlPrefetchMemoryNonTemporal(PVOID Memory, SIZE_T Length);

// misc.c
ULONG NTAPI RtlRandom(PULONG Seed);
ULONG NTAPI RtlRandomEx(PULONG Seed);
USHORT FASTCALL RtlUshortByteSwap(USHORT Source);
ULONG FASTCALL RtlUlongByteSwap(ULONG Source);
ULONGLONG FASTCALL RtlUlonglongByteSwap(ULONGLONG Source);
USHORT NTAPI RtlCaptureStackBackTrace(ULONG FramesToSkip, ULONG FramesToCapture, PVOID *BackTrace,
                                      PULONG BackTraceHash);
ULONG NTAPI RtlWalkFrameChain(PVOID *Callers, ULONG Count, ULONG Flags);
VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PCHAR Message);

// nls.c
VOID NTAPI RtlFreeUnicodeString(PUNICODE_STRING String);
VOID NTAPI RtlFreeAnsiString(PANSI_STRING String);
ULONG NTAPI RtlxAnsiStringToUnicodeSize(const STRING *String);
NTSTATUS NTAPI RtlAnsiStringToUnicodeString(PUNICODE_STRING Destination, const STRING *Source,
                                            BOOLEAN AllocateDestination);
NTSTATUS NTAPI RtlMultiByteToUnicodeN(PWSTR Wide, ULONG Room, PULONG Used, const CHAR *Text,
                                      ULONG Length);
NTSTATUS NTAPI RtlMultiByteToUnicodeSize(PULONG Size, const CHAR *Text, ULONG Length);
ULONG NTAPI RtlxUnicodeStringToAnsiSize(PCUNICODE_STRING String);
NTSTATUS NTAPI RtlUnicodeStringToAnsiString(PANSI_STRING Destination, PCUNICODE_STRING Source,
                                            BOOLEAN AllocateDestination);
NTSTATUS NTAPI RtlUnicodeToMultiByteN(PCHAR Text, ULONG Room, PULONG Used, PCWSTR Wide,
                                      ULONG Length);
NTSTATUS NTAPI RtlUnicodeToMultiByteSize(PULONG Size, PCWSTR Wide, ULONG Length);
BOOLEAN NTAPI RtlIsValidOemCharacter(PWSTR Character);

// printf.c
int _vsnprintf(char *Buffer, size_t Count, const char *Format, va_list Arguments);
int _snprintf(char *Buffer, size_t Count, const char *Format, ...);
int vsprintf(char *Buffer, const char *Format, va_list Arguments);
int sprintf(char *Buffer, const char *Format, ...);
int _vsnwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, va_list Arguments);
int _snwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, ...);
int swprintf(WCHAR *Buffer, const WCHAR *Format, ...);

// splay.c
PRTL_SPLAY_LINKS NTAPI RtlSplay(PRTL_SPLAY_LINKS Links);
PRTL_SPLAY_LINKS NTAPI RtlSubtreeSuccessor(PRTL_SPLAY_LINKS Links);
PRTL_SPLAY_LINKS NTAPI RtlSubtreePredecessor(PRTL_SPLAY_LINKS Links);
PRTL_SPLAY_LINKS NTAPI RtlRealSuccessor(PRTL_SPLAY_LINKS Links);
PRTL_SPLAY_LINKS NTAPI RtlRealPredecessor(PRTL_SPLAY_LINKS Links);
PRTL_SPLAY_LINKS NTAPI RtlDelete(PRTL_SPLAY_LINKS Links);
VOID NTAPI RtlDeleteNoSplay(PRTL_SPLAY_LINKS Links, PRTL_SPLAY_LINKS *Root);

// table.c
VOID NTAPI RtlInitializeGenericTable(PRTL_GENERIC_TABLE Table,
                                     PRTL_GENERIC_COMPARE_ROUTINE CompareRoutine,
                                     PRTL_GENERIC_ALLOCATE_ROUTINE AllocateRoutine,
                                     PRTL_GENERIC_FREE_ROUTINE FreeRoutine, PVOID TableContext);
PVOID NTAPI RtlInsertElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer,
                                             CLONG BufferSize,
                                             PBOOLEAN NewElement, PVOID NodeOrParent,
                                             TABLE_SEARCH_RESULT SearchResult);
PVOID NTAPI RtlInsertElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer, CLONG BufferSize,
                                         PBOOLEAN NewElement);
BOOLEAN NTAPI RtlDeleteElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer);
PVOID NTAPI RtlLookupElementGenericTableFull(PRTL_GENERIC_TABLE Table, PVOID Buffer,
                                             PVOID *NodeOrParent,
                                             TABLE_SEARCH_RESULT *SearchResult);
PVOID NTAPI RtlLookupElementGenericTable(PRTL_GENERIC_TABLE Table, PVOID Buffer);
PVOID NTAPI RtlEnumerateGenericTable(PRTL_GENERIC_TABLE Table, BOOLEAN Restart);
PVOID NTAPI RtlEnumerateGenericTableWithoutSplaying(PRTL_GENERIC_TABLE Table, PVOID *RestartKey);
PVOID NTAPI RtlGetElementGenericTable(PRTL_GENERIC_TABLE Table, ULONG I);
ULONG NTAPI RtlNumberGenericTableElements(PRTL_GENERIC_TABLE Table);
BOOLEAN NTAPI RtlIsGenericTableEmpty(PRTL_GENERIC_TABLE Table);

// time.c
VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields);
BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time);
BOOLEAN NTAPI RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG Seconds);
BOOLEAN NTAPI RtlTimeToSecondsSince1980(PLARGE_INTEGER Time, PULONG Seconds);
VOID NTAPI RtlSecondsSince1970ToTime(ULONG Seconds, PLARGE_INTEGER Time);
VOID NTAPI RtlSecondsSince1980ToTime(ULONG Seconds, PLARGE_INTEGER Time);

// unicode.c
VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING String, PCWSTR Source);
NTSTATUS NTAPI RtlInitUnicodeStringEx(PUNICODE_STRING String, PCWSTR Source);
VOID NTAPI RtlInitAnsiString(PANSI_STRING String, PCSZ Source);
VOID NTAPI RtlInitString(PSTRING String, PCSZ Source);
VOID NTAPI RtlCopyUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source);
VOID NTAPI RtlCopyString(PSTRING Destination, const STRING *Source);
NTSTATUS NTAPI RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source);
NTSTATUS NTAPI RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source);
LONG NTAPI RtlCompareUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                   BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlEqualUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                    BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlPrefixUnicodeString(PCUNICODE_STRING First, PCUNICODE_STRING Second,
                                     BOOLEAN CaseInSensitive);
LONG NTAPI RtlCompareString(const STRING *First, const STRING *Second, BOOLEAN CaseInSensitive);
BOOLEAN NTAPI RtlEqualString(const STRING *First, const STRING *Second, BOOLEAN CaseInSensitive);
NTSTATUS NTAPI RtlUpcaseUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source,
                                      BOOLEAN AllocateDestination);
NTSTATUS NTAPI RtlDowncaseUnicodeString(PUNICODE_STRING Destination, PCUNICODE_STRING Source,
                                        BOOLEAN AllocateDestination);
VOID NTAPI RtlUpperString(PSTRING Destination, const STRING *Source);

// version.c
NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW Information);
BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber,
                           PUNICODE_STRING CsdVersion);
ULONG64 NTAPI VerSetConditionMask(ULONG64 ConditionMask, ULONG TypeMask, UCHAR Condition);
NTSTATUS NTAPI RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW Wanted, ULONG TypeMask,
                                    ULONG64 ConditionMask);

// wcs.c
size_t wcslen(const WCHAR *String);
size_t wcsnlen(const WCHAR *String, size_t Maximum);
WCHAR *wcscpy(WCHAR *Destination, const WCHAR *String);
WCHAR *wcsncpy(WCHAR *Destination, const WCHAR *String, size_t Length);
WCHAR *wcscat(WCHAR *Destination, const WCHAR *String);
WCHAR *wcsncat(WCHAR *Destination, const WCHAR *String, size_t Length);
int wcsncmp(const WCHAR *First, const WCHAR *Second, size_t Length);
int wcscmp(const WCHAR *First, const WCHAR *Second);
int _wcsnicmp(const WCHAR *First, const WCHAR *Second, size_t Length);
int _wcsicmp(const WCHAR *First, const WCHAR *Second);
WCHAR *wcschr(const WCHAR *String, WCHAR Character);
WCHAR *wcsrchr(const WCHAR *String, WCHAR Character);
WCHAR *wcsstr(const WCHAR *String, const WCHAR *Part);
size_t wcsspn(const WCHAR *String, const WCHAR *Set);
size_t wcscspn(const WCHAR *String, const WCHAR *Set);
WCHAR *_wcslwr(WCHAR *String);
WCHAR *_wcsupr(WCHAR *String);
WCHAR *_wcsset(WCHAR *String, WCHAR Character);
WCHAR *_wcsrev(WCHAR *String);

#ifdef __x86_64__
// amd64/chandler.c
EXCEPTION_DISPOSITION NTAPI __C_specific_handler(PEXCEPTION_RECORD ExceptionRecord,
                                                 PVOID EstablisherFrame, PCONTEXT ContextRecord,
                                                 PVOID DispatcherContext);
VOID _local_unwind(PVOID EstablisherFrame, PVOID TargetIp);

// amd64/dispatch.c
VOID NTAPI RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                       PVOID ReturnValue, PCONTEXT OriginalContext,
                       PUNWIND_HISTORY_TABLE HistoryTable);
VOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                     PVOID ReturnValue);

// amd64/unwind.c
PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                          PRUNTIME_FUNCTION FunctionEntry, PCONTEXT Context,
                                          PVOID *HandlerData, PULONG64 EstablisherFrame,
                                          PKNONVOLATILE_CONTEXT_POINTERS ContextPointers);
PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                               PUNWIND_HISTORY_TABLE HistoryTable);
#endif

#ifdef __i386__
// i386/dispatch.c
PVOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord,
                      PVOID ReturnValue);
#endif
