// SPDX-License-Identifier: MIT
// io: what drivers connect to the machine with. Requests (IRPs) come with the I/O manager.
#pragma once

#include "ke.h"
#include "nt/nt.h"

// The PCI function behind a physical device object that IoReportDetectedDevice gave out.
typedef struct _IO_PCI_FUNCTION {
    ULONG Bus, Device, Function;
} IO_PCI_FUNCTION;
const IO_PCI_FUNCTION *
IopPciFunctionOf(PDEVICE_OBJECT PhysicalDeviceObject); // NULL: no such object
