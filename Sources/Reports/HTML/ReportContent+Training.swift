// SPDX-License-Identifier: Apache-2.0

package import ThawTraining

extension ReportContent {
  /// What happened in training, one value an epoch (or other unit) in each list that is not empty.
  package struct TrainingSection: Sendable {
    /// Training loss.
    package var trainLoss: [Double]
    /// Validation loss.
    package var validLoss: [Double]
    /// Training accuracy, 0 to 1.
    package var trainAccuracy: [Double]
    /// Validation accuracy, 0 to 1.
    package var validAccuracy: [Double]
    /// The epoch with the lowest validation loss, counted from 1.
    package var bestEpoch: Int?
    /// Epochs at whose start a schedule restarted or a stage began, with an optional label.
    package var marks: [(epoch: Double, label: String?)]
    /// A sentence on how it ended, such as early stopping.
    package var note: String?

    /// Curves.
    package init(
      trainLoss: [Double] = [], validLoss: [Double] = [], trainAccuracy: [Double] = [],
      validAccuracy: [Double] = [], bestEpoch: Int? = nil,
      marks: [(epoch: Double, label: String?)] = [], note: String? = nil
    ) {
      self.trainLoss = trainLoss
      self.validLoss = validLoss
      self.trainAccuracy = trainAccuracy
      self.validAccuracy = validAccuracy
      self.bestEpoch = bestEpoch
      self.marks = marks
      self.note = note
    }
  }

  /// The learning rate as it was, step by step.
  package struct LearningRateSection: Sendable {
    /// Name and rates of each layer group, one a step.
    package var groups: [(name: String, rates: [Double])]
    /// Steps at which the schedule restarted.
    package var restarts: [Int]
    /// Name and settings of the schedule.
    package var schedule: String?

    /// Rates.
    package init(
      groups: [(name: String, rates: [Double])], restarts: [Int] = [], schedule: String? = nil
    ) {
      self.groups = groups
      self.restarts = restarts
      self.schedule = schedule
    }
  }

  /// A sweep of learning rates.
  package struct LearningRateFinderSection: Sendable {
    /// Rates tried, ascending.
    package var rates: [Double]
    /// Loss at each.
    package var losses: [Double]
    /// Smoothed loss at each; may be empty.
    package var smoothedLosses: [Double]
    /// Suggestions: what kind, and the rate.
    package var suggestions: [(name: String, rate: Double)]
    /// The rate that was used.
    package var chosen: Double?

    /// A sweep; the lists that are not empty are equally long.
    package init(
      rates: [Double], losses: [Double], smoothedLosses: [Double] = [],
      suggestions: [(name: String, rate: Double)] = [], chosen: Double? = nil
    ) {
      precondition(
        losses.count == rates.count && [0, rates.count].contains(smoothedLosses.count),
        "A sweep has one loss a rate: \(rates.count), \(losses.count), \(smoothedLosses.count).")
      self.rates = rates
      self.losses = losses
      self.smoothedLosses = smoothedLosses
      self.suggestions = suggestions
      self.chosen = chosen
    }
  }

  /// Metrics on held-out photos.
  package struct EvaluationSection: Sendable {
    /// One way of predicting.
    package struct Variant: Sendable {
      /// Such as "one view" or "8 views (TTA)".
      package var name: String
      /// Photos.
      package var count: Int
      /// Share predicted right, 0 to 1.
      package var accuracy: Double
      /// Where it lies with 95 % confidence, 0 to 1.
      package var accuracyInterval: ClosedRange<Double>?
      /// Mean cross-entropy.
      package var loss: Double?
      /// Unweighted mean of the classes' F1, 0 to 1.
      package var macroF1: Double?
      /// Mean one-vs-rest area under the ROC curve, 0 to 1.
      package var auc: Double?

      /// A variant's metrics.
      package init(
        name: String, count: Int, accuracy: Double, accuracyInterval: ClosedRange<Double>? = nil,
        loss: Double? = nil, macroF1: Double? = nil, auc: Double? = nil
      ) {
        self.name = name
        self.count = count
        self.accuracy = accuracy
        self.accuracyInterval = accuracyInterval
        self.loss = loss
        self.macroF1 = macroF1
        self.auc = auc
      }
    }

    /// Which photos, such as "test".
    package var split: String
    /// With and without test-time augmentation.
    package var variants: [Variant]
    /// Metrics of each class.
    package var classes: [ConfusionMatrix.ClassMetrics]

    /// Metrics on `split`.
    package init(
      split: String, variants: [Variant], classes: [ConfusionMatrix.ClassMetrics] = []
    ) {
      self.split = split
      self.variants = variants
      self.classes = classes
    }
  }
}
