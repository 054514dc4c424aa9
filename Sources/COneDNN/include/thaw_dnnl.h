// SPDX-License-Identifier: Apache-2.0
#ifndef THAW_DNNL_H
#define THAW_DNNL_H
#endif
