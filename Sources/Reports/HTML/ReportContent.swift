// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
package import ThawDiagnosis
package import ThawTraining

/// What a report shows: a run's results themselves, as they were computed or read from its files.
///
/// A part that is nil or empty is left out of the page. All text is taken as it is and escaped when
/// written: names and paths may be hostile.
package struct ReportContent: Sendable {
  /// Title of the page, such as the recipe's name.
  package var title: String
  /// The photos, and what is odd about them.
  package var manifest: Manifest?
  /// The network, and how it was trained.
  package var network: ReportedNetwork?
  /// Every epoch of the training; empty for a solver without.
  package var history: [EpochRecord] = []
  /// The learning-rate finder's sweep.
  package var search: LearningRateSearch?
  /// The evaluation that the headline, the confusions and the mistakes are of.
  package var evaluation: Evaluation?
  /// The evaluations of its split that are compared.
  package var looks: [Look] = []
  /// The most confident mistakes, worst first.
  package var mistakes: [Mistake] = []
  /// What `thaw diagnose batchnorm` found.
  package var batchNorm: BatchNormDiagnosis?
  /// What `thaw diagnose preprocessing` found.
  package var preprocessing: PreprocessingDiagnosis?
  /// What `thaw diagnose fit` found.
  package var fit: FitFindings?
  /// Small PNG or JPEG files of photos, by the path that results name them with; a photo without
  /// one, or with other bytes, is shown as "no preview".
  package var thumbnails: [String: [UInt8]] = [:]
  /// How to get the same numbers again.
  package var reproduction: Reproduction?

  /// A report with nothing but a title.
  package init(title: String) { self.title = title }
}

extension ReportContent {
  /// One way of looking at the photos, judged.
  package struct Look: Sendable {
    /// Such as "one view" or "8 views averaged (TTA)".
    package var name: String
    /// How good it is.
    package var evaluation: Evaluation

    /// A look.
    package init(name: String, evaluation: Evaluation) {
      self.name = name
      self.evaluation = evaluation
    }
  }

  /// A photo predicted wrong.
  package struct Mistake: Sendable {
    /// Its path, below the dataset's root.
    package var path: String
    /// Predicted class.
    package var predicted: String
    /// True class.
    package var truth: String
    /// Probability of the predicted class, 0 to 1.
    package var probability: Double
    /// Probability of the true class, 0 to 1.
    package var truthProbability: Double

    /// A mistake.
    package init(
      path: String, predicted: String, truth: String, probability: Double, truthProbability: Double
    ) {
      self.path = path
      self.predicted = predicted
      self.truth = truth
      self.probability = probability
      self.truthProbability = truthProbability
    }
  }

  /// How to get the same numbers again.
  package struct Reproduction: Sendable {
    /// The whole command line.
    package var command: String
    /// Seed, threads, versions, times: name and value.
    package var facts: [(String, String)]

    /// A command and what its result depends on.
    package init(command: String, facts: [(String, String)] = []) {
      self.command = command
      self.facts = facts
    }
  }
}
