// SPDX-License-Identifier: MIT
// amd64: the compiler needs nothing of the kernel but the C library's names; they exist by import.
static VOID CompilerRoutinesKeepTheirConventions(VOID)
{
    PVOID (*volatile Copy)(PVOID, const VOID *, SIZE_T) = (PVOID)memcpy;
    CHAR Here[8] = "";
    CHECK(Copy(Here, "abc", 4) == Here);
    CHECK(strcmp(Here, "abc") == 0);
}
