// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
package import ThawDiagnosis
package import ThawInference
package import ThawTraining

/// What a report shows: a run's results themselves, as they were computed or read from its files.
///
/// A part that is nil or empty is left out of the page. All text is taken as it is and escaped when
/// written: names and paths may be hostile.
package struct ReportContent: Sendable {
  /// Title of the page, such as the recipe's name.
  package var title: String
  /// When the page was written, in seconds since 1970.
  package var date: Int?
  /// The photos, and what is odd about them.
  package var manifest: Manifest?
  /// The page with a look at the photos, beside this one; nil when there is none.
  package var photosPage: String?
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
  /// The head alone and the fine-tuned network, on the same photos.
  package var comparison: Comparison?
  /// The model before the last new classes, on the same photos.
  package var earlier: Earlier?
  /// What photos without labels were worth to the head; nil without any.
  package var unlabelled: UnlabelledResult?
  /// The most confident mistakes, worst first.
  package var mistakes: [Answer] = []
  /// Right answers that were given with hesitation, the least sure first.
  package var unsure: [Answer] = []
  /// Right answers that were given without, from as many classes as there is room for.
  package var sure: [Answer] = []
  /// What `thaw diagnose batchnorm` found.
  package var batchNorm: BatchNormDiagnosis?
  /// What `thaw diagnose preprocessing` found.
  package var preprocessing: PreprocessingDiagnosis?
  /// What `thaw diagnose fit` found.
  package var fit: FitFindings?
  /// What `thaw diagnose errors` found.
  package var errors: ErrorAnalysis?
  /// What `thaw diagnose shortcuts` found.
  package var shortcuts: ShortcutDiagnosis?
  /// Where photos lie to each other; see ``PhotoMap``.
  package var map: PhotoMap?
  /// What `thaw cross-validate` found.
  package var crossValidation: CrossValidationResult?
  /// Small PNG or JPEG files of photos, by the path that results name them with; a photo without
  /// one, or with other bytes, is shown as "no preview".
  package var thumbnails: [String: [UInt8]] = [:]
  /// JPEG bytes by a mistake's path: where in the photo something spoke for the wrong class.
  package var evidence: [String: [UInt8]] = [:]
  /// Training photos as augmentation varies them.
  package var augmented: [AugmentedPhoto] = []
  /// How to use the model.
  package var usage: Usage?
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

  /// What was answered to a photo.
  package struct Answer: Sendable {
    /// Its path, below the dataset's root.
    package var path: String
    /// Predicted class.
    package var predicted: String
    /// The class it is labelled with.
    package var truth: String
    /// Probability of the predicted class, 0 to 1.
    package var probability: Double
    /// The class that came second, with its probability; nil with one class.
    package var second: (name: String, probability: Double)?

    /// An answer.
    package init(
      path: String, predicted: String, truth: String, probability: Double,
      second: (name: String, probability: Double)? = nil
    ) {
      self.path = path
      self.predicted = predicted
      self.truth = truth
      self.probability = probability
      self.second = second
    }
  }

  /// What fine-tuning changed, one view a photo.
  package struct Comparison: Sendable {
    /// The head alone, on the backbone as it was published.
    package var head: Evaluation
    /// The network that was kept, on the same photos.
    package var tuned: Evaluation
    /// Photos that the head had wrong and fine-tuning put right.
    package var gained: Int
    /// Photos that the head had right and fine-tuning lost.
    package var lost: Int

    /// A comparison.
    package init(head: Evaluation, tuned: Evaluation, gained: Int, lost: Int) {
      self.head = head
      self.tuned = tuned
      self.gained = gained
      self.lost = lost
    }
  }

  /// What new classes changed for those that were there before.
  package struct Earlier: Sendable {
    /// Right answers to the photos of one class.
    package struct ClassCount: Sendable {
      package let name: String
      package private(set) var photos = 0
      package private(set) var before = 0
      package private(set) var now = 0

      /// Of no photo yet.
      package init(name: String) { self.name = name }

      /// Counts a photo.
      package mutating func add(before wasRight: Bool, now isRight: Bool) {
        photos += 1
        before += wasRight ? 1 : 0
        now += isRight ? 1 : 0
      }

      /// The part of the photos that `right` is.
      func share(_ right: Int) -> Double { Double(right) / Double(photos) }
    }

    /// In the order of the network's outputs.
    package let classes: [ClassCount]
    /// The new classes.
    package let added: [String]

    /// A comparison.
    package init(classes: [ClassCount], added: [String]) {
      (self.classes, self.added) = (classes, added)
    }
  }

  /// A training photo and what augmentation makes of it, as PNG or JPEG files.
  package struct AugmentedPhoto: Sendable {
    /// Its path, below the dataset's root.
    package var path: String
    /// The class it is labelled with.
    package var truth: String
    /// As the network sees it without augmentation.
    package var plain: [UInt8]
    /// As it sees it in the first epochs.
    package var draws: [[UInt8]]

    /// A photo and its variations.
    package init(path: String, truth: String, plain: [UInt8], draws: [[UInt8]]) {
      self.path = path
      self.truth = truth
      self.plain = plain
      self.draws = draws
    }
  }

  /// How to use the model.
  package struct Usage: Sendable {
    /// Path of the model file, its bytes.
    package var model: [UInt8]

    /// For the file at `model`.
    package init(model: [UInt8]) { self.model = model }
  }

  /// How to get the same numbers again.
  package struct Reproduction: Sendable {
    /// The whole command line, quoted for a shell.
    package var command: String
    /// Why the command may give others; nil when it does not.
    package var caveat: String?
    /// Seed, threads, versions, times: name and value.
    package var facts: [(String, String)]

    /// A command and what its result depends on.
    package init(command: String, caveat: String? = nil, facts: [(String, String)] = []) {
      self.command = command
      self.caveat = caveat
      self.facts = facts
    }
  }
}
