// SPDX-License-Identifier: MIT
// nt.h: all public NT definitions

#pragma once

#include "ntdef.h"
#include "ntstatus.h"
#include "bugcodes.h"
#include "ketypes.h"
#include "extypes.h"
#include "rtltypes.h"
#include "mmtypes.h"
#include "restypes.h"
#include "pnptypes.h"
#include "iotypes.h"
#include "irptypes.h"
#include "pcitypes.h"
#include "peimage.h"
