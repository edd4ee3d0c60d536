// SPDX-License-Identifier: MIT
// pcitypes.h: PCI configuration space, by the PCI Local Bus Specification 3.0

#pragma once

#include "ntdef.h"

#define PCI_TYPE0_ADDRESSES 6
#define PCI_TYPE1_ADDRESSES 2
#define PCI_TYPE2_ADDRESSES 5

typedef struct _PCI_SLOT_NUMBER {
    union {
        struct {
            ULONG DeviceNumber : 5;
            ULONG FunctionNumber : 3;
            ULONG Reserved : 24;
        } bits;
        ULONG AsULONG;
    } u;
} PCI_SLOT_NUMBER, *PPCI_SLOT_NUMBER;

typedef struct _PCI_HEADER_TYPE_0 {
    ULONG BaseAddresses[PCI_TYPE0_ADDRESSES];
    ULONG CIS;
    USHORT SubVendorID;
    USHORT SubSystemID;
    ULONG ROMBaseAddress;
    UCHAR CapabilitiesPtr; // 0: none
    UCHAR Reserved1[3];
    ULONG Reserved2;
    UCHAR InterruptLine;
    UCHAR InterruptPin; // 1 = INTA#, 0: none
    UCHAR MinimumGrant;
    UCHAR MaximumLatency;
} PCI_HEADER_TYPE_0;

typedef struct _PCI_HEADER_TYPE_1 { // PCI to PCI bridge
    ULONG BaseAddresses[PCI_TYPE1_ADDRESSES];
    UCHAR PrimaryBus;
    UCHAR SecondaryBus;
    UCHAR SubordinateBus;
    UCHAR SecondaryLatency;
    UCHAR IOBase;
    UCHAR IOLimit;
    USHORT SecondaryStatus;
    USHORT MemoryBase;
    USHORT MemoryLimit;
    USHORT PrefetchBase;
    USHORT PrefetchLimit;
    ULONG PrefetchBaseUpper32;
    ULONG PrefetchLimitUpper32;
    USHORT IOBaseUpper16;
    USHORT IOLimitUpper16;
    UCHAR CapabilitiesPtr;
    UCHAR Reserved1[3];
    ULONG ROMBaseAddress;
    UCHAR InterruptLine;
    UCHAR InterruptPin;
    USHORT BridgeControl;
} PCI_HEADER_TYPE_1;

typedef struct _PCI_HEADER_TYPE_2 { // CardBus bridge
    ULONG SocketRegistersBaseAddress;
    UCHAR CapabilitiesPtr;
    UCHAR Reserved;
    USHORT SecondaryStatus;
    UCHAR PrimaryBus;
    UCHAR SecondaryBus;
    UCHAR SubordinateBus;
    UCHAR SecondaryLatency;
    struct {
        ULONG Base;
        ULONG Limit;
    } Range[PCI_TYPE2_ADDRESSES - 1];
    UCHAR InterruptLine;
    UCHAR InterruptPin;
    USHORT BridgeControl;
} PCI_HEADER_TYPE_2;

#define PCI_COMMON_HEADER_FIELDS                                                                   \
    USHORT VendorID;                                                                               \
    USHORT DeviceID;                                                                               \
    USHORT Command; /* PCI_ENABLE_* */                                                             \
    USHORT Status;  /* PCI_STATUS_* */                                                             \
    UCHAR RevisionID;                                                                              \
    UCHAR ProgIf;                                                                                  \
    UCHAR SubClass;                                                                                \
    UCHAR BaseClass;                                                                               \
    UCHAR CacheLineSize;                                                                           \
    UCHAR LatencyTimer;                                                                            \
    UCHAR HeaderType; /* PCI_*_TYPE; bit 7: multifunction */                                       \
    UCHAR BIST;                                                                                    \
    union {                                                                                        \
        PCI_HEADER_TYPE_0 type0;                                                                   \
        PCI_HEADER_TYPE_1 type1;                                                                   \
        PCI_HEADER_TYPE_2 type2;                                                                   \
    } u

typedef struct _PCI_COMMON_HEADER {
    PCI_COMMON_HEADER_FIELDS;
} PCI_COMMON_HEADER, *PPCI_COMMON_HEADER;

typedef struct _PCI_COMMON_CONFIG {
    PCI_COMMON_HEADER_FIELDS;
    UCHAR DeviceSpecific[192];
} PCI_COMMON_CONFIG, *PPCI_COMMON_CONFIG;

#define PCI_COMMON_HDR_LENGTH FIELD_OFFSET(PCI_COMMON_CONFIG, DeviceSpecific)

#define PCI_INVALID_VENDORID    0xFFFF
#define PCI_MULTIFUNCTION       0x80
#define PCI_DEVICE_TYPE         0x00
#define PCI_BRIDGE_TYPE         0x01
#define PCI_CARDBUS_BRIDGE_TYPE 0x02

#define PCI_ENABLE_IO_SPACE          0x0001
#define PCI_ENABLE_MEMORY_SPACE      0x0002
#define PCI_ENABLE_BUS_MASTER        0x0004
#define PCI_DISABLE_LEVEL_INTERRUPT  0x0400
#define PCI_STATUS_CAPABILITIES_LIST 0x0010

#define PCI_ADDRESS_IO_SPACE            0x00000001
#define PCI_ADDRESS_MEMORY_TYPE_MASK    0x00000006
#define PCI_ADDRESS_MEMORY_PREFETCHABLE 0x00000008
#define PCI_ADDRESS_IO_ADDRESS_MASK     0xFFFFFFFC
#define PCI_ADDRESS_MEMORY_ADDRESS_MASK 0xFFFFFFF0
#define PCI_ADDRESS_ROM_ADDRESS_MASK    0xFFFFF800
#define PCI_TYPE_32BIT                  0
#define PCI_TYPE_20BIT                  2
#define PCI_TYPE_64BIT                  4

#define PCI_CAPABILITY_ID_POWER_MANAGEMENT 0x01
#define PCI_CAPABILITY_ID_MSI              0x05
#define PCI_CAPABILITY_ID_VENDOR_SPECIFIC  0x09
#define PCI_CAPABILITY_ID_PCI_EXPRESS      0x10
#define PCI_CAPABILITY_ID_MSIX             0x11

typedef struct _PCI_CAPABILITIES_HEADER {
    UCHAR CapabilityID;
    UCHAR Next; // offset in configuration space, 0: last
} PCI_CAPABILITIES_HEADER, *PPCI_CAPABILITIES_HEADER;

// Section 6.8.1: the registers after the header depend on Control.
typedef struct _PCI_MSI_CAPABILITY {
    PCI_CAPABILITIES_HEADER Header;
    USHORT Control; // PCI_MSI_*
    ULONG AddressLow;
    union {
        struct {
            USHORT Data;
            USHORT Reserved;
            ULONG Mask; // with PCI_MSI_MASKABLE
            ULONG Pending;
        } Bits32;
        struct { // with PCI_MSI_64BIT
            ULONG AddressHigh;
            USHORT Data;
            USHORT Reserved;
            ULONG Mask;
            ULONG Pending;
        } Bits64;
    };
} PCI_MSI_CAPABILITY, *PPCI_MSI_CAPABILITY;

#define PCI_MSI_ENABLE                    0x0001
#define PCI_MSI_MESSAGES_CAPABLE(control) (1u << (((control) >> 1) & 7))
#define PCI_MSI_MESSAGES_ENABLED_SHIFT    4 // log2 of the number in use
#define PCI_MSI_64BIT                     0x0080
#define PCI_MSI_MASKABLE                  0x0100

// Section 6.8.2. A table or PBA register holds a BAR number in bits 2..0, an offset above.
typedef struct _PCI_MSIX_CAPABILITY {
    PCI_CAPABILITIES_HEADER Header;
    USHORT Control; // bits 10..0: entries - 1
    ULONG Table;
    ULONG PendingBits;
} PCI_MSIX_CAPABILITY, *PPCI_MSIX_CAPABILITY;

typedef struct _PCI_MSIX_TABLE_ENTRY {
    ULONG AddressLow;
    ULONG AddressHigh;
    ULONG Data;
    ULONG VectorControl; // bit 0: masked
} PCI_MSIX_TABLE_ENTRY, *PPCI_MSIX_TABLE_ENTRY;

#define PCI_MSIX_ENABLE           0x8000
#define PCI_MSIX_FUNCTION_MASK    0x4000
#define PCI_MSIX_ENTRIES(control) (((control)&0x07FF) + 1u)
