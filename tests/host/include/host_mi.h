// SPDX-License-Identifier: MIT
// What mm/amd64/miarch.h says, for host tests.
#pragma once

#include "../../../mm/amd64/miarch.h"
