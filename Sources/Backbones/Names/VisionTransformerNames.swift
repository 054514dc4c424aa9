// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// The names that libraries give to the tensors of a vision transformer, against timm's, which are ours.
///
/// Queries, keys and values that are stored apart have been put together before
/// (``JoinedAttention``): they arrive as `qkv`.
enum VisionTransformerNames {
  /// Our name for one of torchvision's; nil for a name that it does not give.
  static func torchvision(_ name: String) -> String? { torchvisionTable.translate(name) }

  /// Our name for one of transformers' (ViT, DeiT, Dinov2); nil likewise.
  @Sendable static func transformers(_ name: String) -> String? {
    transformersTable.translate(name)
  }

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
    "embeddings.register_tokens": "reg_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.*": "patch_embed.proj.*",
    "encoder.layer.#.layernorm_before.*": "blocks.{0}.norm1.*",
    "encoder.layer.#.attention.attention.qkv.*": "blocks.{0}.attn.qkv.*",
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
  ])
}
