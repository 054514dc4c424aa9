// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// A photo with its label.
struct JudgedPhoto: Sendable {
  let path: FilePath
  let name: String
  let className: String
  /// Among the model's outputs.
  let label: Int

  /// - Throws: ``PipelineError/data(_:)`` when the model has no such class.
  init(path: FilePath, name: String, className: String, _ classifier: Classifier) throws {
    guard let label = classifier.classNames.firstIndex(of: className) else {
      let known = classifier.classNames.prefix(10).joined(separator: ", ")
      throw PipelineError.data(
        "\(name): the model \(classifier.source) does not know '\(className)'. It knows \(known)."
          + " Rename the folder.")
    }
    (self.path, self.name, self.className, self.label) = (path, name, className, label)
  }
}

/// Photos for one purpose.
struct PhotoSet: Sendable {
  let photos: [JudgedPhoto]
  /// For people: `train`, `valid`, …
  let split: String

  /// Some of them, evenly chosen.
  func first(_ count: Int) -> PhotoSet {
    guard photos.count > count else { return self }
    return PhotoSet(
      photos: (0..<count).map { photos[$0 * photos.count / count] }, split: split)
  }
}

/// A network and the photos that ranges and layers are measured on.
struct Measurement {
  let quantizer: NetworkQuantizer
  /// Prepared photos, [n, C, H, W].
  let photos: Tensor<Float>
  /// Of the photos that could be used.
  let labels: [Int]
  /// Logits in Float32, [n, outputs].
  let logits: Tensor<Float>

  init(_ classifier: Classifier, _ set: PhotoSet, _ context: StageContext) throws {
    let contract = classifier.preprocessing
    let pixels = AlignedStorage<Float>(count: set.photos.count * contract.elementCount)
    let reasons = try classifier.prepare(set.photos.map(\.path), into: pixels)
    for (photo, reason) in zip(set.photos, reasons) {
      if let reason { context.console.warn("\(photo.name): left out: \(reason)") }
    }
    let usable = set.photos.indices.filter { reasons[$0] == nil }
    guard usable.count >= 2 else {
      throw PipelineError.data(
        "\(counted(usable.count, "photo")) of '\(set.split)' can be used; at least 2 are needed to measure on."
      )
    }
    let shape = classifier.model.graph.inputShape(contract)
    photos = Tensor(shape: Shape([usable.count] + shape)) { output in
      for (place, index) in usable.enumerated() {
        for element in 0..<contract.elementCount {
          output[place * contract.elementCount + element] =
            pixels.elements[index * contract.elementCount + element]
        }
      }
    }
    labels = usable.map { set.photos[$0].label }
    var engine = OneDNNEngine(training: ReferenceEngine<Float>())
    engine.threads = context.threads
    context.console.say("Measuring \(usable.count) photos …")
    quantizer = try NetworkQuantizer(
      classifier.model.graph, classifier.model.parameters, size: Extent2D(contract.inputSize),
      photos: photos, engine: engine, check: { try context.checkInterruption() })
    logits = try quantizer.logits((quantizer.graph, quantizer.parameters), photos)
  }

  /// The first `count` photos.
  func photos(first count: Int) -> Tensor<Float> {
    guard count < photos.shape[0] else { return photos }
    let stride = photos.count / photos.shape[0]
    return Tensor(
      photos.elements[..<(count * stride)], shape: Shape([count] + photos.shape.extents.dropFirst())
    )
  }

  /// Mean square of what other logits differ by, over the variance of the logits around each photo's mean.
  func noise(of other: Tensor<Float>) -> Double {
    let outputs = logits.shape[1]
    var (error, signal) = (0.0, 0.0)
    for row in 0..<other.shape[0] {
      let range = row * outputs..<(row + 1) * outputs
      let mean =
        outputs > 1 ? range.reduce(0.0) { $0 + Double(logits[$1]) } / Double(outputs) : 0
      for index in range {
        error += (Double(other[index]) - Double(logits[index])).squared
        signal += (Double(logits[index]) - mean).squared
      }
    }
    return signal > 0 ? error / signal : 0
  }

  /// How many photos some logits answer rightly.
  func correct(_ logits: Tensor<Float>) -> Int {
    let outputs = logits.shape[1]
    return labels.indices.count { row in
      guard outputs > 1 else { return (logits[row] > 0 ? 1 : 0) == labels[row] }
      let answer = (0..<outputs).max { logits[row * outputs + $0] < logits[row * outputs + $1] }
      return answer == labels[row]
    }
  }
}

extension Double {
  fileprivate var squared: Double { self * self }
}

extension Graph {
  /// Channels, height and width of the network's image.
  fileprivate func inputShape(_ contract: Preprocessing) -> [Int] {
    [inputChannels, contract.inputSize, contract.inputSize]
  }
}
