// SPDX-License-Identifier: Apache-2.0

import Foundation
package import ThawCheckpoints
import ThawConsole
import ThawNetwork
package import ThawTensors
package import ThawTraining

/// From which probability on a model gives a photo each class, and how that was chosen.
///
/// Where photos may have several labels every class has a threshold. Where they have one most models have
/// none, and the most probable class is the answer; with some ``DecisionRule`` decides, and a photo may be
/// undecided.
package struct ModelThresholds: Sendable, Equatable {
  /// In the order of the outputs.
  package let classNames: [String]
  /// One a class. One label a photo: 0 for a class without.
  package private(set) var values: [Float]
  /// Those that somebody chose or gave, in the order of the classes.
  package private(set) var chosen: [ChosenThreshold]
  private let allowsSeveralLabels: Bool

  /// What a photo is called for which no class reaches what is asked of it.
  package static let undecidedLabel = "undecided"

  /// What a model file has.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it is damaged.
  package init(of record: ModelRecord, source: String) throws {
    classNames = record.classNames
    allowsSeveralLabels = record.outputActivation.allowsSeveralLabels
    values =
      record.thresholds.isEmpty && !allowsSeveralLabels
      ? [Float](repeating: 0, count: classNames.count) : record.thresholdsOfClasses
    guard let text = record.thresholdChoice else {
      chosen = []
      if !allowsSeveralLabels {
        chosen = zip(classNames, values).filter { $0.1 > 0 }.map {
          ChosenThreshold(name: $0.0, threshold: $0.1)
        }
      }
      return
    }
    let own = Dictionary(uniqueKeysWithValues: zip(classNames, values))
    guard
      let chosen = try? JSONDecoder().decode([ChosenThreshold].self, from: Data(text.utf8)),
      chosen.allSatisfy({ own[$0.name] == $0.threshold })
    else {
      throw PipelineError.data(
        "\(source): how its thresholds were chosen is not understood, or of other thresholds. Choose"
          + " them again: thaw evaluate --threshold, --precision or --recall with --store-thresholds"
      )
    }
    self.chosen = chosen
  }

  /// Whether each photo has one label and classes have thresholds, so that the most probable one need not be
  /// the answer.
  package var decides: Bool { !allowsSeveralLabels && values.contains { $0 > 0 } }

  /// How one label is decided; only where photos have one.
  package var rule: DecisionRule { DecisionRule(values) }

  /// The classes that a photo has by its probabilities, the most probable first; of equal ones the first.
  /// One label a photo: one class, or none when it is undecided.
  package func labels(of probabilities: [Float]) -> [Int] {
    if !allowsSeveralLabels { return rule.answer(probabilities).map { [$0] } ?? [] }
    return probabilities.indices.filter { probabilities[$0] >= values[$0] }
      .sorted { (probabilities[$1], $0) < (probabilities[$0], $1) }
  }

  /// The same with other thresholds for some classes; one label a photo: 0 takes one away.
  package func with(_ thresholds: [ChosenThreshold]) -> ModelThresholds {
    var result = self
    for one in thresholds {
      guard let index = classNames.firstIndex(of: one.name) else { continue }
      result.values[index] = one.threshold
      result.chosen.removeAll { $0.name == one.name }
      if allowsSeveralLabels || one.threshold > 0 { result.chosen.append(one) }
    }
    let order = Dictionary(uniqueKeysWithValues: classNames.enumerated().map { ($1, $0) })
    result.chosen.sort { order[$0.name] ?? 0 < order[$1.name] ?? 0 }
    return result
  }

  /// Puts the thresholds into a record, for a model file.
  package func store(in record: inout ModelRecord) throws {
    record.thresholds = allowsSeveralLabels || decides ? values : []
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    record.thresholdChoice =
      chosen.isEmpty ? nil : String(decoding: try encoder.encode(chosen), as: UTF8.self)
  }

  /// What must be known of the thresholds in force, as sentences: nothing for a model that simply has those
  /// of its training.
  ///
  /// - Parameter look: how photos are looked at now.
  package func notes(look: ModelCalibration.Look) -> [String] {
    chosen.map { one in
      let name = "'\(one.name)' from a probability of \(Format.fixed(Double(one.threshold), 3)) on"
      guard let measure = one.measure, let wanted = one.wanted else { return name }
      let value = measure == .precision ? one.precision : one.recall
      let interval = measure == .precision ? one.precisionInterval : one.recallInterval
      var text = "\(name), chosen for a \(measure.rawValue) of \(Format.percent(wanted))"
      if let value, let interval, interval.count == 2 {
        text +=
          ": \(Format.percent(value)) on \(one.count ?? 0) \(one.split ?? "") photos (95 % interval"
          + " \(Format.percent(interval[0])) to \(Format.percent(interval[1])))"
      }
      if let chosenLook = one.look, chosenLook != look.name {
        text += "; for \(chosenLook), now there is \(look.name)"
      }
      return text
    }
  }
}

/// Thresholds that somebody asks for.
package struct ThresholdRequest: Sendable {
  /// From which probability on a class is answered; one label a photo: 0 for a class without.
  package var given: [(name: String, threshold: Float)] = []
  /// To be chosen by photos.
  package var wanted: [(name: String, measure: ChosenThreshold.Measure, value: Double)] = []

  package init() {}

  package var isEmpty: Bool { given.isEmpty && wanted.isEmpty }

  /// What is asked, with what photos choose.
  ///
  /// - Parameters:
  ///   - thresholds: of the model as it is.
  ///   - probabilities: [n, classes], of the photos that choose.
  ///   - split: what they are called.
  ///   - independent: how many of them say something of their own.
  /// - Throws: ``PipelineError/usage(_:)`` for a class that the model does not know, or that is asked for
  ///   twice; ``PipelineError/data(_:)`` when photos cannot choose what is wanted.
  package func thresholds(
    changing thresholds: ModelThresholds, _ probabilities: Tensor<Float>, _ labels: SampleLabels,
    split: String, look: ModelCalibration.Look, independent: Int, source: String
  ) throws -> ModelThresholds {
    try check(thresholds.classNames, source: source)
    var chosen = given.map { ChosenThreshold(name: $0.name, threshold: $0.threshold) }
    let classes = thresholds.classNames.count
    for (name, measure, value) in wanted {
      guard let column = thresholds.classNames.firstIndex(of: name) else { continue }
      let scores: [Float]
      let isPositive: [Bool]
      switch labels {
      case .single(let labels):
        scores = labels.indices.map { probabilities[$0 * classes + column] }
        isPositive = labels.map { $0 == column }
      case .several(let rows): (scores, isPositive) = rows.known(column, probabilities)
      }
      do throws(ChosenThreshold.Failure) {
        chosen.append(
          try ChosenThreshold(
            name: name, measure, of: value, scores: scores, isPositive: isPositive, split: split,
            look: look.name, independent: Double(independent) / Double(max(labels.count, 1))))
      } catch {
        throw PipelineError.data(
          "\(source): \(error.reason). Ask for less, or give a number: --threshold \(name)=0.8")
      }
    }
    return thresholds.with(chosen)
  }

  /// What is given, where no photos choose.
  ///
  /// - Throws: as the other.
  package func thresholds(
    changing thresholds: ModelThresholds, source: String
  ) throws -> ModelThresholds {
    try check(thresholds.classNames, source: source)
    return thresholds.with(
      given.map { ChosenThreshold(name: $0.name, threshold: $0.threshold) })
  }

  private func check(_ known: [String], source: String) throws(PipelineError) {
    let names = given.map(\.name) + wanted.map(\.name)
    if let name = names.first(where: { !known.contains($0) }) {
      throw .usage(
        "the model \(source) does not know '\(name)', for which a threshold is asked. It knows"
          + " \(known.prefix(10).joined(separator: ", "))\(known.count > 10 ? ", …" : "").")
    }
    if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw .usage("'\(name)' is given several thresholds. Give one for each class.")
    }
    if known.contains(ModelThresholds.undecidedLabel), !isEmpty {
      throw .usage(
        "\(source) has a class '\(ModelThresholds.undecidedLabel)' of its own, which is what photos"
          + " below every threshold are called. Rename the class to use thresholds.")
    }
  }
}
