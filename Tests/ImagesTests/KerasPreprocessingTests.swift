// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages
import ThawTestSupport

/// The cards of Keras's weights against `load_img` and `preprocess_input`.
@Suite struct KerasPreprocessingTests {
  private static let recorded: [String: [Float]] = {
    guard
      let file = Bundle.module.resourceURL?.appendingPathComponent(
        "Fixtures/keras_preprocessing.json"),
      let data = try? Data(contentsOf: file)
    else { return [:] }
    return (try? JSONDecoder().decode([String: [Float]].self, from: data)) ?? [:]
  }()

  @Test(arguments: ["caffe", "torch", "tf"], Interpolation.allCases)
  func aPhotoBecomesTheNumbersOfKeras(_ family: String, _ interpolation: Interpolation) throws {
    let values = try #require(
      ["caffe": Preprocessing.caffe(), "torch": .torch(), "tf": .tf()][family])
    let contract = Preprocessing(
      inputSize: 9, scale: values.scale, channelOrder: values.channelOrder, mean: values.mean,
      std: values.std, interpolation: interpolation, cropFraction: 1, resizeRule: .squash)
    var actual = [Float](repeating: 0, count: contract.elementCount)
    actual.withUnsafeMutableBufferPointer {
      contract.preprocess(ImageFixtures.pattern(61, 47), into: $0)
    }
    let expected = try #require(Self.recorded["\(family)-\(interpolation.rawValue)"])
    let planar = (0..<3).flatMap { channel in (0..<81).map { expected[3 * $0 + channel] } }
    // Keras computes in Float32, step by step: up to 255, half a unit in the last place is 8e-6.
    expectClose(actual, planar, relative: 1e-6, absolute: 1e-5, "\(family) \(interpolation)")
  }
}
