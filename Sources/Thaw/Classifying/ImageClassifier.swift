// SPDX-License-Identifier: Apache-2.0

public import FoundationEssentials
public import SystemPackage

/// A trained network that any number of tasks ask at once.
///
/// ```swift
/// let classifier = try ImageClassifier(contentsOf: "model.safetensors")
/// let answer = try await classifier.classify(jpegBytes)
/// print(answer.label, answer.probability, answer.top(3))
/// ```
/// A photo's answer depends on the photo, the model and the ``Configuration/views`` alone, to the last
/// bit: not on which photos are computed with it, on the number of workers, or on who asks. It is the
/// one that `thaw predict` gives.
///
/// Asking never blocks the caller's thread: photos wait in a bounded queue for the classifier's own
/// threads. Those end when the last reference goes, or with ``close()``.
///
/// Cancelling a task that waits for an answer throws `CancellationError` in it at once; a photo that
/// has not begun is then not computed.
public final class ImageClassifier: Sendable {
  /// The names of the classes, in the order of ``Classification/probabilities``.
  public let classNames: [String]
  /// Side of the square the network sees, in pixels; photos of any size are brought to it.
  public let inputSize: Int
  /// How many numbers an embedding has; nil when the model is its head alone.
  public let embeddingLength: Int?
  /// What else the model's file says about it.
  public let model: Model

  let pool: WorkerPool
  let explainer: Explainer

  /// Reads and compiles a model: what `--model` takes on the command line.
  ///
  /// Takes from milliseconds to seconds, on the caller's thread; a server does it before it listens.
  ///
  /// - Parameter path: a model file of Thaw, its ONNX export, a checkpoint that another program
  ///   trained (see ``Configuration/card``), or the name of a card whose weights are here.
  /// - Throws: ``ImageClassifierError/unusableModel(_:)``.
  public init(
    contentsOf path: FilePath, configuration: Configuration = Configuration()
  ) throws(ImageClassifierError) {
    configuration.check()
    let network: ClassifierNetwork
    do {
      network = try ClassifierNetwork(path, configuration)
      pool = try WorkerPool(
        network.lanes(configuration.workers, maximumBatch: configuration.maximumBatch),
        configuration)
    } catch { throw .unusableModel("\(error)") }
    classNames = network.classNames
    inputSize = network.preprocessing.inputSize
    embeddingLength = network.embeddingLength
    model = Model(network, path)
    explainer = Explainer(network, path, configuration)
  }

  /// Reads and compiles a model: what `--model` takes on the command line.
  ///
  /// See ``init(contentsOf:configuration:)-(FilePath,_)``.
  ///
  /// - Throws: ``ImageClassifierError/unusableModel(_:)``.
  public convenience init(
    contentsOf path: String, configuration: Configuration = Configuration()
  ) throws(ImageClassifierError) {
    try self.init(contentsOf: FilePath(path), configuration: configuration)
  }

  deinit {
    pool.abandon()
    explainer.abandon()
  }

  /// Classifies a photo.
  ///
  /// - Throws: ``ImageClassifierError``: `unusablePhoto`, `overloaded`, `closed` or `failed`;
  ///   `CancellationError` when the task is cancelled.
  public func classify(_ photo: Photo) async throws -> Classification {
    try await pool.answer(photo, .classification, .bounded).classification
  }

  /// Classifies several photos that are accepted together or not at all, and returns the answers in their
  /// order: a photo that cannot be used does not affect the others.
  ///
  /// - Throws: ``ImageClassifierError/overloaded(waiting:capacity:)`` when not all of them may wait, `closed`;
  ///   `CancellationError` when the task is cancelled.
  public func answers(
    to photos: [Photo]
  ) async throws -> [Result<Classification, ImageClassifierError>] {
    try await pool.answers(photos, .classification).map { $0.map(\.classification) }
  }

  /// Classifies the image file that `bytes` holds; see ``classify(_:)-(Photo)``.
  public func classify(_ bytes: [UInt8]) async throws -> Classification {
    try await classify(Photo(bytes))
  }

  /// Classifies the image file that `data` holds; see ``classify(_:)-(Photo)``.
  public func classify(_ data: Data) async throws -> Classification {
    try await classify(Photo(data))
  }

  /// Classifies an image file; see ``classify(_:)-(Photo)``.
  public func classify(contentsOf path: FilePath) async throws -> Classification {
    try await classify(Photo(contentsOf: path))
  }

  /// Classifies an image file; see ``classify(_:)-(Photo)``.
  public func classify(contentsOf path: String) async throws -> Classification {
    try await classify(Photo(contentsOf: path))
  }

  /// The features of a photo's centre at the input of the network's head: what the backbone makes of
  /// it, for searching and comparing.
  ///
  /// Shape: [``embeddingLength``], Float32, without a unit and not normalised.
  ///
  /// - Throws: ``ImageClassifierError``, also `noEmbedding`; `CancellationError`.
  public func embedding(of photo: Photo) async throws -> [Float] {
    guard embeddingLength != nil else { throw ImageClassifierError.noEmbedding }
    return try await pool.answer(photo, .embedding, .bounded).embedding
  }

  /// Refuses further photos, answers those that were accepted, and returns once the worker threads
  /// have ended. May be called more than once.
  public func close() async {
    await pool.close()
    await explainer.close()
  }
}
