// SPDX-License-Identifier: Apache-2.0

extension ReportContent {
  /// What the network learnt from and was measured on.
  public struct DataSection: Sendable {
    /// Folder of the photos.
    public var root: String?
    /// Names of the splits, such as train, valid, test.
    public var splits: [String]
    /// Each class with its photos in each split.
    public var classes: [ClassCount]
    /// Photos that could not be used.
    public var badFiles: [BadFile]
    /// Photos that occur more than once.
    public var duplicates: [Duplicate]

    /// Data; every class has a count for every split.
    public init(
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
  public struct ClassCount: Sendable {
    /// The class.
    public var name: String
    /// Photos in each split.
    public var counts: [Int]
    /// Photos in all splits.
    public var total: Int { counts.reduce(0, +) }

    /// A class's counts.
    public init(_ name: String, _ counts: [Int]) {
      self.name = name
      self.counts = counts
    }
  }

  /// A photo that could not be used.
  public struct BadFile: Sendable {
    /// Its path.
    public var path: String
    /// Why.
    public var reason: String

    /// A bad file.
    public init(path: String, reason: String) {
      self.path = path
      self.reason = reason
    }
  }

  /// A photo that occurs more than once.
  public struct Duplicate: Sendable {
    /// All its paths.
    public var paths: [String]
    /// Whether they are in different splits, so that the measured accuracy is too good.
    public var isLeak: Bool
    /// What was done about it or what it means.
    public var note: String

    /// A photo under several paths.
    public init(paths: [String], isLeak: Bool, note: String = "") {
      self.paths = paths
      self.isLeak = isLeak
      self.note = note
    }
  }

  /// The backbone and what it expects.
  public struct ModelSection: Sendable {
    /// Its name.
    public var name: String
    /// All its parameters.
    public var parameters: Int
    /// Those that train in the last stage.
    public var trainableParameters: Int?
    /// Licence of the weights.
    public var licence: String?
    /// Where they come from.
    public var source: String?
    /// The preprocessing contract in one line.
    public var preprocessing: String?
    /// More facts, name and value.
    public var details: [(String, String)]

    /// A backbone.
    public init(
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
  public struct FreezePlanSection: Sendable {
    /// One layer group.
    public struct Row: Sendable {
      /// The group.
      public var group: String
      /// Its parameters.
      public var parameters: Int
      /// Whether they train.
      public var isTrainable: Bool
      /// Mode of its batch norms; nil when it has none.
      public var batchNorm: String?
      /// Its (largest) learning rate; nil when it does not train.
      public var learningRate: Double?

      /// A group.
      public init(
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
    public var rows: [Row]
    /// A sentence about the plan, such as where the feature cache cuts.
    public var note: String?

    /// A plan.
    public init(rows: [Row], note: String? = nil) {
      self.rows = rows
      self.note = note
    }
  }

  /// Whether photos were varied in training: people believe it is on when a cache turned it off.
  public struct AugmentationSection: Sendable {
    /// Whether the network saw varied photos.
    public var isActive: Bool
    /// What was active or why nothing was, in one sentence.
    public var statement: String
    /// Each operation with its range.
    public var operations: [(String, String)]

    /// A statement.
    public init(isActive: Bool, statement: String, operations: [(String, String)] = []) {
      self.isActive = isActive
      self.statement = statement
      self.operations = operations
    }
  }

  /// How to get the same numbers again.
  public struct ReproductionSection: Sendable {
    /// The whole command line.
    public var command: String
    /// Seed, threads, versions, times: name and value.
    public var facts: [(String, String)]

    /// A recipe.
    public init(command: String, facts: [(String, String)] = []) {
      self.command = command
      self.facts = facts
    }
  }
}
