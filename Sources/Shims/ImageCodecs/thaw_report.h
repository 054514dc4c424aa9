// SPDX-License-Identifier: Apache-2.0
// Shared by the decoders: filling the report, and the size check that precedes every allocation.
#ifndef THAW_REPORT_H
#define THAW_REPORT_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "thaw_codecs.h"

static inline void thaw_report_clear(thaw_image_report *report) {
  memset(report, 0, sizeof *report);
}

__attribute__((format(printf, 2, 3))) static inline void thaw_report_fail(
    thaw_image_report *report, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report->message, sizeof report->message, format, arguments);
  va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static inline void thaw_report_warn(
    thaw_image_report *report, const char *format, ...) {
  if (report->warning_count < UINT32_MAX) report->warning_count++;
  if (report->first_warning[0] != 0) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report->first_warning, sizeof report->first_warning, format, arguments);
  va_end(arguments);
}

/// Whether width * height, in 64 bits, stays within the limit.
static inline bool thaw_size_allowed(uint64_t width, uint64_t height, uint64_t max_pixels) {
  return width == 0 || height <= max_pixels / width;
}

#endif
