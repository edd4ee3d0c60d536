// SPDX-License-Identifier: MIT
// Links: mm/poolspecial.c mm/poolverify.c mm/pooltrack.c mm/poolname.c mm/poolbook.c
// Links: mm/amd64/poolfast.c
// Links: mm/pool.c mm/poolcall.c mm/poolpage.c mm/pooltag.c mm/poolbug.c mm/poolquery.c
// Links: mm/poollarge.c
// Links: mm/poolcheck.c kernel/rtl/format.c kernel/rtl/utf.c tests/host/fake_mm.c
// Links: kernel/ex/lookaside.c kernel/ex/amd64/slist.S kernel/ex/amd64/slistexport.c
// Links: tests/host/pool_model.c tests/host/fake_ke.c
//
// Any sequence of operations on pools and lookaside lists (pool_model.c): no block overlaps
// another, each keeps its contents, none is lost, and the books balance at the end.
#include "pool_model.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size);

int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size)
{
    static MODEL Model = {.Alone = TRUE, .Keeper = TRUE};
    static BOOLEAN Started;
    if (!Started)
        ModelStart();
    Started = TRUE;
    for (; Size >= MODEL_OPERATION; Data += MODEL_OPERATION, Size -= MODEL_OPERATION)
        ModelTurn(&Model, Data);
    ModelEmpty(&Model);
    ModelCheckBooks();
    return 0;
}
