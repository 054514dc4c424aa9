// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

extension ImageTraining {
  /// What people change about a training. Nil leaves it to the recipe: the file of ``recipe``, else
  /// the one in the run directory from an earlier training, else the defaults.
  ///
  /// Everything else is set by a recipe file (`Documentation/recipes.md` lists its keys).
  public struct Options: Sendable {
    /// A recipe file (YAML).
    public var recipe: FilePath?
    /// The name of the pretrained backbone's card.
    public var backbone: String?
    /// Side of the square the network sees, in pixels.
    public var imageSize: Int?
    /// Passes over the training photos while only the head trains.
    public var headEpochs: Int?
    /// Passes over the training photos once the backbone is thawed.
    public var fineTuningEpochs: Int?
    /// Whether the backbone is thawed once the head is trained.
    public var fineTunes: Bool?
    /// Share of the photos held out to choose by, in 0...1, where no folder `valid` says which.
    public var validShare: Double?
    /// Share of the photos held out to measure by, in 0...1, where no folder `test` says which.
    public var testShare: Double?
    /// Seed of everything random: the same seed, photos and threads give the same model.
    public var seed: UInt64?
    /// Threads that compute, at least 1; nil for the number of physical cores.
    public var threads: Int?
    /// Whether photos that cannot be decoded are left out; otherwise they stop the training before it
    /// begins.
    public var skipsBadPhotos: Bool?
    /// A table of labels in place of class folders: CSV, TSV or JSON lines, a row a photo.
    public var labels: FilePath?
    /// Whether a photo may have several labels, or none; nil for as the table says.
    public var severalLabels: Bool?
    /// The folder of cards; nil to look where the `thaw` command looks.
    public var pretrained: FilePath?

    /// Everything as the recipe says.
    public init() {}
  }
}
