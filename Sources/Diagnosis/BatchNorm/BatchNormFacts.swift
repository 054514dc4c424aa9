// SPDX-License-Identifier: Apache-2.0

public import Network

/// What was measured of a network: all that a verdict is drawn from.
public struct BatchNormFacts: Sendable {
  /// One batch norm.
  public struct Layer: Sendable {
    /// Its name.
    public var path: ParameterPath
    /// Its layer group.
    public var group: Int
    /// Data against running statistics when all layers before it normalise by the data.
    public var own: LayerShift
    /// The same as the network runs in inference.
    public var asRun: LayerShift
    /// Whether all its running means are 0 and its running variances 1.
    public var isInitial: Bool

    /// Collects the numbers.
    public init(
      path: ParameterPath, group: Int, own: LayerShift, asRun: LayerShift, isInitial: Bool
    ) {
      self.path = path
      self.group = group
      self.own = own
      self.asRun = asRun
      self.isInitial = isInitial
    }
  }

  /// The network in inference, fed as another contract would feed it.
  public struct Input: Sendable {
    /// The contract.
    public var name: String
    /// Results of the sampled photos.
    public var results: PhotoResults
    /// Divergence at the first batch norms, see ``ContractEvidence``; nil without any.
    public var divergence: Double?

    /// Collects the numbers.
    public init(name: String, results: PhotoResults, divergence: Double?) {
      self.name = name
      self.results = results
      self.divergence = divergence
    }
  }

  /// Every batch norm, in order of computation.
  public var layers: [Layer]
  /// All photos on running statistics.
  public var inference: PhotoResults
  /// The same on batch statistics.
  public var training: PhotoResults
  /// Area under the curve in each phase.
  public var auc: (inference: Double?, training: Double?)
  /// Share of the most frequent class: what guessing reaches.
  public var chance: Double
  /// All photos with the ``suspects`` alone on batch statistics; nil without suspects.
  public var repaired: PhotoResults?
  /// Inputs that were tried on sampled photos, the declared one first.
  public var inputs: [Input]
  /// The one of ``inputs`` that the running statistics say it was trained on, when that is certainly
  /// not the declared one.
  public var certainInput: Int?
  /// The sampled photos on batch statistics.
  public var sampledTraining: PhotoResults
  /// The sampled photos with the suspects alone on batch statistics; nil without suspects.
  public var sampledRepaired: PhotoResults?
  /// Photos the network has not seen, in inference.
  public var heldOut: PhotoResults?
  /// Whether the network was trained on the photos.
  public var isTrainingData: Bool
  /// Mode of the frozen batch norms, when the model file says.
  public var recordedMode: BatchNormMode?
  /// Names of classes that answer to another name, by class.
  public var renamed: [String: String]

  /// Collects the measurements.
  public init(
    layers: [Layer], inference: PhotoResults, training: PhotoResults,
    auc: (inference: Double?, training: Double?), chance: Double, repaired: PhotoResults?,
    inputs: [Input], certainInput: Int? = nil, sampledTraining: PhotoResults,
    sampledRepaired: PhotoResults?,
    heldOut: PhotoResults?, isTrainingData: Bool, recordedMode: BatchNormMode?,
    renamed: [String: String]
  ) {
    self.layers = layers
    self.inference = inference
    self.training = training
    self.auc = auc
    self.chance = chance
    self.repaired = repaired
    self.inputs = inputs
    self.certainInput = certainInput
    self.sampledTraining = sampledTraining
    self.sampledRepaired = sampledRepaired
    self.heldOut = heldOut
    self.isTrainingData = isTrainingData
    self.recordedMode = recordedMode
    self.renamed = renamed
  }

  /// Layers whose running statistics are out of line with those of the layers around them, the worst
  /// first, four at most. A dataset unlike the original one shifts all layers together; damage does
  /// not. Some layers stand out a little by nature: ``areBeyondDoubt(_:in:)`` says when it is more.
  public static func suspects(_ layers: [Layer]) -> [Int] {
    let (excess, strangeness) = (excess(of: layers), strangeness(of: layers))
    let standOut = layers.indices.filter {
      layers[$0].own.severity > 0.12 && excess[$0] > 3
        || layers[$0].own.severity > 0.01 && strangeness[$0] > 0.5
    }
    return Array(standOut.sorted { excess[$0] > excess[$1] }.prefix(4))
  }

  /// Those of `suspects` that no dataset explains, whether or not they cost accuracy.
  public static func areBeyondDoubt(_ suspects: [Int], in layers: [Layer]) -> [Int] {
    let (excess, strangeness) = (excess(of: layers), strangeness(of: layers))
    return suspects.filter {
      layers[$0].own.severity > 0.45 && excess[$0] > 6
        || layers[$0].own.severity > 0.015 && strangeness[$0] > 0.6
    }
  }

  /// How many times further off each layer is than the median of the eight around it.
  private static func excess(of layers: [Layer]) -> [Double] {
    let severities = layers.map(\.own.severity)
    return severities.indices.map { index in
      let around = neighbours(of: index, severities)
      guard !around.isEmpty else { return 0 }
      return severities[index] / (LayerShift.quantile(0.5, of: around) + 0.04)
    }
  }

  /// ``LayerShift/strangeness`` of each layer; 0 where it is common to the layers around.
  private static func strangeness(of layers: [Layer]) -> [Double] {
    let own = layers.map(\.own.strangeness)
    return own.indices.map { index in
      let around = neighbours(of: index, own)
      guard !around.isEmpty else { return 0 }
      return own[index] > 3 * LayerShift.quantile(0.5, of: around) ? own[index] : 0
    }
  }

  /// The values of the four layers before and after.
  private static func neighbours(of index: Int, _ values: [Double]) -> [Double] {
    let window = max(0, index - 4)...min(values.count - 1, index + 4)
    return window.filter { $0 != index }.map { values[$0] }
  }
}
