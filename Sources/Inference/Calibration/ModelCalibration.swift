// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
package import ThawCheckpoints
import ThawConsole
package import ThawImages
import ThawNetwork
package import ThawTensors
package import ThawTraining

/// What a model file says of how sure its answers are, chosen by the validation photos of its training:
/// the temperature of its logits, and the scores that sets of labels go by.
///
/// It is fitted for the answers that are given: for one look at a photo, and where the recipe asks for
/// several looks or for snapshots for their averages as well. Only models of one label a photo have it: the
/// sigmoids of several are compared with thresholds that the same photos chose, and one temperature
/// over classes of very different frequency would calibrate none of them.
package struct ModelCalibration: Sendable, Equatable, Codable {
  /// How the answer to one photo comes about.
  package struct Look: Sendable, Equatable, Codable {
    /// The views, as ``TestTimeAugmentation/description`` says them; nil for one look at the centre.
    package var views: String?
    /// Whether the snapshots of the training answer together.
    package var snapshots: Bool

    package init(_ look: TestTimeAugmentation, snapshots: Bool) {
      views = look.views == [.plain(.center)] ? nil : look.description
      self.snapshots = snapshots
    }

    /// For people.
    package var name: String {
      (views ?? "one look at each photo") + (snapshots ? ", snapshots together" : "")
    }
  }

  /// What was fitted for one way of answering.
  package struct Fitted: Sendable, Equatable, Codable {
    package let look: Look
    package let temperature: Temperature
    package let sets: ConformalSets

    package init(look: Look, temperature: Temperature, sets: ConformalSets) {
      (self.look, self.temperature, self.sets) = (look, temperature, sets)
    }
  }

  /// For one look; what other programs need.
  package let temperature: Temperature
  /// The first is the one look.
  package let fitted: [Fitted]

  /// - Parameter fitted: that of one look first.
  package init?(_ fitted: [Fitted]) {
    guard let first = fitted.first, first.look.views == nil, !first.look.snapshots else {
      return nil
    }
    temperature = first.temperature
    self.fitted = fitted
  }

  /// What a model file has; nil when nothing was calibrated.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when it is damaged.
  package init?(of record: ModelRecord, source: String) throws {
    guard let text = record.calibration, !record.outputActivation.allowsSeveralLabels else {
      return nil
    }
    do {
      self = try JSONDecoder().decode(ModelCalibration.self, from: Data(text.utf8))
    } catch {
      throw PipelineError.data(
        "\(source): its calibration is not understood. Use the version of Thaw that wrote it"
          + " (\(record.thawVersion)), or train again.")
    }
    guard fitted.first?.look.views == nil, fitted.first?.temperature == temperature else {
      throw PipelineError.data(
        "\(source): its calibration names two temperatures for one look. Train again.")
    }
  }

  /// The document for a model file.
  package func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// What was fitted for a way of answering, and whether it was for that very one: otherwise it is that of
  /// one look, which is the nearest there is. Snapshots are other networks: nil for them unless they were
  /// fitted.
  package func fitted(for look: Look) -> (fitted: Fitted, isExact: Bool)? {
    if let exact = fitted.first(where: { $0.look == look }) { return (exact, true) }
    return fitted.first { $0.look.snapshots == look.snapshots }.map { ($0, false) }
  }
}

extension ModelCalibration.Fitted {
  /// Chooses a temperature and scores of sets by photos that nothing was trained on.
  ///
  /// - Parameters:
  ///   - members: for each model, the logits of all photos for each view, [photos, classes].
  ///   - independent: how many photos say something of their own.
  package init(
    _ look: TestTimeAugmentation, members: [[Tensor<Float>]], labels: [Int], independent: Int
  ) {
    let averaged = Probabilities.mean(of: members.map { look.probabilities(ofLogits: $0) })
    let only = members.count == 1 && members[0].count == 1 ? members[0][0] : nil
    let temperature = Temperature.fitted(
      only ?? Temperature.logarithms(of: averaged), labels: labels, independent: independent)
    self.init(
      look: ModelCalibration.Look(look, snapshots: members.count > 1), temperature: temperature,
      sets: ConformalSets(temperature.probabilities(of: averaged), labels: labels))
  }
}
