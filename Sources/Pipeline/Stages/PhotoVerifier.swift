// SPDX-License-Identifier: Apache-2.0

import Datasets
import Images

/// Verifies photos by decoding all of them.
struct PhotoVerifier: ImageVerifier {
  let identity = "photos 1"

  func verify(_ bytes: UnsafeRawBufferPointer) throws -> VerifiedImage {
    do {
      let decoded = try ImageDecoder.decode(bytes, options: DecodeOptions())
      let warnings = decoded.warnings
      return VerifiedImage(
        width: decoded.originalSize.width, height: decoded.originalSize.height,
        format: "\(decoded.format)",
        warnings: warnings.count == 0 ? [] : [warnings.first ?? "\(warnings.count) warnings"])
    } catch {
      throw UnusablePhoto(description: error.reason)
    }
  }
}

/// The reason alone: the list of bad files gives the path and one piece of advice for all.
private struct UnusablePhoto: Error, CustomStringConvertible {
  let description: String
}
