// SPDX-License-Identifier: MIT
// BC-08: the shared user data page is read-only for drivers.
// Says: (shared user data)
#include "broken.h"

BREAK
{
    volatile ULONG *Page = (volatile ULONG *)SharedUserData;

    Expect(0xBE, (ULONG_PTR)Page, ANYTHING, 0, 0);
    Page[0] = 1;
    return STATUS_SUCCESS;
}
