// SPDX-License-Identifier: MIT
// port.c: READ_PORT_*, WRITE_PORT_*, READ_REGISTER_*, WRITE_REGISTER_*.
//
// Drivers for i386 import all of these; amd64's headers inline most. One access of exactly the
// named width a call, in program order, never repeated or merged: a register access is a volatile
// one, and a read is followed, a write preceded and followed, by a compiler barrier. x86 keeps
// accesses to uncached memory in order.
//
// A family is three widths of the same routine, so each is written once and named by macro.
//
//   Port, Register  where; Port is a port number in a pointer's clothes
//   Value           what is written
//   Buffer, Count   elements of the routine's width: a port's all through the one port, a
//                   register's from it on upwards
// IRQL: any. Fails: never.
// Source: WDK wdm.h, READ_PORT_UCHAR and its relatives.
#include "halp.h"

#define BARRIER() __asm__ volatile("" ::: "memory")

#define DEFINE_PORT_FAMILY(Type, In, Out)                                                          \
    Type NTAPI READ_PORT_##Type(Type *Port);                                                       \
    Type NTAPI READ_PORT_##Type(Type *Port)                                                        \
    {                                                                                              \
        return In((USHORT)(ULONG_PTR)Port);                                                        \
    }                                                                                              \
    EXPORT(READ_PORT_##Type, EXPORT_ANY_IRQL, "WDK wdm.h READ_PORT_" #Type);                       \
                                                                                                   \
    VOID NTAPI WRITE_PORT_##Type(Type *Port, Type Value);                                          \
    VOID NTAPI WRITE_PORT_##Type(Type *Port, Type Value)                                           \
    {                                                                                              \
        Out((USHORT)(ULONG_PTR)Port, Value);                                                       \
    }                                                                                              \
    EXPORT(WRITE_PORT_##Type, EXPORT_ANY_IRQL, "WDK wdm.h WRITE_PORT_" #Type);                     \
                                                                                                   \
    VOID NTAPI READ_PORT_BUFFER_##Type(Type *Port, Type *Buffer, ULONG Count);                     \
    VOID NTAPI READ_PORT_BUFFER_##Type(Type *Port, Type *Buffer, ULONG Count)                      \
    {                                                                                              \
        while (Count-- > 0)                                                                        \
            *Buffer++ = In((USHORT)(ULONG_PTR)Port);                                               \
    }                                                                                              \
    EXPORT(READ_PORT_BUFFER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h READ_PORT_BUFFER_" #Type);         \
                                                                                                   \
    VOID NTAPI WRITE_PORT_BUFFER_##Type(Type *Port, Type *Buffer, ULONG Count);                    \
    VOID NTAPI WRITE_PORT_BUFFER_##Type(Type *Port, Type *Buffer, ULONG Count)                     \
    {                                                                                              \
        while (Count-- > 0)                                                                        \
            Out((USHORT)(ULONG_PTR)Port, *Buffer++);                                               \
    }                                                                                              \
    EXPORT(WRITE_PORT_BUFFER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h WRITE_PORT_BUFFER_" #Type)

#define DEFINE_REGISTER_FAMILY(Type)                                                               \
    Type NTAPI READ_REGISTER_##Type(volatile Type *Register);                                      \
    Type NTAPI READ_REGISTER_##Type(volatile Type *Register)                                       \
    {                                                                                              \
        Type Value = *Register;                                                                    \
        BARRIER();                                                                                 \
        return Value;                                                                              \
    }                                                                                              \
    EXPORT(READ_REGISTER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h READ_REGISTER_" #Type);               \
                                                                                                   \
    VOID NTAPI WRITE_REGISTER_##Type(volatile Type *Register, Type Value);                         \
    VOID NTAPI WRITE_REGISTER_##Type(volatile Type *Register, Type Value)                          \
    {                                                                                              \
        BARRIER();                                                                                 \
        *Register = Value;                                                                         \
        BARRIER();                                                                                 \
    }                                                                                              \
    EXPORT(WRITE_REGISTER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h WRITE_REGISTER_" #Type);             \
                                                                                                   \
    VOID NTAPI READ_REGISTER_BUFFER_##Type(volatile Type *Register, Type *Buffer, ULONG Count);    \
    VOID NTAPI READ_REGISTER_BUFFER_##Type(volatile Type *Register, Type *Buffer, ULONG Count)     \
    {                                                                                              \
        while (Count-- > 0)                                                                        \
            *Buffer++ = *Register++;                                                               \
        BARRIER();                                                                                 \
    }                                                                                              \
    EXPORT(READ_REGISTER_BUFFER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h READ_REGISTER_BUFFER_" #Type); \
                                                                                                   \
    VOID NTAPI WRITE_REGISTER_BUFFER_##Type(volatile Type *Register, Type *Buffer, ULONG Count);   \
    VOID NTAPI WRITE_REGISTER_BUFFER_##Type(volatile Type *Register, Type *Buffer, ULONG Count)    \
    {                                                                                              \
        BARRIER();                                                                                 \
        while (Count-- > 0)                                                                        \
            *Register++ = *Buffer++;                                                               \
        BARRIER();                                                                                 \
    }                                                                                              \
    EXPORT(WRITE_REGISTER_BUFFER_##Type, EXPORT_ANY_IRQL, "WDK wdm.h WRITE_REGISTER_BUFFER_" #Type)

DEFINE_PORT_FAMILY(UCHAR, KiInByte, KiOutByte);
DEFINE_PORT_FAMILY(USHORT, KiInWord, KiOutWord);
DEFINE_PORT_FAMILY(ULONG, KiInLong, KiOutLong);

DEFINE_REGISTER_FAMILY(UCHAR);
DEFINE_REGISTER_FAMILY(USHORT);
DEFINE_REGISTER_FAMILY(ULONG);
