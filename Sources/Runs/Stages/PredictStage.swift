// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawAnswers
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
package import ThawInference
package import ThawRecipes
import ThawTensors
import ThawTraining

/// Predict the class of photos, by a model file alone.
package struct PredictStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// A class and how probable it is.
  package struct Ranked: Encodable, Sendable {
    /// Class name.
    package let label: String
    /// In 0...1.
    package let probability: Float
  }

  /// The prediction for one photo.
  package struct Prediction: Encodable, Sendable {
    /// As it was given or found, exactly.
    package let path: String
    /// The most probable class, or what thresholds decide for; nil of a model that gives several labels a
    /// photo.
    package let label: String?
    package let probability: Float?
    /// The classes whose probability reaches their threshold, best first, perhaps none; nil of a model
    /// that gives one label a photo.
    package let labels: [Ranked]?
    /// The most probable classes, best first.
    package let top: [Ranked]
    /// One a class, of the first view; only when asked for.
    package let logits: [Float]?
    /// Whether the photo is unlike anything that the model was trained on; nil when that is not known of
    /// the model, or was not to be said.
    package let unknown: Bool?
    /// How unlike it is, and from where on it is called so; see ``UnknownScore``.
    package let unknownScore: Float?
    package let unknownThreshold: Float?
    /// The labels among which the right one is with the coverage that was asked for, the most probable
    /// first; nil when none was.
    package let set: [String]?
    /// Whether no class reaches what the model's thresholds ask of it, so that the label is
    /// ``undecidedLabel``; nil of a model without thresholds, or of several labels a photo.
    package let undecided: Bool?
  }

  /// What becomes of photos that are unlike anything the model was trained on.
  package enum UnknownPhotos: String, Sendable, CaseIterable {
    /// Their label is `unknown`.
    case label
    /// They keep their label, and it is said.
    case flag
    /// Nothing is said.
    case off
  }

  /// What is asked besides the classes.
  package struct Options: Sendable {
    /// How many classes to rank.
    package var top = 5
    /// Several looks at each photo.
    package var tta = Recipe.TestTime()
    /// Whether logits are given.
    package var withLogits = false
    /// How often the set of labels is to contain the right one, above 0 and below 1; nil for no sets.
    package var coverage: Double?
    /// Whether the sets are to do so for the photos of each class.
    package var coversEachClass = false
    /// See ``UnknownPhotos``; nil for a flag where the model can tell.
    package var unknown: UnknownPhotos?
    /// In place of the model's, or besides them.
    package var thresholds = ThresholdRequest()

    package init() {}
  }

  /// The label of a photo that is unlike anything the model was trained on.
  package static let unknownLabel = "unknown"

  /// A photo without a prediction.
  package typealias Failure = FoundPhotos.Failure

  /// Predicts photos and, recursively, folders of photos.
  ///
  /// - Returns: predictions in the order of the arguments, and the photos that have none.
  /// - Throws: what loading the model throws; ``PipelineError/usage(_:)`` for what this model cannot say;
  ///   ``PipelineError/interrupted``.
  package func predict(
    _ inputs: [FilePath], model: ModelReference, options: Options = Options()
  ) throws -> (predictions: [Prediction], failures: [Failure]) {
    let classifier = try model.load(context: context)
    let tta = try classifier.views(of: options.tta)
    let answering = try Answering(classifier, tta, options)
    for note in answering.notes { context.console.warn(note) }
    for note in answering.thresholdNotes { context.console.say(note) }
    let found = try FoundPhotos(inputs, console: context.console)
    let paths = found.paths
    var failures = found.failures
    let progress = context.console.progress("Predicting", total: paths.count)
    var scores = [Float?](repeating: nil, count: paths.count)
    let outcomes = try classifier.classify(
      paths, views: tta.views,
      onFeatures: { scores[$0] = answering.unknown?.score($1) },
      progress: { progress.update(completed: $0) })
    progress.finish()
    var predictions: [Prediction] = []
    for (index, outcome) in outcomes.enumerated() {
      switch outcome {
      case .unusable(let reason):
        failures.append(Failure(path: paths[index].displayed, reason: reason))
      case .logits(let logits):
        predictions.append(answering.prediction(paths[index].exact, logits, score: scores[index]))
      }
    }
    return (predictions, failures)
  }
}

/// How one model's logits become the answers that were asked for.
private struct Answering {
  let unknown: UnknownScore?
  /// What holds with a reservation, as sentences.
  private(set) var notes: [String] = []
  private let record: ModelRecord
  private let thresholds: ModelThresholds
  private let look: TestTimeAugmentation
  private let fitted: ModelCalibration.Fitted?
  private let options: PredictStage.Options
  private let memberCount: Int

  /// - Throws: ``PipelineError/usage(_:)`` when something is asked that the model cannot say.
  init(
    _ classifier: Classifier, _ look: TestTimeAugmentation, _ options: PredictStage.Options
  ) throws {
    record = classifier.model.record
    self.look = look
    self.options = options
    memberCount = classifier.memberCount
    let own = ModelCalibration.Look(look, snapshots: memberCount > 1)
    let found = classifier.calibration?.fitted(for: own)
    fitted = found?.fitted
    unknown = options.unknown == .off ? nil : classifier.unknown
    thresholds = try options.thresholds.thresholds(
      changing: classifier.thresholds, source: classifier.source)
    if thresholds.decides, record.classNames.contains(ModelThresholds.undecidedLabel) {
      throw PipelineError.usage(
        "\(classifier.source) has thresholds, and a class '\(ModelThresholds.undecidedLabel)', which is"
          + " what photos below every threshold are called. Take the thresholds away: --threshold"
          + " CLASS=0 for each.")
    }
    if let found, !found.isExact {
      notes.append(
        "\(classifier.source): its probabilities are calibrated for \(found.fitted.look.name), and the same"
          + " temperature\(options.coverage == nil ? " is" : " and sets, which promise nothing then, are")"
          + " used for \(own.name). The recipe's evaluate.tta and evaluate.snapshots have a"
          + " training calibrate it.")
    }
    if let coverage = options.coverage { try check(coverage, classifier) }
    if let handling = options.unknown, handling != .off {
      guard classifier.unknown != nil else {
        throw PipelineError.usage(
          "\(classifier.source) does not say what is unlike its training photos"
            + (classifier.memberCount > 1 ? ", several models together cannot" : "")
            + ". Models that thaw train or fine-tune makes with validation photos do; leave --unknown out."
        )
      }
      if handling == .label, record.classNames.contains(PredictStage.unknownLabel) {
        throw PipelineError.usage(
          "\(classifier.source) has a class '\(PredictStage.unknownLabel)' of its own. Use --unknown flag."
        )
      }
    }
  }

  /// The thresholds that are no training's, as sentences.
  var thresholdNotes: [String] {
    let own = ModelCalibration.Look(look, snapshots: memberCount > 1)
    let notes = thresholds.notes(look: own)
    return notes.isEmpty
      ? [] : ["Labels are given by thresholds: \(notes.joined(separator: "; "))."]
  }

  private mutating func check(_ coverage: Double, _ classifier: Classifier) throws(PipelineError) {
    guard !record.outputActivation.allowsSeveralLabels else {
      throw .usage(
        "\(classifier.source) gives several labels a photo; a set that contains the label is for models of"
          + " one. Leave --coverage out.")
    }
    guard let sets = fitted?.sets else {
      throw .usage(
        "\(classifier.source) has no scores for sets of labels: they come from the validation photos of a"
          + " training by thaw train or fine-tune. Leave --coverage out.")
    }
    if sets.limit(coverage: coverage) == .infinity {
      notes.append(
        "\(sets.photos) validation photos promise a coverage of at most"
          + " \(Format.percent(sets.largestCoverage)), less than the \(Format.percent(coverage)) asked for:"
          + " each set has all labels.")
    }
    if options.coversEachClass { try checkClasses(sets, coverage, classifier) }
  }

  private mutating func checkClasses(
    _ sets: ConformalSets, _ coverage: Double, _ classifier: Classifier
  ) throws(PipelineError) {
    guard !sets.classes.isEmpty else {
      throw .usage(
        "\(classifier.source) has no scores for each class: an earlier version of Thaw trained it. Train again,"
          + " or leave --coverage-per-class out.")
    }
    let few = record.classNames.indices.filter { !sets.promises(coverage, for: $0) }
    guard !few.isEmpty else { return }
    let names = few.prefix(10).map { "'\(record.classNames[$0])' (\(sets.classes[$0].photos))" }
    notes.append(
      "too few validation photos to promise \(Format.percent(coverage)) for"
        + " \(names.joined(separator: ", "))\(few.count > 10 ? ", …" : ""): there the limit of all classes"
        + " decides, which keeps it on average alone.")
  }

  /// The answer for one photo.
  ///
  /// - Parameters:
  ///   - logits: [models * views, classes].
  ///   - score: see ``UnknownScore``.
  func prediction(
    _ path: String, _ logits: Tensor<Float>, score: Float?
  ) -> PredictStage.Prediction {
    let plain = look.probabilities(
      of: logits.members(views: look.views.count), by: record.outputActivation)
    let probabilities = (fitted?.temperature.probabilities(of: plain) ?? plain).elements
    let names = record.classNames
    // Equal probabilities keep the order of the classes.
    let order = probabilities.indices.sorted {
      (probabilities[$1], $0) < (probabilities[$0], $1)
    }
    func ranked(_ index: Int) -> PredictStage.Ranked {
      PredictStage.Ranked(label: names[index], probability: probabilities[index])
    }
    let isExclusive = !record.outputActivation.allowsSeveralLabels
    let isUnknown = score.flatMap { score in unknown.map { $0.isUnknown(score) } }
    let isRelabelled = isUnknown == true && options.unknown == .label
    let own = thresholds.labels(of: probabilities)
    let isUndecided = isExclusive && own.isEmpty
    let best = ranked(own.first ?? order[0])
    let hasLabel = isExclusive && !isRelabelled && !isUndecided
    return PredictStage.Prediction(
      path: path,
      label: !isExclusive
        ? nil
        : isRelabelled
          ? PredictStage.unknownLabel : isUndecided ? ModelThresholds.undecidedLabel : best.label,
      probability: hasLabel ? best.probability : nil,
      labels: isExclusive ? nil : isRelabelled ? [] : own.map(ranked),
      top: order.prefix(max(options.top, 1)).map(ranked),
      logits: options.withLogits ? Array(logits.elements.prefix(names.count)) : nil,
      unknown: isUnknown, unknownScore: score,
      unknownThreshold: score.flatMap { _ in unknown?.threshold },
      set: options.coverage.flatMap { coverage in
        fitted?.sets.set(
          of: probabilities, coverage: coverage, perClass: options.coversEachClass
        ).map { names[$0] }
      }, undecided: thresholds.decides ? isUndecided : nil)
  }
}
