// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

/// The libraries that decode photos.
package enum CodecLibraries {
  /// For example `libjpeg-turbo 2.1.5` and `libpng 1.6.39`.
  package static var names: [String] {
    [
      String(cString: thaw_jpeg_description()), "libpng " + String(cString: thaw_png_version()),
    ]
  }
}
