// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// What the network learnt from and was measured on.
  package struct DataSection: Sendable {
    /// Folder of the photos.
    package var root: String?
    /// Names of the splits, such as train, valid, test.
    package var splits: [String]
    /// Each class with its photos in each split.
    package var classes: [ClassCount]
    /// Photos that could not be used.
    package var badFiles: [BadFile]
    /// Photos that occur more than once.
    package var duplicates: [Duplicate]

    /// Data; every class has a count for every split.
    package init(
      root: String? = nil, splits: [String], classes: [ClassCount], badFiles: [BadFile] = [],
      duplicates: [Duplicate] = []
    ) {
      precondition(
        classes.allSatisfy { $0.counts.count == splits.count },
        "Every class has a count for each of the \(splits.count) splits.")
      self.root = root
      self.splits = splits
      self.classes = classes
      self.badFiles = badFiles
      self.duplicates = duplicates
    }
  }

  /// Photos of one class.
  package struct ClassCount: Sendable {
    /// The class.
    package var name: String
    /// Photos in each split.
    package var counts: [Int]
    /// Photos in all splits.
    package var total: Int { counts.reduce(0, +) }

    /// A class's counts.
    package init(_ name: String, _ counts: [Int]) {
      self.name = name
      self.counts = counts
    }
  }

  /// A photo that could not be used.
  package struct BadFile: Sendable {
    /// Its path.
    package var path: String
    /// Why.
    package var reason: String

    /// A bad file.
    package init(path: String, reason: String) {
      self.path = path
      self.reason = reason
    }
  }

  /// A photo that occurs more than once.
  package struct Duplicate: Sendable {
    /// All its paths.
    package var paths: [String]
    /// Whether they are in different splits, so that the measured accuracy is too good.
    package var isLeak: Bool
    /// What was done about it or what it means.
    package var note: String

    /// A photo under several paths.
    package init(paths: [String], isLeak: Bool, note: String = "") {
      self.paths = paths
      self.isLeak = isLeak
      self.note = note
    }
  }

  /// The backbone and what it expects.
  package struct ModelSection: Sendable {
    /// Its name.
    package var name: String
    /// All its parameters.
    package var parameters: Int
    /// Those that train in the last stage.
    package var trainableParameters: Int?
    /// Licence of the weights.
    package var licence: String?
    /// Where they come from.
    package var source: String?
    /// The preprocessing contract in one line.
    package var preprocessing: String?
    /// More facts, name and value.
    package var details: [(String, String)]

    /// A backbone.
    package init(
      name: String, parameters: Int, trainableParameters: Int? = nil, licence: String? = nil,
      source: String? = nil, preprocessing: String? = nil, details: [(String, String)] = []
    ) {
      self.name = name
      self.parameters = parameters
      self.trainableParameters = trainableParameters
      self.licence = licence
      self.source = source
      self.preprocessing = preprocessing
      self.details = details
    }
  }

  /// Which layer groups trained, and how.
  package struct FreezePlanSection: Sendable {
    /// One layer group.
    package struct Row: Sendable {
      /// The group.
      package var group: String
      /// Its parameters.
      package var parameters: Int
      /// Whether they train.
      package var isTrainable: Bool
      /// Mode of its batch norms; nil when it has none.
      package var batchNorm: String?
      /// Its (largest) learning rate; nil when it does not train.
      package var learningRate: Double?

      /// A group.
      package init(
        group: String, parameters: Int, isTrainable: Bool, batchNorm: String? = nil,
        learningRate: Double? = nil
      ) {
        self.group = group
        self.parameters = parameters
        self.isTrainable = isTrainable
        self.batchNorm = batchNorm
        self.learningRate = learningRate
      }
    }

    /// The groups, from the pixels to the classes.
    package var rows: [Row]
    /// A sentence about the plan, such as where the feature cache cuts.
    package var note: String?

    /// A plan.
    package init(rows: [Row], note: String? = nil) {
      self.rows = rows
      self.note = note
    }
  }

  /// Whether photos were varied in training: people believe it is on when a cache turned it off.
  package struct AugmentationSection: Sendable {
    /// Whether the network saw varied photos.
    package var isActive: Bool
    /// What was active or why nothing was, in one sentence.
    package var statement: String
    /// Each operation with its range.
    package var operations: [(String, String)]

    /// A statement.
    package init(isActive: Bool, statement: String, operations: [(String, String)] = []) {
      self.isActive = isActive
      self.statement = statement
      self.operations = operations
    }
  }

  /// How to get the same numbers again.
  package struct ReproductionSection: Sendable {
    /// The whole command line.
    package var command: String
    /// Seed, threads, versions, times: name and value.
    package var facts: [(String, String)]

    /// A recipe.
    package init(command: String, facts: [(String, String)] = []) {
      self.command = command
      self.facts = facts
    }
  }
}
