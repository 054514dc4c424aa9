// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawRuns
import ThawTensors
import ThawTraining

/// What one worker thread answers photos with.
protocol PhotoLane: AnyObject, Sendable {
  /// The most photos it takes at once.
  var maximumPhotos: Int { get }

  /// Answers jobs, at most ``maximumPhotos``; those that nobody wants any more are passed over.
  ///
  /// - Parameter idle: how many other workers have nothing to do, so that their threads may be used.
  func answer(_ jobs: [PhotoJob], idle: () -> Int)
}

/// What one worker thread computes with: the compiled network and the memory for one batch.
///
/// Takes no memory of its own after it was made. One thread uses it at a time.
final class ClassifierLane: PhotoLane, @unchecked Sendable {
  /// The most photos it takes at once.
  let maximumPhotos: Int
  private let network: ClassifierNetwork
  private let backbone: (any InferencePlan)?
  private let head: any InferencePlan
  /// [rows, 3, side, side]; a photo has a row for each view.
  private let pixels: AlignedStorage<Float>
  /// [rows, features] at the head's input.
  private let features: AlignedStorage<Float>
  /// [rows, classes]
  private let logits: AlignedStorage<Float>

  init(
    _ network: ClassifierNetwork, backbone: (any InferencePlan)?, head: any InferencePlan,
    maximumBatch: Int
  ) {
    self.network = network
    self.backbone = backbone
    self.head = head
    let views = network.looks.views.count
    maximumPhotos = max(maximumBatch / views, 1)
    let rows = maximumPhotos * views
    pixels = AlignedStorage(count: rows * network.preprocessing.elementCount)
    features = AlignedStorage(count: backbone == nil ? 0 : rows * head.inputStride)
    logits = AlignedStorage(count: rows * head.outputStride)
  }

  /// See ``PhotoLane/answer(_:idle:)``.
  func answer(_ jobs: [PhotoJob], idle: () -> Int) {
    var prepared: [(job: PhotoJob, rows: Range<Int>)] = []
    var next = 0
    for job in jobs where job.begin() {
      let count = job.question == .classification ? network.looks.views.count : 1
      do {
        try prepare(job.photo, rows: next..<(next + count))
        prepared.append((job, next..<(next + count)))
        next += count
      } catch { job.finish(.failure(error)) }
    }
    guard next > 0 else { return }
    do { try compute(rows: next, threads: 1 + idle()) } catch {
      for (job, _) in prepared {
        job.finish(.failure(ImageClassifierError.failed("\(error)")))
      }
      return
    }
    for (job, rows) in prepared { job.finish(.success(result(job.question, rows))) }
  }

  /// Decodes a photo into rows of ``pixels``, one a view.
  private func prepare(_ photo: Photo, rows: Range<Int>) throws(ImageClassifierError) {
    let length = network.preprocessing.elementCount
    let target = UnsafeMutableBufferPointer(
      rebasing: pixels.elements[(rows.lowerBound * length)..<(rows.upperBound * length)])
    let views = Array(network.looks.views.prefix(rows.count))
    do {
      switch photo.source {
      case .bytes(let bytes): try prepare(bytes, views, into: target)
      case .data(let data): try prepare(Array(data), views, into: target)
      case .file(let path):
        try prepare(PhotoFiles.read(path, limit: 1 << 30), views, into: target)
      case .pixels(let image):
        let sample =
          network.drawsAugmentation ? Manifest.drawNumber(ofContents: image.pixels) : 0
        network.preprocessing.prepare(
          DecodedImage(pixels: image), testTimeViews: views, sample: sample, into: target)
      }
    } catch {
      let reason = Classifier.reason(error)
      if case .file(let path) = photo.source { throw .unusablePhoto("\(path): \(reason)") }
      throw .unusablePhoto(reason)
    }
  }

  private func prepare(
    _ bytes: [UInt8], _ views: [TestTimeView], into target: UnsafeMutableBufferPointer<Float>
  ) throws {
    let sample = network.drawsAugmentation ? Manifest.drawNumber(ofContents: bytes) : 0
    try bytes.withUnsafeBytes {
      _ = try network.preprocessing.prepare(
        $0, testTimeViews: views, sample: sample, into: target)
    }
  }

  /// From the first `rows` rows of ``pixels`` to ``features`` and ``logits``.
  private func compute(rows: Int, threads: Int) throws {
    var input = UnsafeBufferPointer(
      rebasing: pixels.elements[..<(rows * network.preprocessing.elementCount)])
    if let backbone {
      try backbone.run(input, into: features.elements, threads: threads)
      input = UnsafeBufferPointer(rebasing: features.elements[..<(rows * head.inputStride)])
    }
    try head.run(input, into: logits.elements, threads: threads)
  }

  private func result(_ question: Question, _ rows: Range<Int>) -> PhotoAnswer {
    var answer = PhotoAnswer()
    switch question {
    case .explanation: break
    case .embedding:
      let length = head.inputStride
      answer.embedding = Array(
        features.elements[(rows.lowerBound * length)..<((rows.lowerBound + 1) * length)])
    case .classification:
      let activation = network.record.outputActivation
      let outputs = head.outputStride
      let range = (rows.lowerBound * outputs)..<(rows.upperBound * outputs)
      let ofViews = Probabilities.logitsOfClasses(
        Tensor(Array(logits.elements[range]), shape: [rows.count, outputs]), by: activation)
      let combined = network.looks.probabilities(
        of: ofViews.members(views: rows.count), by: activation)
      let calibrated =
        network.calibration?.temperature.probabilities(of: combined) ?? combined
      let probabilities = calibrated.elements
      answer.classification = Classification(
        classNames: network.record.classNames, probabilities: probabilities,
        logits: Array(ofViews.elements.prefix(network.record.classNames.count)),
        labelIndices: network.thresholds.labels(of: probabilities),
        allowsSeveralLabels: activation.allowsSeveralLabels, sets: network.calibration?.sets,
        likeness: network.unknown.map { unknown in
          let length = head.inputStride
          let start = rows.lowerBound * length
          return Classification.Likeness(
            score: unknown.score(features.elements[start..<(start + length)]),
            threshold: unknown.threshold)
        })
    }
    return answer
  }
}
