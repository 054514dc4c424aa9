// SPDX-License-Identifier: Apache-2.0

/// Everything a report can say, as plain values; each section that is nil or empty is left out.
///
/// All text is taken as it is and escaped when written: names and paths may be hostile.
public struct ReportContent: Sendable {
  /// Title of the page, such as the run's name.
  public var title: String
  /// A line below the title, such as the time and the data folder.
  public var subtitle: String?
  /// The result in one number and one sentence.
  public var headline: Headline?
  /// Things the reader must know before trusting the result, one sentence each.
  public var warnings: [String] = []
  /// What the network learnt from.
  public var data: DataSection?
  /// The backbone.
  public var model: ModelSection?
  /// Which layer groups trained.
  public var freezePlan: FreezePlanSection?
  /// Whether photos were varied in training.
  public var augmentation: AugmentationSection?
  /// Losses and accuracies over the epochs.
  public var training: TrainingSection?
  /// Learning rate over the steps.
  public var learningRate: LearningRateSection?
  /// The learning-rate finder's sweep.
  public var learningRateFinder: LearningRateFinderSection?
  /// Metrics on held-out photos.
  public var evaluation: EvaluationSection?
  /// What was taken for what.
  public var confusion: ConfusionMatrix?
  /// Whether probabilities mean what they say.
  public var calibration: [CalibrationBin] = []
  /// The most confident mistakes, worst first.
  public var mistakes: [Mistake] = []
  /// Results of `thaw diagnose batchnorm`.
  public var batchNorm: BatchNormSection?
  /// Results of `thaw diagnose`.
  public var diagnoses: [DiagnosisResult] = []
  /// Photos whose labels look wrong, the most suspicious first.
  public var suspects: [Suspect] = []
  /// How to get the same numbers again.
  public var reproduction: ReproductionSection?

  /// A report with nothing but a title.
  public init(title: String, subtitle: String? = nil) {
    self.title = title
    self.subtitle = subtitle
  }
}

extension ReportContent {
  /// The result in one number and one sentence.
  public struct Headline: Sendable {
    /// Photos predicted right.
    public var correct: Int
    /// Photos predicted.
    public var count: Int
    /// What they are, such as "held-out test photos".
    public var what: String
    /// What to make of it.
    public var verdict: String
    /// Where the true accuracy lies with 95 % confidence, 0 to 1.
    public var interval: ClosedRange<Double>?

    /// `correct` of `count`.
    public init(
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
  public enum Status: String, Sendable {
    /// As it should be.
    case good = "good"
    /// Worth a look.
    case warning = "check"
    /// Wrong.
    case problem = "problem"
  }

  /// A table of text.
  public struct Table: Sendable {
    /// Column titles.
    public var columns: [String]
    /// Cells, one a column in each row.
    public var rows: [[String]]
    /// Indices of the columns aligned to the right.
    public var numericColumns: Set<Int>

    /// A table; every row has as many cells as there are columns.
    public init(columns: [String], rows: [[String]], numericColumns: Set<Int> = []) {
      precondition(
        rows.allSatisfy { $0.count == columns.count },
        "Every row of a report's table has its \(columns.count) columns.")
      self.columns = columns
      self.rows = rows
      self.numericColumns = numericColumns
    }
  }

  /// One bin of a reliability diagram.
  public struct CalibrationBin: Sendable {
    /// Mean probability of the predicted class, 0 to 1.
    public var confidence: Double
    /// Share of those predictions that were right, 0 to 1.
    public var accuracy: Double
    /// Photos in the bin; empty bins are left out.
    public var count: Int

    /// A bin.
    public init(confidence: Double, accuracy: Double, count: Int) {
      self.confidence = confidence
      self.accuracy = accuracy
      self.count = count
    }
  }

  /// A photo predicted wrong.
  public struct Mistake: Sendable {
    /// Its path.
    public var path: String
    /// Predicted class.
    public var predicted: String
    /// True class.
    public var truth: String
    /// Probability of the predicted class, 0 to 1.
    public var probability: Double
    /// Probability of the true class, 0 to 1.
    public var truthProbability: Double?
    /// A small PNG or JPEG, whole file; anything else is shown as "no preview".
    public var thumbnail: [UInt8]

    /// A mistake.
    public init(
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
  public struct DiagnosisResult: Sendable {
    /// What was looked at, such as "Batch normalisation".
    public var title: String
    /// How bad it is.
    public var status: Status
    /// What was found, in one sentence.
    public var verdict: String
    /// What to do.
    public var recommendation: String?
    /// The evidence.
    public var table: Table?

    /// A finding.
    public init(
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
