// SPDX-License-Identifier: MIT
// Names of NTSTATUS values, for the log and the verdict.
//
// The list in nt/ntstatus.h is sorted by value as an unsigned number; the search relies on it.
#include "rtl.h"

static const struct {
    ULONG Status;
    const char *Name;
} RtlpStatusNames[] = {
#define STATUS_ENTRY(Name, Value) {(Value), #Name},
    NT_STATUS_LIST(STATUS_ENTRY)
#undef STATUS_ENTRY
};

const char *RtlStatusName(NTSTATUS Status)
{
    ULONG Low = 0, High = RTL_NUMBER_OF(RtlpStatusNames);

    while (Low < High) {
        ULONG Middle = (Low + High) / 2;
        if (RtlpStatusNames[Middle].Status == (ULONG)Status)
            return RtlpStatusNames[Middle].Name;
        if (RtlpStatusNames[Middle].Status < (ULONG)Status)
            Low = Middle + 1;
        else
            High = Middle;
    }
    return "unknown status";
}
