// SPDX-License-Identifier: MIT
// gdbcpu.h: the parts of the register table that amd64 and i386 share, for their gdbarch.c.
//
// gdb demands of org.gnu.gdb.i386.core the general, segment and x87 registers in this order, of
// org.gnu.gdb.i386.sse the XMM registers and mxcsr. The control and debug registers are a feature
// of ours; their names are those of QEMU's gdb server, so that scripts fit both.
#pragma once

#include "kdgdb.h"

#define FRAME_REGISTER(Name, Type, Bytes, Field)                                                   \
    {Name, Type, Bytes, FeatureCore, PLACE_FRAME | FIELD_OFFSET(KTRAP_FRAME, Field)}
#define SPECIAL_REGISTER(Name, Type, Bytes, Feature, Special)                                      \
    {Name, Type, Bytes, Feature, PLACE_SPECIAL | (Special)}
#define EXTENDED_REGISTER(Name, Type, Bytes, Feature, Offset)                                      \
    {Name, Type, Bytes, Feature, PLACE_EXTENDED | (Offset)}

enum { FeatureCore, FeatureSse, FeatureSegments, FeatureControl };

#define ST_REGISTER(Number)                                                                        \
    EXTENDED_REGISTER("st" #Number, "i387_ext", 10, FeatureCore, 32 + 16 * Number)
#define X87_REGISTER(Name, Index)                                                                  \
    SPECIAL_REGISTER(Name, "int", 4, FeatureCore, SpecialX87 + (Index))
#define X87_REGISTERS                                                                              \
    ST_REGISTER(0), ST_REGISTER(1), ST_REGISTER(2), ST_REGISTER(3), ST_REGISTER(4),                \
        ST_REGISTER(5), ST_REGISTER(6), ST_REGISTER(7), X87_REGISTER("fctrl", 0),                  \
        X87_REGISTER("fstat", 1), X87_REGISTER("ftag", 2), X87_REGISTER("fiseg", 3),               \
        X87_REGISTER("fioff", 4), X87_REGISTER("foseg", 5), X87_REGISTER("fooff", 6),              \
        X87_REGISTER("fop", 7)

#define XMM_REGISTER(Number)                                                                       \
    EXTENDED_REGISTER("xmm" #Number, "vec128", 16, FeatureSse, 160 + 16 * Number)
#define MXCSR_OFFSET 24u

#define CONTROL_REGISTER(Name, Type, Special)                                                      \
    SPECIAL_REGISTER(Name, Type, sizeof(PVOID), FeatureControl, Special)
#define CONTROL_REGISTERS                                                                          \
    CONTROL_REGISTER("cr0", "cr0_flags", SpecialCr0), CONTROL_REGISTER("cr2", WORD, SpecialCr2),   \
        CONTROL_REGISTER("cr3", WORD, SpecialCr3),                                                 \
        CONTROL_REGISTER("cr4", "cr4_flags", SpecialCr4)
#define DEBUG_REGISTERS                                                                            \
    SPECIAL_REGISTER("efer", "efer_flags", 8, FeatureControl, SpecialEfer),                        \
        CONTROL_REGISTER("dr0", "data_ptr", SpecialDr0),                                           \
        CONTROL_REGISTER("dr1", "data_ptr", SpecialDr1),                                           \
        CONTROL_REGISTER("dr2", "data_ptr", SpecialDr2),                                           \
        CONTROL_REGISTER("dr3", "data_ptr", SpecialDr3),                                           \
        CONTROL_REGISTER("dr6", WORD, SpecialDr6), CONTROL_REGISTER("dr7", WORD, SpecialDr7)

#define FLAG(Name, Bit) "<field name=\"" Name "\" start=\"" #Bit "\" end=\"" #Bit "\"/>"
#define EFLAGS_TYPE                                                                                \
    "<flags id=\"i386_eflags\" size=\"4\">" FLAG("CF", 0) FLAG("", 1) FLAG("PF", 2) FLAG("AF", 4)  \
        FLAG("ZF", 6) FLAG("SF", 7) FLAG("TF", 8) FLAG("IF", 9) FLAG("DF", 10) FLAG("OF", 11)      \
            FLAG("NT", 14) FLAG("RF", 16) FLAG("VM", 17) FLAG("AC", 18) FLAG("VIF", 19)            \
                FLAG("VIP", 20) FLAG("ID", 21) "</flags>"
#define VECTOR_TYPE(Name, Type, Count)                                                             \
    "<vector id=\"" Name "\" type=\"" Type "\" count=\"" #Count "\"/>"
#define VECTOR_FIELD(Name, Type) "<field name=\"" Name "\" type=\"" Type "\"/>"
#define SSE_TYPES                                                                                  \
    VECTOR_TYPE("v4f", "ieee_single", 4)                                                           \
    VECTOR_TYPE("v2d", "ieee_double", 2)                                                           \
    VECTOR_TYPE("v16i8", "int8", 16)                                                               \
    VECTOR_TYPE("v8i16", "int16", 8)                                                               \
    VECTOR_TYPE("v4i32", "int32", 4)                                                               \
    VECTOR_TYPE("v2i64", "int64", 2)                                                               \
    "<union id=\"vec128\">" VECTOR_FIELD("v4_float", "v4f") VECTOR_FIELD("v2_double", "v2d")       \
        VECTOR_FIELD("v16_int8", "v16i8") VECTOR_FIELD("v8_int16", "v8i16")                        \
            VECTOR_FIELD("v4_int32", "v4i32") VECTOR_FIELD("v2_int64", "v2i64")                    \
                VECTOR_FIELD("uint128", "uint128") "</union>"                                      \
    "<flags id=\"i386_mxcsr\" size=\"4\">" FLAG("IE", 0) FLAG("DE", 1) FLAG("ZE", 2) FLAG("OE", 3) \
        FLAG("UE", 4) FLAG("PE", 5) FLAG("DAZ", 6) FLAG("IM", 7) FLAG("DM", 8) FLAG("ZM", 9)       \
            FLAG("OM", 10) FLAG("UM", 11) FLAG("PM", 12) FLAG("FZ", 15) "</flags>"
#define CONTROL_TYPES(Size)                                                                        \
    "<flags id=\"cr0_flags\" size=\"" Size "\">" FLAG("PE", 0) FLAG("MP", 1) FLAG("EM", 2)         \
        FLAG("TS", 3) FLAG("ET", 4) FLAG("NE", 5) FLAG("WP", 16) FLAG("AM", 18) FLAG("NW", 29)     \
            FLAG("CD", 30) FLAG("PG", 31) "</flags>"                                               \
    "<flags id=\"cr4_flags\" size=\"" Size "\">" FLAG("VME", 0) FLAG("PVI", 1) FLAG("TSD", 2)      \
        FLAG("DE", 3) FLAG("PSE", 4) FLAG("PAE", 5) FLAG("MCE", 6) FLAG("PGE", 7) FLAG("PCE", 8)   \
            FLAG("OSFXSR", 9) FLAG("OSXMMEXCPT", 10) FLAG("UMIP", 11) FLAG("LA57", 12)             \
                FLAG("FSGSBASE", 16) FLAG("PCIDE", 17) FLAG("OSXSAVE", 18) FLAG("SMEP", 20)        \
                    FLAG("SMAP", 21) "</flags>"                                                    \
    "<flags id=\"efer_flags\" size=\"8\">" FLAG("SCE", 0) FLAG("LME", 8) FLAG("LMA", 10)           \
        FLAG("NXE", 11) "</flags>"
