// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// Means over windows that divide an image of any size into a fixed number of outputs, summed in Double.
///
/// - Source: PyTorch's `AdaptiveAvgPool2d`.
final class ReferenceAdaptivePooling<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let windows: [AdaptiveWindow]

  init(_ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
    windows = AdaptiveWindow.all(from: input.image, to: output.image)
  }

  private func planes(_ pass: ReferencePass) -> Range<Int> { 0..<(pass.count * output.shape[1]) }

  func forward(_ pass: ReferencePass) {
    let width = input.image.width
    for plane in planes(pass) {
      let source = input.values + plane * input.image.count
      let target = output.values + plane * windows.count
      for (index, window) in windows.enumerated() {
        var sum = 0.0
        for row in window.rows {
          for column in window.columns { sum += Double(source[row * width + column]) }
        }
        target[index] = Scalar(sum / Double(window.count))
      }
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    let width = input.image.width
    for plane in planes(pass) {
      let target = gradient + plane * input.image.count
      for (index, window) in windows.enumerated() {
        let share = outer[plane * windows.count + index] / Scalar(window.count)
        for row in window.rows {
          for column in window.columns { target[row * width + column] += share }
        }
      }
    }
  }
}
