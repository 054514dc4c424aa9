// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints

/// The part of a checkpoint that may be one network: the tensors whose names begin with one prefix.
///
/// Wrappers put prefixes before names (`module.`, `_orig_mod.`, `model.`), larger models keep a backbone
/// in an attribute (`backbone.`, `encoder.`), and some files hold two networks side by side (`student.`
/// and `teacher.`). The prefixes are not a list: every one that at least a fifth of the tensors share is
/// tried, and the names themselves decide.
package struct NetworkPart: Sendable {
  /// What stands before the names, with its full stop; empty for the whole file.
  package let prefix: String
  /// The tensors under that prefix, called without it.
  package let tensors: [StoredTensor]
  /// The others, called as in the file.
  package let outside: [StoredTensor]

  /// Tensors that no parameter stands for: counters of batches.
  package static func isCounter(_ name: String) -> Bool { name.hasSuffix("num_batches_tracked") }

  /// The whole file as one network.
  static func whole(_ checkpoint: Checkpoint) -> NetworkPart {
    NetworkPart(
      prefix: "",
      tensors: MaskedBias.splitting(
        PooledAttention.splitting(
          DistilledHeads.joining(
            JoinedAttention.joining(checkpoint.tensors.filter { !isCounter($0.name) }))),
        of: checkpoint),
      outside: [])
  }

  /// The parts that may be networks: the whole first, then the larger ones; of equal ones those that
  /// are an average of another last.
  ///
  /// - Parameter key: a prefix, or a part of one, that the user chose; nil for all.
  package static func all(_ checkpoint: Checkpoint, key: String? = nil) -> [NetworkPart] {
    let whole = whole(checkpoint)
    guard ![.kerasArchive, .kerasWeights, .onnx].contains(checkpoint.format) else {
      return [whole]
    }
    let prefixes = prefixes(of: whole.tensors)
    guard let key, !prefixes.isEmpty else {
      return [whole] + prefixes.map { part(whole.tensors, $0) }
    }
    let chosen = prefixes.filter { ".\($0)".contains(".\(key).") }
    return chosen.isEmpty
      ? [whole] + prefixes.map { part(whole.tensors, $0) }
      : chosen.map { part(whole.tensors, $0) }
  }

  private static func part(_ tensors: [StoredTensor], _ prefix: String) -> NetworkPart {
    NetworkPart(
      prefix: prefix,
      tensors: tensors.filter { $0.name.hasPrefix(prefix) }.map {
        $0.renamed(String($0.name.dropFirst(prefix.count)))
      },
      outside: tensors.filter { !$0.name.hasPrefix(prefix) })
  }

  /// Prefixes of at most five components that many names share.
  private static func prefixes(of tensors: [StoredTensor]) -> [String] {
    var counts: [String: Int] = [:]
    for tensor in tensors {
      var (components, end) = (0, tensor.name.startIndex)
      while components < 5, let dot = tensor.name[end...].firstIndex(of: ".") {
        end = tensor.name.index(after: dot)
        counts[String(tensor.name[..<end]), default: 0] += 1
        components += 1
      }
    }
    let least = max(8, tensors.count / 5)
    let large = counts.filter { $0.value >= least }
    return large.keys.sorted { left, right in
      let (first, second) = (large[left] ?? 0, large[right] ?? 0)
      if isAverage(left) != isAverage(right) { return isAverage(right) }
      return first == second ? (left.count, left) < (right.count, right) : first > second
    }.prefix(12).map(\.self)
  }

  /// Whether a name speaks of weights that follow others: an average over steps, a teacher, a key
  /// encoder.
  static func isAverage(_ prefix: String) -> Bool {
    let name = prefix.lowercased()
    return ["ema", "averag", "teacher", "momentum", "target", "encoder_k", "shadow", "swa_"]
      .contains { name.contains($0) }
  }
}

/// What the names of a file say of how it was trained.
enum TrainingTraces {
  /// Names that only training without labels leaves behind: queues, projections, a second encoder.
  ///
  /// - Source: MoCo, SimSiam, BYOL, SwAV, DINO: the modules' names in their published code.
  private static let unlabelled = [
    "queue", "encoder_q.", "encoder_k.", "projector.", "projection_head.", "proj_head.",
    "prototypes.", "momentum_encoder.", "online_network.", "target_network.", "online_encoder.",
    "target_encoder.", "head.last_layer.", "head.mlp.", "dino_head.", "contrastive_head.",
    "backbone_momentum.",
  ]

  /// Whether the weights were trained without labels; then nothing in the file is a classifier.
  static func areUnlabelled(_ names: some Sequence<String>) -> Bool {
    // SigLIP pools by attention in a head of its own, which ends like DINO's.
    let isPooled = names.contains { $0.hasSuffix("head.probe") }
    return names.contains { name in
      unlabelled.contains { trace in
        (name.hasPrefix(trace) || name.contains(".\(trace)")) && !(isPooled && trace == "head.mlp.")
      }
    }
  }
}
