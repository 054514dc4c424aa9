// SPDX-License-Identifier: Apache-2.0

/// How the pixels of a file are read, as far as there is a choice: a part of the contract, because a network
/// must see in prediction what it saw in training.
///
/// The defaults are what every contract meant before there was a choice.
package struct PixelReading: Hashable, Sendable {
  /// Whether colours of an embedded profile become sRGB's.
  package var convertsProfiles = false
  /// Whether 16-bit samples that use fewer bits are spread over the whole range.
  package var stretchesSixteenBits = false
  /// Larger photos are refused, JPEGs read at a fraction of their size.
  package var maximumPixels = DecodeOptions.defaultMaximumPixels

  /// The defaults.
  package init() {}

  /// What it asks of a decoder.
  package var decodeOptions: DecodeOptions {
    var options = DecodeOptions(maximumPixels: maximumPixels)
    options.convertsProfiles = convertsProfiles
    options.stretchesSixteenBits = stretchesSixteenBits
    return options
  }
}

extension Preprocessing {
  /// What the contract asks of a decoder.
  package var decodeOptions: DecodeOptions {
    var options = reading.decodeOptions
    options.background = background
    return options
  }

  /// The same contract with pixels read otherwise.
  package func with(_ reading: PixelReading) -> Preprocessing {
    var result = self
    result.reading = reading
    return result
  }
}
