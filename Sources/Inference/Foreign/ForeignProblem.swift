// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
import ThawCheckpoints
import ThawTensors

/// Why a checkpoint is not taken for a network, and what can be done about it.
///
/// "Its tensors fit no architecture" has many causes: a network that Thaw does not have, one whose
/// layers have other names, one that was changed, a part of one, an adapter, quantised weights, no
/// network at all. Each is seen by something in the file and has a way out of its own.
package struct ForeignProblem: Sendable {
  /// The cause and what to do, sentences without the file's name.
  package let text: String

  /// - Parameters:
  ///   - nearest: the architecture that fits most; nil when no name is known.
  ///   - card: the card that the user named.
  ///   - isInspected: whether everything that is in the file is shown beside this text.
  package init(
    _ file: ForeignFile, nearest: WeightFit?, card: String?, isInspected: Bool = false
  ) {
    let checkpoint = file.checkpoint
    let names = checkpoint.names
    let look =
      isInspected
      ? "" : " See what is in it: thaw pretrained inspect \(checkpoint.path.quoted)"
    if let adapter = names.first(where: ForeignProblem.isAdapter) {
      text =
        "it holds an adapter ('\(shown(adapter))'), which changes a network that is elsewhere. Merge it"
        + " into its network and save that (PEFT: model.merge_and_unload())."
    } else if let fit = nearest, 2 * fit.matched >= fit.needed || card != nil {
      text = ForeignProblem.difference(fit, card: card) + look
    } else if ForeignProblem.hasRotaryPositions(file) {
      text =
        "this is a vision transformer whose positions turn queries and keys (rotary embeddings, RoPE). Of"
        + " these Thaw knows DINOv3's, in the names of timm, transformers and facebook, with a class token,"
        + " layer scales and periods that are powers of 100; this is another one, or a part of one. With"
        + " a config.json beside it that says which it is (timm's architecture, transformers' model_type)"
        + " it may be recognised."
    } else if let order = TensorOrder.all(checkpoint).first {
      let first = order.names.first { $0.stored != $0.own } ?? order.names[0]
      text =
        "the shapes of its tensors, in order, are \(order.architecture)'s, but the names are others"
        + " ('\(shown(first.stored))' where \(order.architecture) has '\(first.own)'). If it is that"
        + " network, say so with --rename-tensors; the predictions will show whether it was."
    } else if let width = checkpoint.transformerWidthWithoutHeads(file.configuration) {
      text =
        "this is a vision transformer with tokens of \(width) channels. How many heads it has no tensor"
        + " shows, and 64 channels a head, as in the published networks, do not divide them. Put its"
        + " config.json beside it, with num_attention_heads, or export it as ONNX."
    } else if let foreign = ForeignProblem.foreignNetwork(file) {
      text =
        "this is \(foreign), a network that Thaw does not have. Export it as ONNX and give it that:"
        + " torch.onnx.export(model, example, 'model.onnx')."
    } else if let quantized = names.first(where: { $0.hasSuffix("_packed_params") }) {
      text =
        "its weights are quantised ('\(shown(quantized))'). Save the network before it was"
        + " quantised."
    } else if !checkpoint.tensors.contains(where: { $0.shape.rank == 4 }) {
      text =
        "its \(checkpoint.count) tensors hold no convolution (\(listed(names))): this is no image"
        + " network, or a part of one without its backbone. Save the whole network's state_dict()."
    } else {
      let near =
        nearest.map {
          " The nearest is \($0.architecture), of which \($0.matched) of \($0.needed) parameters are"
            + " there."
        } ?? " No name in it is one that Thaw knows."
      text =
        "its \(checkpoint.count) tensors (\(listed(names))) fit no architecture.\(near) Export the"
        + " network as ONNX (torch.onnx.export), which brings its structure with it." + look
    }
  }

  private static func isAdapter(_ name: String) -> Bool {
    [".lora_", "lora_A.", "lora_B.", ".adapter_", "hada_w1"].contains { name.contains($0) }
  }

  /// Whether a vision transformer's positions are in its attention: by its configuration, by the buffers
  /// that some write, or because there are no others.
  ///
  /// - Source: Siméoni et al. 2025, arXiv:2508.10104; timm's `vit_small_patch16_dinov3`, transformers'
  ///   `DINOv3ViTModel`, facebook's names.
  private static func hasRotaryPositions(_ file: ForeignFile) -> Bool {
    let stated = [file.configuration?["model_type"]?.text, file.statedArchitecture]
    let isStated = stated.contains { name in
      let name = name?.lowercased() ?? ""
      return name.contains("dinov3") && !name.contains("convnext")
    }
    if isStated { return true }
    let names = file.checkpoint.names
    func has(_ end: String) -> Bool { names.contains { $0.hasSuffix(end) } }
    let isTransformer =
      has("patch_embed.proj.weight") && has("blocks.0.attn.qkv.weight")
      || has("patch_embeddings.weight") && has("layer.0.attention.q_proj.weight")
    guard isTransformer else { return false }
    return names.contains { $0.contains("rope_embed.") || $0.contains(".rope.") }
      || !names.contains { $0.contains("pos_embed") || $0.contains("position_embedding") }
        && (has("reg_token") || has("register_tokens") || has("storage_tokens"))
  }

  /// What differs from the nearest architecture.
  private static func difference(_ fit: WeightFit, card: String?) -> String {
    var parts: [String] = []
    func add(_ what: String, _ entries: [String]) {
      guard !entries.isEmpty else { return }
      let few = entries.prefix(3).map(shown).joined(separator: ", ")
      parts.append("\(entries.count) \(what): \(few)" + (entries.count > 3 ? ", …" : ""))
    }
    add("missing", fit.missing)
    add("unexpected", fit.unexpected)
    add("unfitting", fit.unfitting)
    let advice: String
    if ForeignProblem.lacksStatisticsAlone(fit) {
      advice =
        " These are the statistics of batch norms, which PyTorch does not keep with"
        + " track_running_stats=False: it then normalises by each batch, in prediction, too, so that the"
        + " answer for a photo depends on the others beside it. With --allow-missing the means become 0"
        + " and the variances 1, which is another network; what that makes of the predictions shows"
        + " thaw diagnose batchnorm --model MODEL --data PHOTOS --allow-missing."
    } else if fit.unexpected.isEmpty && fit.unfitting.isEmpty {
      advice =
        " Save the whole network's state_dict(), or let what is missing be drawn at random with"
        + " --allow-missing."
    } else if fit.unfitting.isEmpty && fit.missing.isEmpty {
      advice =
        " It has more layers than \(fit.architecture), so it computes something else. Export it as"
        + " ONNX, which brings its structure with it."
    } else if card != nil {
      advice = " Name a card of another network, or leave --card out to have it recognised."
    } else {
      advice =
        " It is a changed or another network. Export it as ONNX, which brings its structure with it."
    }
    return "the tensors do not fit \(fit.architecture), the nearest architecture (\(fit.matched) of"
      + " \(fit.needed) parameters are there): \(parts.joined(separator: "; "))." + advice
  }

  /// Whether means and variances of batch norms are all that is missing, and nothing else is wrong.
  static func lacksStatisticsAlone(_ fit: WeightFit) -> Bool {
    let means = fit.missing.count { $0.hasSuffix(".running_mean") }
    let variances = fit.missing.count { $0.hasSuffix(".running_var") }
    return fit.unexpected.isEmpty && fit.unfitting.isEmpty && means > 0 && means == variances
      && means + variances == fit.missing.count
  }

  /// A network that is known by name only: what `config.json` says, or what gives it away.
  private static func foreignNetwork(_ file: ForeignFile) -> String? {
    if let type = file.configuration?["model_type"]?.text, type != "timm_wrapper" {
      return "a transformers model of type '\(shown(type))' (config.json)"
    }
    let traces: [(String, String)] = [
      ("relative_position_bias_table", "a transformer with relative positions, as Swin and MaxViT"),
      (".attn.qkv.", "a vision transformer of timm"), (".self_attention.", "a vision transformer"),
      (".attention.attention.", "a vision transformer of transformers"),
      (".self_attn.", "a transformer"),
      ("attnpool.", "CLIP's ResNet, which ends with attention"),
      ("roi_heads.", "a detector"), ("rpn.head.", "a detector"),
      ("model.22.dfl.", "a YOLO detector"), (".cv1.conv.", "a YOLO network"),
      ("text_model.", "a model of images and texts"),
    ]
    for (trace, what) in traces
    where file.checkpoint.names.contains(where: { $0.contains(trace) }) {
      return what + " (by the names of its tensors)"
    }
    return file.statedArchitecture.flatMap { name in
      Architecture.names.contains(name) ? nil : "'\(shown(name))', as the file says"
    }
  }
}

/// A text from a file for a message.
private func shown(_ text: String) -> String {
  text.count > 80 ? text.prefix(79) + "…" : text
}

private func listed(_ names: [String]) -> String {
  names.prefix(3).map { "'\(shown($0))'" }.joined(separator: ", ") + (names.count > 3 ? ", …" : "")
}
