// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawImages
package import ThawInference
import ThawOneDNN
package import ThawTensors

/// Photos that can be prepared under any contract.
package protocol ContractPhotos {
  /// How many.
  var count: Int { get }
  /// The class of a photo; nil where folders do not tell.
  func className(_ index: Int) -> String?
  /// Writes the photos at `range` with the numbers of `preprocessing`, one after the other.
  func write(
    _ range: Range<Int>, as preprocessing: Preprocessing,
    into output: UnsafeMutableBufferPointer<Float>)
}

extension ContractPhotos {
  /// The logits of the first `limit` photos with the numbers of `preprocessing`, [n, classes].
  package func logits(
    _ classifier: Classifier, as preprocessing: Preprocessing, first limit: Int
  ) throws -> Tensor<Float> {
    let number = min(limit, count)
    let classes = classifier.classNames.count
    let pixels = AlignedStorage<Float>(count: 32 * preprocessing.elementCount)
    return try Tensor(shape: [number, classes]) { output in
      for start in stride(from: 0, to: number, by: 32) {
        try Interruption.check()
        let range = start..<min(start + 32, number)
        let part = UnsafeMutableBufferPointer(
          rebasing: pixels.elements[..<(range.count * preprocessing.elementCount)])
        write(range, as: preprocessing, into: part)
        let logits = try classifier.logits(UnsafeBufferPointer(part))
        logits.withUnsafeElements {
          _ = UnsafeMutableBufferPointer(rebasing: output[(start * classes)...])
            .update(fromContentsOf: $0)
        }
      }
    }
  }
}

/// Photos that were prepared under one contract and can be converted to any other.
package struct PreparedPhotos: ContractPhotos {
  package let tensors: LabelledTensors
  package let preprocessing: Preprocessing
  package let classNames: [String]

  package var count: Int { tensors.count }

  package func className(_ index: Int) -> String? { classNames[tensors.labels[index]] }

  package func write(
    _ range: Range<Int>, as target: Preprocessing, into output: UnsafeMutableBufferPointer<Float>
  ) {
    for (position, index) in range.enumerated() {
      preprocessing.convert(
        tensors.photo(index), to: target,
        into: UnsafeMutableBufferPointer(
          rebasing: output[position * tensors.stride..<(position + 1) * tensors.stride]))
    }
  }
}

extension LabelledTensors {
  /// The photos as `target` would have prepared them; the geometry stays that of `source`.
  package func converted(from source: Preprocessing, to target: Preprocessing) -> LabelledTensors {
    guard source != target else { return self }
    let converted = AlignedStorage<Float>(count: count * stride)
    for photo in 0..<count {
      source.convert(
        self.photo(photo), to: target,
        into: UnsafeMutableBufferPointer(
          rebasing: converted.elements[photo * stride..<(photo + 1) * stride]))
    }
    return LabelledTensors(storage: converted, stride: stride, labels: labels)
  }
}

extension Preprocessing {
  /// One photo [3, H, W] that this contract has prepared, as `target` would have.
  fileprivate func convert(
    _ photo: UnsafeBufferPointer<Float>, to target: Preprocessing,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    let plane = photo.count / 3
    for channel in 0..<3 {
      let origin = channelOrder == target.channelOrder ? channel : 2 - channel
      // x * scale = v * std + mean, then (x * scale' - mean') / std'.
      let gain = target.scale / scale
      let slope = Float(std[origin] * gain / target.std[channel])
      let offset = Float((mean[origin] * gain - target.mean[channel]) / target.std[channel])
      for index in 0..<plane {
        output[channel * plane + index] = slope * photo[origin * plane + index] + offset
      }
    }
  }
}
