// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// The names that libraries give to the tensors of a vision transformer, against timm's, which are ours.
///
/// Queries, keys and values that are stored apart have been put together before
/// (``JoinedAttention``): they arrive as `qkv`.
enum VisionTransformerNames {
  /// Our name for one of torchvision's or facebook's, another one comes back as it is.
  static func published(_ name: String) -> String {
    if ["register_tokens", "storage_tokens", "dist_token"].contains(name) { return "reg_token" }
    if let own = dino3Table.translate(name) { return own }
    // An `encoder.` may have been taken for a wrapper's and be gone.
    return torchvisionTable.translate(name) ?? torchvisionTable.translate("encoder." + name) ?? name
  }

  /// Our name for one of transformers' (ViT, DeiT, Dinov2); nil likewise.
  @Sendable static func transformers(_ name: String) -> String? {
    transformersTable.translate(name)
  }

  /// The same for transformers' DINOv3; `isGated` says of which blocks.
  static func rotary(_ name: String, isGated: Bool) -> String? {
    // In memory blocks lie in an encoder called `model`.
    let name = name.hasPrefix("model.layer.") ? String(name.dropFirst("model.".count)) : name
    return (isGated ? gatedTable.translate(name) : nil) ?? rotaryTable.translate(name)
  }

  /// Our name for one of the vision towers of CLIP and SigLIP, transformers' or OpenAI's; nil likewise.
  @Sendable static func tower(_ name: String) -> String? { towerTable.translate(name) }

  /// The same for a tower whose classifier does without SigLIP's pooling by attention.
  @Sendable static func towerWithoutPooling(_ name: String) -> String? {
    name.hasPrefix("head.") ? "" : towerTable.translate(name)
  }

  /// The same for a tower whose classifier reads the tokens before the last layer norm.
  @Sendable static func towerBeforeNorm(_ name: String) -> String? {
    name.hasPrefix("post_layernorm.") ? "" : towerTable.translate(name)
  }

  private static let towerTable = [NamePattern]([
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding.weight": "pos_embed",
    "embeddings.patch_embedding.*": "patch_embed.proj.*",
    // So spelled.
    "pre_layrnorm.*": "norm_pre.*",
    "encoder.layers.#.layer_norm1.*": "blocks.{0}.norm1.*",
    "encoder.layers.#.self_attn.qkv.*": "blocks.{0}.attn.qkv.*",
    "encoder.layers.#.self_attn.out_proj.*": "blocks.{0}.attn.proj.*",
    "encoder.layers.#.layer_norm2.*": "blocks.{0}.norm2.*",
    "encoder.layers.#.mlp.fc1.*": "blocks.{0}.mlp.fc1.*",
    "encoder.layers.#.mlp.fc2.*": "blocks.{0}.mlp.fc2.*",
    "post_layernorm.*": "norm.*",
    // SigLIP's pooling by attention; queries' rows and the others' are apart here.
    "head.probe": "attn_pool.latent",
    "head.attention.q.*": "attn_pool.q.*",
    "head.attention.kv.*": "attn_pool.kv.*",
    "head.attention.out_proj.*": "attn_pool.proj.*",
    "head.layernorm.*": "attn_pool.norm.*",
    "head.mlp.fc1.*": "attn_pool.mlp.fc1.*",
    "head.mlp.fc2.*": "attn_pool.mlp.fc2.*",
    // OpenAI's.
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "conv1.*": "patch_embed.proj.*",
    "ln_pre.*": "norm_pre.*",
    "transformer.resblocks.#.ln_1.*": "blocks.{0}.norm1.*",
    "transformer.resblocks.#.attn.in_proj_weight": "blocks.{0}.attn.qkv.weight",
    "transformer.resblocks.#.attn.in_proj_bias": "blocks.{0}.attn.qkv.bias",
    "transformer.resblocks.#.attn.out_proj.*": "blocks.{0}.attn.proj.*",
    "transformer.resblocks.#.ln_2.*": "blocks.{0}.norm2.*",
    "transformer.resblocks.#.mlp.c_fc.*": "blocks.{0}.mlp.fc1.*",
    "transformer.resblocks.#.mlp.c_proj.*": "blocks.{0}.mlp.fc2.*",
    "ln_post.*": "norm.*",
  ])

  /// timm's names of layer scales and facebook's of gated units, where these are DINOv3's.
  private static let dino3Table = [NamePattern]([
    "blocks.#.gamma_1": "blocks.{0}.ls1.gamma",
    "blocks.#.gamma_2": "blocks.{0}.ls2.gamma",
    "blocks.#.mlp.w1.*": "blocks.{0}.mlp.fc1_g.*",
    "blocks.#.mlp.w2.*": "blocks.{0}.mlp.fc1_x.*",
    "blocks.#.mlp.w3.*": "blocks.{0}.mlp.fc2.*",
  ])

  private static let rotaryTable = [NamePattern]([
    "embeddings.cls_token": "cls_token",
    "embeddings.mask_token": "",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.*": "patch_embed.proj.*",
    "layer.#.norm1.*": "blocks.{0}.norm1.*",
    "layer.#.attention.qkv.*": "blocks.{0}.attn.qkv.*",
    "layer.#.attention.q_proj.bias": "blocks.{0}.attn.q_bias",
    "layer.#.attention.v_proj.bias": "blocks.{0}.attn.v_bias",
    "layer.#.attention.o_proj.*": "blocks.{0}.attn.proj.*",
    "layer.#.layer_scale1.lambda1": "blocks.{0}.ls1.gamma",
    "layer.#.norm2.*": "blocks.{0}.norm2.*",
    "layer.#.mlp.up_proj.*": "blocks.{0}.mlp.fc1.*",
    "layer.#.mlp.down_proj.*": "blocks.{0}.mlp.fc2.*",
    "layer.#.layer_scale2.lambda1": "blocks.{0}.ls2.gamma",
    "norm.*": "norm.*",
  ])

  private static let gatedTable = [NamePattern]([
    "layer.#.mlp.gate_proj.*": "blocks.{0}.mlp.fc1_g.*",
    "layer.#.mlp.up_proj.*": "blocks.{0}.mlp.fc1_x.*",
  ])

  private static let torchvisionTable = [NamePattern]([
    "class_token": "cls_token",
    "conv_proj.*": "patch_embed.proj.*",
    "encoder.pos_embedding": "pos_embed",
    "encoder.layers.encoder_layer_#.ln_1.*": "blocks.{0}.norm1.*",
    "encoder.layers.encoder_layer_#.self_attention.in_proj_weight": "blocks.{0}.attn.qkv.weight",
    "encoder.layers.encoder_layer_#.self_attention.in_proj_bias": "blocks.{0}.attn.qkv.bias",
    "encoder.layers.encoder_layer_#.self_attention.out_proj.*": "blocks.{0}.attn.proj.*",
    "encoder.layers.encoder_layer_#.ln_2.*": "blocks.{0}.norm2.*",
    // The names of its checkpoints of 2021, which torchvision still reads, and today's.
    "encoder.layers.encoder_layer_#.mlp.linear_1.*": "blocks.{0}.mlp.fc1.*",
    "encoder.layers.encoder_layer_#.mlp.linear_2.*": "blocks.{0}.mlp.fc2.*",
    "encoder.layers.encoder_layer_#.mlp.0.*": "blocks.{0}.mlp.fc1.*",
    "encoder.layers.encoder_layer_#.mlp.3.*": "blocks.{0}.mlp.fc2.*",
    "encoder.ln.*": "norm.*",
    "heads.head.*": "head.*",
  ])

  private static let transformersTable = [NamePattern]([
    "embeddings.cls_token": "cls_token",
    // Stood for hidden patches in a training.
    "embeddings.mask_token": "",
    "embeddings.register_tokens": "reg_token",
    // A token of its own like a register, which a classifier reads or not.
    "embeddings.distillation_token": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.*": "patch_embed.proj.*",
    "encoder.layer.#.layernorm_before.*": "blocks.{0}.norm1.*",
    "encoder.layer.#.attention.attention.qkv.*": "blocks.{0}.attn.qkv.*",
    "encoder.layer.#.attention.qkv.*": "blocks.{0}.attn.qkv.*",
    "encoder.layer.#.attention.o_proj.*": "blocks.{0}.attn.proj.*",
    "encoder.layer.#.attention.output.dense.*": "blocks.{0}.attn.proj.*",
    "encoder.layer.#.layernorm_after.*": "blocks.{0}.norm2.*",
    "encoder.layer.#.intermediate.dense.*": "blocks.{0}.mlp.fc1.*",
    "encoder.layer.#.output.dense.*": "blocks.{0}.mlp.fc2.*",
    // DINOv2's.
    "encoder.layer.#.norm1.*": "blocks.{0}.norm1.*",
    "encoder.layer.#.norm2.*": "blocks.{0}.norm2.*",
    "encoder.layer.#.layer_scale1.lambda1": "blocks.{0}.ls1.gamma",
    "encoder.layer.#.layer_scale2.lambda1": "blocks.{0}.ls2.gamma",
    "encoder.layer.#.mlp.fc1.*": "blocks.{0}.mlp.fc1.*",
    "encoder.layer.#.mlp.fc2.*": "blocks.{0}.mlp.fc2.*",
    "layernorm.*": "norm.*",
    // ViT's and DeiT's in memory since version 5.
    "layers.#.layernorm_before.*": "blocks.{0}.norm1.*",
    "layers.#.attention.qkv.*": "blocks.{0}.attn.qkv.*",
    "layers.#.attention.o_proj.*": "blocks.{0}.attn.proj.*",
    "layers.#.layernorm_after.*": "blocks.{0}.norm2.*",
    "layers.#.mlp.fc1.*": "blocks.{0}.mlp.fc1.*",
    "layers.#.mlp.fc2.*": "blocks.{0}.mlp.fc2.*",
  ])
}
