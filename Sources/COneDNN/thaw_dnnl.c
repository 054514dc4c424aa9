// SPDX-License-Identifier: Apache-2.0
#include "thaw_dnnl.h"
