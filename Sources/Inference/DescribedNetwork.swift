// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawBackbones
package import ThawCheckpoints
import ThawFiles
import ThawGraphs
import ThawImages
import ThawNetwork

/// What a file that brings its own network is, as far as it says so itself: for people who have just got it.
package struct DescribedNetwork: Sendable {
  /// The network's name where it is one that is known, else what the file calls it; nil when something is
  /// in the way.
  package private(set) var architecture: String?
  /// Why, or what is in the way.
  package private(set) var reason: String
  /// The library that wrote it.
  package private(set) var writer: String?
  package private(set) var classCount: Int?
  package private(set) var classNames: [String]?
  /// How photos are prepared, and where that is from.
  package private(set) var preprocessing: String?
  package private(set) var preprocessingReason: String?
  /// What was taken for granted, left out or not said.
  package private(set) var notes: [String] = []
  /// What can be done with it: commands.
  package private(set) var next: [String] = []

  /// A Keras file of a whole model; nil for one of weights alone.
  package init?(keras checkpoint: Checkpoint, cards: [BackboneCard]) {
    guard checkpoint.kerasModel?.configuration != nil else { return nil }
    writer = checkpoint.metadata["keras.version"].map { "Keras \($0)" } ?? "Keras"
    do {
      guard let network = try KerasNetwork(checkpoint) else { return nil }
      let identity = try CheckpointIdentity(checkpoint, cards: cards)
      let usual = network.usualPreprocessing(identity)
      let known = identity.known(network, side: network.side)
      architecture = known?.architecture ?? network.graph.name
      reason =
        known == nil
        ? "a network of its own, each of its \(network.graph.nodes.count - 1) layers understood;"
          + " groups: \(network.graph.groups.map(\.name).joined(separator: ", "))"
        : "its configuration says exactly that network, layer by layer"
      notes = network.notes + DescribedNetwork.norms(network.graph)
      let file = checkpoint.path.displayed
      if let activation = network.outputActivation {
        classCount = activation.classes(outputs: network.outputCount)
        notes.append("outputs: \(activation.summary)")
      } else {
        notes.append("it ends with \(network.outputCount) features")
      }
      let option = describe(network, usual)
      suggest(file, option, headless: network.outputActivation == nil)
    } catch {
      reason = "\(error)"
      next = ["change the model as said, or import weights of a known network with --card NAME"]
    }
  }

  private mutating func describe(_ network: KerasNetwork, _ usual: Preprocessing?) -> String {
    if network.statesArithmetic || usual != nil {
      let contract = network.preprocessing(usual ?? .kerasGeometry(224))
      preprocessing = contract?.description
      let family = network.family.map { "usual for \($0.name)" } ?? "usual for these weights"
      preprocessingReason =
        network.statement.map { "from \($0)" } ?? "\(family); the file does not say it"
      return ""
    }
    notes.append("how its photos were prepared it does not say; give --preprocessing")
    return " --preprocessing unit"
  }

  /// A graph of ONNX's operations: a file of ONNX, or a program of PyTorch's.
  ///
  /// - Parameter beside: what a file beside it says of photos, where it says nothing itself.
  package init(_ model: ONNXModel, path: FilePath, beside: StatedContract? = nil) {
    reason = ""
    do {
      let network = try ONNXNetwork(model, file: path, separatesArithmetic: true)
      architecture = network.record?.architecture ?? network.graph.name
      writer = network.record.map { "Thaw \($0.thawVersion)" } ?? network.producer
      reason = "each of its \(network.graph.nodes.count - 1) layers is understood"
      notes =
        DescribedNetwork.norms(network.graph) + ["outputs: \(network.outputActivation.summary)"]
      classCount = network.classCount
      classNames = network.classNames
      var option = ""
      if let contract = network.preprocessing {
        (preprocessing, preprocessingReason) = (contract.description, "the file says it")
      } else if let stated = ONNXPixels.stated(model).map({ ($0, "from the file's metadata") })
        ?? ONNXPixels.implied(network.pixels) ?? beside.map({ ($0.preprocessing, $0.reason) })
      {
        let sized = network.inputSize.map { stated.0.withInputSize($0.height) } ?? stated.0
        preprocessing = network.pixels.after(sized)?.description
        preprocessingReason = stated.1
      } else {
        notes.append("how its photos were prepared it does not say; give --preprocessing")
        option = " --preprocessing torch"
      }
      suggest(path.displayed, option, headless: false)
    } catch { reason = "\(error)" }
  }

  private mutating func suggest(_ file: String, _ option: String, headless: Bool) {
    let names = classNames == nil ? " --class-names names.txt" : ""
    next =
      headless
      ? [DescribedNetwork.headlessAdvice]
      : [
        "thaw predict --model \(file)\(option)\(names) photo.jpg",
        "thaw diagnose batchnorm --model \(file)\(option) --data photos",
        "thaw pretrained import \(file) --name mine\(option), then thaw fit photos --backbone mine",
      ]
  }

  /// For a model that ends with features.
  static let headlessAdvice =
    "Put a classifier on it, which training will replace:"
    + " keras.Sequential([model, keras.layers.Dense(2, activation=\"softmax\")]).save(\"one.keras\"),"
    + " then thaw pretrained import one.keras --name mine and thaw fit DATA --backbone mine"

  private static func norms(_ graph: Graph) -> [String] {
    let count = graph.nodes.count {
      if case .batchNormalization = $0.operation { true } else { false }
    }
    return [
      count == 0
        ? "no batch norms: there are none, or the exporter folded them into convolutions"
        : "\(count) batch norms"
    ]
  }
}
