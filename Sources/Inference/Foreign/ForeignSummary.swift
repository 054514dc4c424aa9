// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones

/// What was taken from a checkpoint, what was left, and what else it offers, as sentences without their
/// full stop.
package struct ForeignSummary {
  package let lines: [String]

  /// - Parameter head: a classifier that is known by its library, when there is one.
  package init(
    _ file: ForeignFile, _ fit: WeightFit, _ otherParts: [String], head: (any ForeignHead)? = nil
  ) {
    let around = file.checkpoint.surroundings
    var lines: [String] = []
    let place = around?.place ?? ""
    let prefix = (around?.prefix ?? "") + fit.prefix
    if !place.isEmpty || !prefix.isEmpty {
      let parts = [
        place.isEmpty ? nil : "are those under '\(place)'",
        prefix.isEmpty ? nil : "begin with '\(prefix)', which is taken off",
      ].compactMap(\.self)
      lines.append("the network's tensors " + parts.joined(separator: " and "))
    }
    let others =
      (around?.alternatives.map { $0.isEmpty ? "the top" : $0 } ?? [])
      + otherParts.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
    if !others.isEmpty {
      lines.append(
        "there are others in the file (\(ForeignSummary.few(others))), such as an average or a"
          + " teacher; --weights-key \(others[0]) takes those")
    }
    if !fit.otherHead.isEmpty, head == nil {
      lines.append(
        "\(fit.otherHead.count) tensors behind the features are no classifier that Thaw computes:"
          + " \(ForeignSummary.few(fit.otherHead))")
    }
    let own = Set(head?.names ?? [])
    let ignored = fit.ignored.filter { !own.contains($0) }
    if !ignored.isEmpty {
      lines.append(
        "\(ignored.count) tensors beside the network are ignored: \(ForeignSummary.few(ignored))")
    }
    // What names the classes was read.
    let left = (around?.leftOut ?? []).filter { entry in
      !file.classLists.contains { entry.hasPrefix($0.origin.prefix { $0 != " " } + " (") }
    }
    if !left.isEmpty { lines.append("not read, and not run: \(ForeignSummary.few(left))") }
    if let around, !around.modules.isEmpty {
      lines.append(
        "the file is a whole module, whose code is not run: that it computes what \(fit.architecture)"
          + " does is taken from its tensors, and from the settings of those of its layers that are"
          + " PyTorch's own. \(ForeignSummary.exportAdvice)")
    }
    lines += fit.notes + file.remarks
    // The layers of a whole module tell them apart.
    if around?.modules.isEmpty ?? true, !file.statesNetwork(fit.architecture) {
      lines += ForeignSummary.twins(of: fit.architecture)
    }
    self.lines = lines
  }

  /// Whether a tensor is called as what divides or multiplies the outputs of a classifier.
  static func isTemperature(_ name: String) -> Bool {
    let last = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
    return ["temperature", "temp", "tau", "logit_scale", "log_temperature", "scale"].contains(last)
  }

  /// How a network is saved with what it computes.
  static let exportAdvice =
    "What it computes is kept by torch.export.save(torch.export.export(model.eval(), (example,)),"
    + " \"model.pt2\")"

  /// Networks whose tensors are the same, although they compute something else: what a file of weights
  /// cannot say.
  ///
  /// - Source: timm, timm/models/resnet.py (`aa_layer`), densenet.py.
  package static func twins(of architecture: String) -> [String] {
    let others: String
    if architecture.hasPrefix("resnet"), !architecture.hasSuffix("_keras") {
      others = "resnetaa and resnetblur, which pool where it has strides"
    } else if architecture.hasPrefix("densenet"), !architecture.hasSuffix("_keras") {
      others = "densenetblur, which pools by another filter"
    } else if architecture.hasPrefix("efficientnet_lite"), !architecture.hasSuffix("_timm") {
      others =
        "own \(architecture), which is not ported from TensorFlow: it pads alike on all sides and has"
        + " another epsilon (--card \(architecture)_timm)"
    } else {
      return []
    }
    return [
      "\(architecture) is assumed: the same tensors are those of timm's \(others)"
    ]
  }

  /// Why the network that a file names is none that is here, although its tensors fit one that is; nil
  /// where it is that one.
  static func twin(named name: String) -> String? {
    let plain = name.lowercased()
    return ["resnetaa", "resnetblur", "densenetblur", "efficientnet_blur"].contains {
      plain.hasPrefix($0)
    } ? "'\(name.prefix(80))' as the file says, which computes something else with them" : nil
  }

  private static func few(_ names: [String]) -> String {
    names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", …" : "")
  }
}
