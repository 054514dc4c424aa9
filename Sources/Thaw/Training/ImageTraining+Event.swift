// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

extension ImageTraining {
  /// One of the stages that a training goes through, in this order.
  public enum Stage: String, Sendable, Hashable, CaseIterable {
    /// Photos are found, checked and split.
    case prepare
    /// The backbone's weights are fetched if they are not here.
    case fetch
    /// What the frozen layers make of every photo is computed once.
    case cache
    /// The head trains.
    case train
    /// The backbone is thawed and trains; left out when ``Options/fineTunes`` is false.
    case fineTune
    /// The model is judged on photos it was not trained on.
    case evaluate
    /// The report is written.
    case report
  }

  /// What a training reports while it runs.
  public enum Event: Sendable {
    /// A stage begins.
    case began(Stage)
    /// So many photos were found, of these classes, in the order of the model's outputs.
    case prepared(photos: Int, classNames: [String])
    /// How far the work called `label` is; at most ten a second.
    case progress(Progress)
    /// A pass over the training photos has ended.
    case epoch(Epoch)
    /// A remark about what happens.
    case note(String)
    /// Something that deserves a look; never ends a training.
    case warning(String)
  }

  /// How far a piece of work is.
  public struct Progress: Sendable, Hashable {
    /// For people, for example `Fine-tuning`.
    public let label: String
    /// Units done.
    public let completed: Int
    /// Units in all; nil while unknown.
    public let total: Int?
    /// What is counted, in the plural, for example `photos`.
    public let unit: String
  }

  /// A pass over the training photos.
  public struct Epoch: Sendable, Hashable {
    /// The stage: ``Stage/train`` or ``Stage/fineTune``.
    public let stage: Stage
    /// From 1.
    public let number: Int
    /// Mean loss of the epoch's batches, in nats, as trained (with dropout and smoothing).
    public let trainLoss: Double
    /// Share of right predictions in the same passes, in 0...1.
    public let trainAccuracy: Double
    /// Cross-entropy on the validation photos after the epoch, in nats; nil without any.
    public let validLoss: Double?
    /// Share of validation photos predicted right, in 0...1; nil without any.
    public let validAccuracy: Double?
  }

  /// What a training has come to.
  public struct Outcome: Sendable, Hashable {
    /// What trained.
    public enum Trained: Sendable, Hashable {
      /// The head alone.
      case head
      /// These layer groups of the network, in the last phase of fine-tuning.
      case groups([String])
    }

    /// The model file: all that ``ImageClassifier`` needs.
    public let model: FilePath
    /// The page that says how good it is and why.
    public let report: FilePath
    /// The classes, in the order of the model's outputs.
    public let classNames: [String]
    /// What trained.
    public let trained: Trained
    /// Numbers that trained.
    public let trainableParameters: Int
    /// Time that training took, in seconds, over all calls that worked on it.
    public let seconds: Double
    /// Which photos it was judged on: `test` if there are some, else `valid`.
    public let split: String
    /// How many those are.
    public let photos: Int
    /// Share of them predicted right, in 0...1; where a photo may have several labels, with every label
    /// right.
    public let accuracy: Double
    /// Where that share lies for photos like these, with 95 % confidence, counting photos that show one
    /// picture once.
    ///
    /// - Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
    public let accuracyInterval: ClosedRange<Double>
    /// Mean cross-entropy on them, in nats.
    public let loss: Double
    /// The mean of the classes' average precision, in 0...1; nil where each photo has one label.
    public let meanAveragePrecision: Double?
    /// What speaks against taking the accuracy as it stands (few photos, photos that also chose the
    /// weights), a sentence a line; nil when nothing does.
    public let caution: String?
    /// What would make the model better, as far as the course of the training shows it, in sentences.
    public let advice: String?
  }
}
