// SPDX-License-Identifier: MIT
// ntdef.h: the base types, calling conventions and small helpers of the NT driver interface
//
// Everything here compiles three ways: into the amd64 kernel (ELF, -mabi=ms), into the i386 kernel
// (ELF, stdcall by attribute) and natively on Linux for the host tests (LOOKASIDE_HOST: no calling
// conventions). NT's data model is LLP64, so LONG and ULONG are 32 bits wide everywhere; pointers
// and ULONG_PTR grow with the architecture. tests/abi proves that every structure declared in
// include/nt has the layout a driver sees in the DDK headers.

#pragma once

#define NULL  ((void *)0)
#define TRUE  1
#define FALSE 0
#define VOID  void

// ---- calling conventions and attributes ---------------------------------------------------------

#if defined(__i386__) && !defined(LOOKASIDE_HOST)
#define NTAPI    __attribute__((stdcall))
#define FASTCALL __attribute__((fastcall))
#define CDECL    __attribute__((cdecl))
#else // amd64: -mabi=ms gives every function the one Windows convention; host: the host's own
#define NTAPI
#define FASTCALL
#define CDECL
#endif

#define FORCEINLINE               static inline __attribute__((always_inline))
#define DECLSPEC_NORETURN         __attribute__((noreturn))
#define DECLSPEC_NOINLINE         __attribute__((noinline))
#define DECLSPEC_ALIGN(bytes)     __attribute__((aligned(bytes)))
#define UNREFERENCED_PARAMETER(p) ((void)(p))

#define C_ASSERT(condition) _Static_assert(condition, #condition)

// ---- integers -----------------------------------------------------------------------------------

typedef __SIZE_TYPE__ size_t;

typedef char CHAR, CCHAR, *PCHAR, *PSTR;
typedef const char *PCSTR, *PCSZ;
typedef signed char SCHAR;
typedef unsigned char UCHAR, *PUCHAR;
typedef short SHORT, CSHORT, *PSHORT;
typedef unsigned short USHORT, *PUSHORT;
typedef int LONG, *PLONG;
typedef unsigned int ULONG, CLONG, *PULONG;
typedef long long LONGLONG, LONG64, *PLONGLONG, *PLONG64;
typedef unsigned long long ULONGLONG, ULONG64, *PULONGLONG, *PULONG64;

typedef __WCHAR_TYPE__ WCHAR, *PWCHAR, *PWSTR; // 16 bits: -fshort-wchar
typedef const WCHAR *PCWSTR;

typedef UCHAR BOOLEAN, *PBOOLEAN;
typedef ULONG LOGICAL, *PLOGICAL;

typedef void *PVOID, **PPVOID;
typedef const void *PCVOID;
typedef PVOID HANDLE, *PHANDLE;

#ifdef __x86_64__
typedef long long LONG_PTR, SSIZE_T, *PLONG_PTR, *PSSIZE_T;
typedef unsigned long long ULONG_PTR, SIZE_T, *PULONG_PTR, *PSIZE_T;
#define MEMORY_ALLOCATION_ALIGNMENT 16
#else
typedef int LONG_PTR, SSIZE_T, *PLONG_PTR, *PSSIZE_T;
typedef unsigned int ULONG_PTR, SIZE_T, *PULONG_PTR, *PSIZE_T;
#define MEMORY_ALLOCATION_ALIGNMENT 8
#endif

#define MAXUCHAR     0xFF
#define MAXUSHORT    0xFFFF
#define MINLONG      0x80000000
#define MAXLONG      0x7FFFFFFF
#define MAXULONG     0xFFFFFFFF
#define MAXLONGLONG  0x7FFFFFFFFFFFFFFFLL
#define MAXULONG_PTR (~(ULONG_PTR)0)
#define MAXSIZE_T    (~(SIZE_T)0)

C_ASSERT(sizeof(WCHAR) == 2);
C_ASSERT(sizeof(LONG) == 4);
C_ASSERT(sizeof(ULONG_PTR) == sizeof(PVOID));
C_ASSERT(sizeof(SIZE_T) == sizeof(size_t));

// ---- names that NT gives to integers ------------------------------------------------------------

typedef LONG NTSTATUS, *PNTSTATUS;
typedef UCHAR KIRQL, *PKIRQL;
typedef LONG KPRIORITY;
typedef CCHAR KPROCESSOR_MODE;              // a value of enum _MODE
typedef ULONG_PTR KAFFINITY, *PKAFFINITY;   // a bit for each processor
typedef ULONG_PTR PFN_NUMBER, *PPFN_NUMBER; // physical address >> PAGE_SHIFT
typedef LONG_PTR SPFN_NUMBER, *PSPFN_NUMBER;
typedef ULONG PFN_COUNT;
typedef ULONG ACCESS_MASK, *PACCESS_MASK;
typedef ULONG LCID;
typedef ULONG DEVICE_TYPE;
typedef ULONG SECURITY_INFORMATION, *PSECURITY_INFORMATION;
typedef PVOID PSECURITY_DESCRIPTOR, PSID, PACCESS_TOKEN;

#define NT_SUCCESS(status)     ((NTSTATUS)(status) >= 0)
#define NT_INFORMATION(status) (((ULONG)(status) >> 30) == 1)
#define NT_WARNING(status)     (((ULONG)(status) >> 30) == 2)
#define NT_ERROR(status)       (((ULONG)(status) >> 30) == 3)

typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;

typedef enum _EVENT_TYPE {
    NotificationEvent,   // stays signalled until it is cleared
    SynchronizationEvent // one satisfied wait clears it
} EVENT_TYPE;

typedef enum _TIMER_TYPE { NotificationTimer, SynchronizationTimer } TIMER_TYPE;

typedef enum _WAIT_TYPE { WaitAll, WaitAny } WAIT_TYPE;

typedef enum _NT_PRODUCT_TYPE {
    NtProductWinNt = 1,
    NtProductLanManNt,
    NtProductServer
} NT_PRODUCT_TYPE,
    *PNT_PRODUCT_TYPE;

// ---- small structures ---------------------------------------------------------------------------

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _LUID {
    ULONG LowPart;
    LONG HighPart;
} LUID, *PLUID;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID;

// Lengths are in bytes and do not count a terminating zero, which need not be there.
typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING, OEM_STRING, *POEM_STRING;

typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;
typedef const STRING *PCANSI_STRING, *PCSTRING, *PCOEM_STRING;

#define UNICODE_NULL ((WCHAR)0)
#define RTL_CONSTANT_STRING(s)                                                                     \
    {                                                                                              \
        sizeof(s) - sizeof((s)[0]), sizeof(s), (PVOID)(s)                                          \
    }

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink; // next
    struct _LIST_ENTRY *Blink; // previous
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _CLIENT_ID {
    HANDLE UniqueProcess;
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes; // OBJ_*
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

#define OBJ_INHERIT            0x00000002L
#define OBJ_PERMANENT          0x00000010L
#define OBJ_EXCLUSIVE          0x00000020L
#define OBJ_CASE_INSENSITIVE   0x00000040L
#define OBJ_OPENIF             0x00000080L
#define OBJ_OPENLINK           0x00000100L
#define OBJ_KERNEL_HANDLE      0x00000200L
#define OBJ_FORCE_ACCESS_CHECK 0x00000400L
#define OBJ_VALID_ATTRIBUTES   0x00001FF2L

typedef struct _OSVERSIONINFOW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
} OSVERSIONINFOW, *POSVERSIONINFOW, RTL_OSVERSIONINFOW, *PRTL_OSVERSIONINFOW;

typedef struct _OSVERSIONINFOEXW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
    USHORT wServicePackMajor;
    USHORT wServicePackMinor;
    USHORT wSuiteMask;
    UCHAR wProductType;
    UCHAR wReserved;
} OSVERSIONINFOEXW, *POSVERSIONINFOEXW, RTL_OSVERSIONINFOEXW, *PRTL_OSVERSIONINFOEXW;

typedef struct _TIME_FIELDS {
    CSHORT Year;  // 1601...
    CSHORT Month; // 1..12
    CSHORT Day;   // 1..31
    CSHORT Hour;
    CSHORT Minute;
    CSHORT Second;
    CSHORT Milliseconds;
    CSHORT Weekday; // 0 = Sunday
} TIME_FIELDS, *PTIME_FIELDS;

// ---- offsets, alignment, pages ------------------------------------------------------------------

#define FIELD_OFFSET(type, field)   ((LONG) __builtin_offsetof(type, field))
#define UFIELD_OFFSET(type, field)  ((ULONG) __builtin_offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field)                                                      \
    (FIELD_OFFSET(type, field) + RTL_FIELD_SIZE(type, field))
#define CONTAINING_RECORD(address, type, field)                                                    \
    ((type *)((ULONG_PTR)(address) - __builtin_offsetof(type, field)))
#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ARRAYSIZE(array)     RTL_NUMBER_OF(array)

#define ALIGN_DOWN_BY(value, bytes) ((ULONG_PTR)(value) & ~((ULONG_PTR)(bytes)-1))
#define ALIGN_UP_BY(value, bytes)   ALIGN_DOWN_BY((ULONG_PTR)(value) + (bytes)-1, bytes)

#define PAGE_SHIFT            12L
#define PAGE_SIZE             0x1000
#define BYTE_OFFSET(va)       ((ULONG)((ULONG_PTR)(va) & (PAGE_SIZE - 1)))
#define PAGE_ALIGN(va)        ((PVOID)((ULONG_PTR)(va) & ~((ULONG_PTR)PAGE_SIZE - 1)))
#define ROUND_TO_PAGES(bytes) (((ULONG_PTR)(bytes) + PAGE_SIZE - 1) & ~((ULONG_PTR)PAGE_SIZE - 1))
#define BYTES_TO_PAGES(bytes) (((bytes) >> PAGE_SHIFT) + (((bytes) & (PAGE_SIZE - 1)) != 0))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, bytes)                                                  \
    ((BYTE_OFFSET(va) + (SIZE_T)(bytes) + (PAGE_SIZE - 1)) >> PAGE_SHIFT)

// ---- doubly linked circular lists ---------------------------------------------------------------
// The head is an entry that belongs to no record; an empty list's head points at itself.

FORCEINLINE VOID InitializeListHead(PLIST_ENTRY head)
{
    head->Flink = head->Blink = head;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *head)
{
    return head->Flink == head;
}

// Take an entry out; TRUE when the list is empty after that.
FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
    PLIST_ENTRY next = entry->Flink;
    PLIST_ENTRY previous = entry->Blink;

    previous->Flink = next;
    next->Blink = previous;
    return next == previous;
}

FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Flink;

    RemoveEntryList(entry);
    return entry;
}

FORCEINLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Blink;

    RemoveEntryList(entry);
    return entry;
}

FORCEINLINE VOID InsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    PLIST_ENTRY first = head->Flink;

    entry->Flink = first;
    entry->Blink = head;
    first->Blink = entry;
    head->Flink = entry;
}

FORCEINLINE VOID InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    InsertHeadList(head->Blink, entry);
}

// Join the headless ring `list` to the end of the list at `head`.
FORCEINLINE VOID AppendTailList(PLIST_ENTRY head, PLIST_ENTRY list)
{
    PLIST_ENTRY tail = head->Blink;
    PLIST_ENTRY last = list->Blink;

    tail->Flink = list;
    list->Blink = tail;
    last->Flink = head;
    head->Blink = last;
}

// ---- singly linked lists: the head's Next is the first entry ------------------------------------

FORCEINLINE PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY head)
{
    PSINGLE_LIST_ENTRY entry = head->Next;

    if (entry)
        head->Next = entry->Next;
    return entry;
}

FORCEINLINE VOID PushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry)
{
    entry->Next = head->Next;
    head->Next = entry;
}
