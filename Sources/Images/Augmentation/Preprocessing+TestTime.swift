// SPDX-License-Identifier: Apache-2.0

extension Preprocessing {
  /// From the bytes of a file to the inputs of several test-time views; the file is decoded once.
  ///
  /// - Parameters:
  ///   - sample: the photo's index in its split: what augmented views draw by.
  ///   - output: exactly `testTimeViews.count * elementCount` floats, [views, C, H, W].
  /// - Throws: ``ImageError``; the output is then unspecified.
  @discardableResult
  package func prepare(
    _ bytes: UnsafeRawBufferPointer, testTimeViews views: [TestTimeView], sample: Int,
    scaledDecoding: Bool = true, into output: UnsafeMutableBufferPointer<Float>
  ) throws(ImageError) -> PreparedImage {
    precondition(
      !views.isEmpty && output.count == views.count * elementCount,
      "Expected \(views.count * elementCount) floats, got \(output.count).")
    var options = decodeOptions
    if scaledDecoding {
      let probe = try ImageDecoder.probe(bytes, options: options)
      options.minimumSize = smallestSource(of: probe.size)
    }
    let decoded = try ImageDecoder.decode(bytes, options: options)
    prepare(decoded, testTimeViews: views, sample: sample, into: output)
    return PreparedImage(
      format: decoded.format, originalSize: decoded.originalSize, warnings: decoded.warnings)
  }

  /// The same for a photo that is decoded already.
  package func prepare(
    _ decoded: DecodedImage, testTimeViews views: [TestTimeView], sample: Int,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(
      !views.isEmpty && output.count == views.count * elementCount,
      "Expected \(views.count * elementCount) floats, got \(output.count).")
    for (index, view) in views.enumerated() {
      let part = UnsafeMutableBufferPointer(
        rebasing: output[(index * elementCount)..<((index + 1) * elementCount)])
      switch view {
      case .plain(let view): preprocess(decoded, view: view, into: part)
      default:
        let draw = view.draw(sample: sample, size: decoded.originalSize, side: inputSize)
        normalize(
          augmentedSquare(of: decoded, draw: draw ?? AugmentationDraw()), into: part)
      }
    }
  }
}
