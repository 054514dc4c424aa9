// SPDX-License-Identifier: Apache-2.0
#ifndef THAW_CODECS_H
#define THAW_CODECS_H
#endif
