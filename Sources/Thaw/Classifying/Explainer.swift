// SPDX-License-Identifier: Apache-2.0

import Synchronization
import SystemPackage
import ThawAnswers
import ThawBackbones
import ThawConsole
import ThawDatasets
import ThawImages
import ThawInference
import ThawTensors
import ThawTraining

/// The thread that explains answers; there is none before the first question.
final class Explainer: Sendable {
  private enum State {
    case new
    case running(WorkerPool)
    case closed
  }

  private let network: ClassifierNetwork
  private let path: FilePath
  private let configuration: ImageClassifier.Configuration
  private let state = Mutex(State.new)

  init(
    _ network: ClassifierNetwork, _ path: FilePath, _ configuration: ImageClassifier.Configuration
  ) {
    self.network = network
    self.path = path
    var own = configuration
    own.batchDelay = .zero
    self.configuration = own
  }

  /// Waits for the map of a class; nil for the most probable one.
  func explanation(of photo: Photo, index: Int?) async throws -> Explanation {
    let pool = try state.withLock { state in
      switch state {
      case .closed: throw ImageClassifierError.closed
      case .running(let pool): return pool
      case .new:
        let pool = try WorkerPool([ExplainerLane(network, path)], configuration)
        state = .running(pool)
        return pool
      }
    }
    let answer = try await pool.answer(photo, .explanation(index), .bounded)
    guard let explanation = answer.explanation else { throw ImageClassifierError.closed }
    return explanation
  }

  private func end() -> WorkerPool? {
    state.withLock { state in
      defer { state = .closed }
      if case .running(let pool) = state { return pool }
      return nil
    }
  }

  func close() async { await end()?.close() }

  func abandon() { end()?.abandon() }
}

/// Makes maps, one photo at a time, on one thread.
private final class ExplainerLane: PhotoLane, @unchecked Sendable {
  let maximumPhotos = 1
  private let model: StoredModel
  private let path: FilePath
  /// Made by the thread that uses it: compiling sets how many threads kernels of the calling one use.
  private var evidence: ClassEvidence?

  init(_ network: ClassifierNetwork, _ path: FilePath) {
    model = network.model
    self.path = path
  }

  func answer(_ jobs: [PhotoJob], idle: () -> Int) {
    for job in jobs where job.begin() {
      guard case .explanation(let index) = job.question else { continue }
      job.finish(
        Result {
          var answer = PhotoAnswer()
          answer.explanation = try explain(job.photo, index)
          return answer
        })
    }
  }

  private func explain(_ photo: Photo, _ wanted: Int?) throws -> Explanation {
    let decoded: DecodedImage
    do { decoded = try decode(photo) } catch {
      throw ImageClassifierError.unusablePhoto(Classifier.reason(error))
    }
    let evidence = try compiled()
    let contract = model.preprocessing
    let square = contract.square(of: decoded)
    let pixels = AlignedStorage<Float>(count: contract.elementCount)
    contract.preprocess(decoded, into: pixels.elements)
    func chosen(_ logits: [Float]) -> Int {
      wanted ?? logits.indices.max { logits[$0] < logits[$1] } ?? 0
    }
    do {
      let found = try evidence.map(UnsafeBufferPointer(pixels.elements), index: chosen)
      let heat = HeatMap(found.values, height: evidence.height, width: evidence.width)
      let index = chosen(found.logits)
      return Explanation(
        label: model.record.classNames[index], probability: try probability(found.logits, index),
        map: (0..<heat.height).map { row in
          Array(heat.values[(row * heat.width)..<((row + 1) * heat.width)])
        },
        area: area(decoded.originalSize), isExact: evidence.isExact,
        layer: evidence.layer.description,
        overlay: try PNGEncoder.encode(heat.overlay(on: square)))
    } catch { throw ImageClassifierError.failed("\(error)") }
  }

  private func decode(_ photo: Photo) throws -> DecodedImage {
    func decoded(_ bytes: [UInt8]) throws -> DecodedImage {
      try bytes.withUnsafeBytes {
        try ImageDecoder.decode($0, options: model.preprocessing.decodeOptions)
      }
    }
    return switch photo.source {
    case .bytes(let bytes): try decoded(bytes)
    case .data(let data): try decoded(Array(data))
    case .file(let path): try decoded(PhotoFiles.read(path, limit: 1 << 30))
    case .pixels(let image): DecodedImage(pixels: image)
    }
  }

  private func compiled() throws -> ClassEvidence {
    if let evidence { return evidence }
    let context = StageContext(
      readingWith: Console(isQuiet: true), pretrained: PretrainedStore(directory: "Pretrained"))
    do {
      let made = try ClassEvidence(model, source: path.string, context: context)
      evidence = made
      return made
    } catch { throw ImageClassifierError.noExplanation("\(error)") }
  }

  private func probability(_ logits: [Float], _ index: Int) throws -> Float {
    let logits = Tensor(logits, shape: [1, logits.count])
    if model.record.outputActivation.allowsSeveralLabels {
      return Probabilities.sigmoid(logits)[index]
    }
    let temperature = try ModelCalibration(of: model.record, source: path.string)?.temperature
    return (temperature?.probabilities(ofLogits: logits) ?? Probabilities.softmax(logits))[index]
  }

  /// The network's square in pixels of the whole photo.
  private func area(_ photo: PixelSize) -> Explanation.Area {
    let (resized, crop) = model.preprocessing.geometry(of: photo)
    let (across, down) = (
      Double(photo.width) / Double(resized.width), Double(photo.height) / Double(resized.height)
    )
    let side = Double(model.preprocessing.inputSize)
    return Explanation.Area(
      x: Double(crop.x) * across, y: Double(crop.y) * down, width: side * across,
      height: side * down)
  }
}
