// SPDX-License-Identifier: MIT
// What GCC's undefined-behaviour sanitizer calls in the checked build: each finding becomes a
// failed assertion at the source line it was found on. GCC chooses the names and the descriptors'
// layout.
#include "ki.h"

typedef struct _UBSAN_LOCATION {
    const char *File;
    ULONG Line, Column;
} UBSAN_LOCATION;

// Every descriptor begins with the location; what follows names types and is not needed.
#define UBSAN_HANDLER(Name, Words, ...)                                                            \
    VOID __ubsan_handle_##Name(const UBSAN_LOCATION *Location, ##__VA_ARGS__);                     \
    VOID __ubsan_handle_##Name(const UBSAN_LOCATION *Location, ##__VA_ARGS__)                      \
    {                                                                                              \
        KdAssertionFailed("undefined behaviour: " Words, Location->File, Location->Line);          \
    }                                                                                              \
    _Static_assert(1, "")

UBSAN_HANDLER(add_overflow, "signed addition overflows", PVOID Left, PVOID Right);
UBSAN_HANDLER(sub_overflow, "signed subtraction overflows", PVOID Left, PVOID Right);
UBSAN_HANDLER(mul_overflow, "signed multiplication overflows", PVOID Left, PVOID Right);
UBSAN_HANDLER(negate_overflow, "negation overflows", PVOID Value);
UBSAN_HANDLER(divrem_overflow, "division by zero, or it overflows", PVOID Left, PVOID Right);
UBSAN_HANDLER(shift_out_of_bounds, "shift by too much, or of a negative value", PVOID Left,
              PVOID Right);
UBSAN_HANDLER(out_of_bounds, "array index out of bounds", PVOID Index);
UBSAN_HANDLER(load_invalid_value, "value outside its type's range", PVOID Value);
UBSAN_HANDLER(vla_bound_not_positive, "array length not positive", PVOID Bound);
UBSAN_HANDLER(builtin_unreachable, "code reached that cannot be");
UBSAN_HANDLER(invalid_builtin, "builtin called with a value it does not take");
UBSAN_HANDLER(nonnull_arg, "NULL for a parameter that must not be");
UBSAN_HANDLER(nonnull_return_v1, "NULL returned where it must not be", PVOID Return);
UBSAN_HANDLER(type_mismatch_v1, "NULL or misaligned pointer used", PVOID Pointer);
UBSAN_HANDLER(pointer_overflow, "pointer arithmetic overflows", PVOID Base, PVOID Result);
