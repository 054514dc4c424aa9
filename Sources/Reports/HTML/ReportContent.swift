// SPDX-License-Identifier: Apache-2.0

package import ThawTraining

/// Everything a report can say, as plain values; each section that is nil or empty is left out.
///
/// All text is taken as it is and escaped when written: names and paths may be hostile.
package struct ReportContent: Sendable {
  /// Title of the page, such as the run's name.
  package var title: String
  /// A line below the title, such as the time and the data folder.
  package var subtitle: String?
  /// The result in one number and one sentence.
  package var headline: Headline?
  /// Things the reader must know before trusting the result, one sentence each.
  package var warnings: [String] = []
  /// What the network learnt from.
  package var data: DataSection?
  /// The backbone.
  package var model: ModelSection?
  /// Which layer groups trained.
  package var freezePlan: FreezePlanSection?
  /// Whether photos were varied in training.
  package var augmentation: AugmentationSection?
  /// Losses and accuracies over the epochs.
  package var training: TrainingSection?
  /// Learning rate over the steps.
  package var learningRate: LearningRateSection?
  /// The learning-rate finder's sweep.
  package var learningRateFinder: LearningRateFinderSection?
  /// Metrics on held-out photos.
  package var evaluation: EvaluationSection?
  /// What was taken for what.
  package var confusion: ConfusionMatrix?
  /// Whether probabilities mean what they say.
  package var calibration: [CalibrationBin] = []
  /// The most confident mistakes, worst first.
  package var mistakes: [Mistake] = []
  /// Results of `thaw diagnose batchnorm`.
  package var batchNorm: BatchNormSection?
  /// Results of `thaw diagnose`.
  package var diagnoses: [DiagnosisResult] = []
  /// Photos whose labels look wrong, the most suspicious first.
  package var suspects: [Suspect] = []
  /// How to get the same numbers again.
  package var reproduction: ReproductionSection?

  /// A report with nothing but a title.
  package init(title: String, subtitle: String? = nil) {
    self.title = title
    self.subtitle = subtitle
  }
}

extension ReportContent {
  /// The result in one number and one sentence.
  package struct Headline: Sendable {
    /// Photos predicted right.
    package var correct: Int
    /// Photos predicted.
    package var count: Int
    /// What they are, such as "held-out test photos".
    package var what: String
    /// What to make of it.
    package var verdict: String
    /// Where the true accuracy lies with 95 % confidence, 0 to 1.
    package var interval: ClosedRange<Double>?

    /// `correct` of `count`.
    package init(
      correct: Int, count: Int, what: String, verdict: String, interval: ClosedRange<Double>? = nil
    ) {
      self.correct = correct
      self.count = count
      self.what = what
      self.verdict = verdict
      self.interval = interval
    }
  }

  /// Whether something is as it should be; shown as a word, not by colour alone.
  package enum Status: String, Sendable {
    /// As it should be.
    case good = "good"
    /// Worth a look.
    case warning = "check"
    /// Wrong.
    case problem = "problem"
  }

  /// A table of text.
  package struct Table: Sendable {
    /// Column titles.
    package var columns: [String]
    /// Cells, one a column in each row.
    package var rows: [[String]]
    /// Indices of the columns aligned to the right.
    package var numericColumns: Set<Int>

    /// A table; every row has as many cells as there are columns.
    package init(columns: [String], rows: [[String]], numericColumns: Set<Int> = []) {
      precondition(
        rows.allSatisfy { $0.count == columns.count },
        "Every row of a report's table has its \(columns.count) columns.")
      self.columns = columns
      self.rows = rows
      self.numericColumns = numericColumns
    }
  }

  /// One bin of a reliability diagram.
  package struct CalibrationBin: Sendable {
    /// Mean probability of the predicted class, 0 to 1.
    package var confidence: Double
    /// Share of those predictions that were right, 0 to 1.
    package var accuracy: Double
    /// Photos in the bin; empty bins are left out.
    package var count: Int

    /// A bin.
    package init(confidence: Double, accuracy: Double, count: Int) {
      self.confidence = confidence
      self.accuracy = accuracy
      self.count = count
    }
  }

  /// A photo predicted wrong.
  package struct Mistake: Sendable {
    /// Its path.
    package var path: String
    /// Predicted class.
    package var predicted: String
    /// True class.
    package var truth: String
    /// Probability of the predicted class, 0 to 1.
    package var probability: Double
    /// Probability of the true class, 0 to 1.
    package var truthProbability: Double?
    /// A small PNG or JPEG, whole file; anything else is shown as "no preview".
    package var thumbnail: [UInt8]

    /// A mistake.
    package init(
      path: String, predicted: String, truth: String, probability: Double,
      truthProbability: Double? = nil, thumbnail: [UInt8] = []
    ) {
      self.path = path
      self.predicted = predicted
      self.truth = truth
      self.probability = probability
      self.truthProbability = truthProbability
      self.thumbnail = thumbnail
    }
  }

  /// What a diagnosis found.
  package struct DiagnosisResult: Sendable {
    /// What was looked at, such as "Batch normalisation".
    package var title: String
    /// How bad it is.
    package var status: Status
    /// What was found, in one sentence.
    package var verdict: String
    /// What to do.
    package var recommendation: String?
    /// The evidence.
    package var table: Table?

    /// A finding.
    package init(
      title: String, status: Status, verdict: String, recommendation: String? = nil,
      table: Table? = nil
    ) {
      self.title = title
      self.status = status
      self.verdict = verdict
      self.recommendation = recommendation
      self.table = table
    }
  }
}
