#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixture that compares vision transformers with timm's, torchvision's and transformers'.

    python Tools/parity_transformers.py Tests/BackbonesTests/Fixtures

The networks are those libraries' own classes, narrow and of two blocks, and run in double precision.
Parameters and inputs are procedural under the names that Thaw gives them (timm's), so only results are
stored:

    transformers.json   per network: Thaw's name for it, the names and shapes of its tensors as its
                        library writes them, the logits of two images at each of two sizes, for the
                        first one a projection and the norm of every gradient

The second size needs other positions than were learned. Needs torch, torchvision, timm, transformers.
"""

import json
import math
import sys
from pathlib import Path

import torch

from parity_architectures import rounded
from parity_network import procedural

CLASSES = 20
UNUSED = ("mask_token", "unused")
IMAGES = 2
SIDE, PATCH, WIDTH, DEPTH, HEADS, HIDDEN = 32, 8, 48, 2, 3, 96
SIZES = [(32, 32), (48, 24)]


def value(path, shape):
    """The parameter at `path`: the roles are those of `ParameterRole` in Thaw's graph."""
    leaf = path.rsplit(".", 1)[-1]
    is_norm = "norm" in path and leaf == "weight"
    if is_norm or leaf == "gamma":
        centre, spread = 1.0, 0.3
    elif leaf == "weight":
        centre, spread = 0.0, math.sqrt(6 / math.prod(shape[1:]))
    else:
        centre, spread = 0.0, 0.2
    # Thaw may have other extents of one element; the numbers and their order are the same.
    return procedural(path, tuple(shape), centre, spread)


def own(path):
    return path


def distilled_name(path):
    """For timm's distilled DeiT behind `network.`, with a classifier of both tokens beside it."""
    if path.startswith("network."):
        path = path.removeprefix("network.")
        return "unused" if path.startswith("head") else {"dist_token": "reg_token"}.get(path, path)
    return path


def facebook(path):
    return {"register_tokens": "reg_token"}.get(path, path)


def torchvision_name(path):
    known = {"class_token": "cls_token", "encoder.pos_embedding": "pos_embed"}
    if path in known:
        return known[path]
    for theirs, ours in [("conv_proj.", "patch_embed.proj."), ("encoder.ln.", "norm."),
                         ("heads.head.", "head.")]:
        if path.startswith(theirs):
            return ours + path[len(theirs):]
    _, _, layer, rest = path.split(".", 3)
    for theirs, ours in [("ln_1.", "norm1."), ("ln_2.", "norm2."), ("mlp.0.", "mlp.fc1."),
                         ("mlp.3.", "mlp.fc2."), ("self_attention.in_proj_", "attn.qkv."),
                         ("self_attention.out_proj.", "attn.proj.")]:
        if rest.startswith(theirs):
            return f"blocks.{layer.removeprefix('encoder_layer_')}.{ours}{rest[len(theirs):]}"
    raise KeyError(path)


def transformers_name(path):
    """For names in memory; queries, keys and values are marked `qkv#0` to `qkv#2`."""
    if path.startswith("classifier."):
        return "head." + path.split(".")[1]
    path = path.split(".", 1)[1]
    known = {"embeddings.cls_token": "cls_token", "embeddings.register_tokens": "reg_token",
             "embeddings.distillation_token": "reg_token", "embeddings.mask_token": "mask_token",
             "embeddings.position_embeddings": "pos_embed"}
    if path in known:
        return known[path]
    for theirs, ours in [("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
                         ("layernorm.", "norm.")]:
        if path.startswith(theirs):
            return ours + path[len(theirs):]
    path = path.removeprefix("encoder.").replace("layers.", "").replace("layer.", "")
    block, rest = path.split(".", 1)
    for theirs, ours in [
            ("attention.q_proj.", "attn.qkv#0."), ("attention.k_proj.", "attn.qkv#1."),
            ("attention.v_proj.", "attn.qkv#2."), ("attention.o_proj.", "attn.proj."),
            ("layernorm_before.", "norm1."), ("layernorm_after.", "norm2."),
            ("norm1.", "norm1."), ("norm2.", "norm2."), ("layer_scale1.lambda1", "ls1.gamma"),
            ("layer_scale2.lambda1", "ls2.gamma"), ("mlp.", "mlp.")]:
        if rest.startswith(theirs):
            return f"blocks.{block}.{ours}{rest[len(theirs):]}"
    raise KeyError(path)


def rotary_name(path):
    """For DINOv3 of timm and, behind `tower.`, of transformers; in gated units `up_proj` is no `fc1`."""
    if path.startswith("head."):
        return path
    path = path.removeprefix("tower.").removeprefix("embeddings.").removeprefix("model.")
    known = {"register_tokens": "reg_token"}
    if path in known:
        return known[path]
    if path.startswith("patch_embeddings."):
        return "patch_embed.proj." + path.split(".")[1]
    if not path.startswith(("layer.", "blocks.")):
        return path
    _, block, rest = path.split(".", 2)
    for theirs, ours in [
            ("gamma_1", "ls1.gamma"), ("gamma_2", "ls2.gamma"), ("layer_scale1.lambda1", "ls1.gamma"),
            ("layer_scale2.lambda1", "ls2.gamma"), ("attention.q_proj.bias", "attn.q_bias"),
            ("attention.v_proj.bias", "attn.v_bias"), ("attention.q_proj.", "attn.qkv#0."),
            ("attention.k_proj.", "attn.qkv#1."), ("attention.v_proj.", "attn.qkv#2."),
            ("attention.o_proj.", "attn.proj."), ("mlp.up_proj.", "mlp.fc1."),
            ("mlp.down_proj.", "mlp.fc2.")]:
        if rest.startswith(theirs):
            return f"blocks.{block}.{ours}{rest[len(theirs):]}"
    return f"blocks.{block}.{rest}"


def gated_name(path):
    return rotary_name(path.replace("mlp.up_proj.", "mlp.fc1_x.").replace("mlp.gate_proj.", "mlp.fc1_g."))


def tower_name(path):
    """For CLIP's and SigLIP's vision towers."""
    if path.startswith(("classifier.", "head.")):
        return "head." + path.split(".")[1]
    path = path.removeprefix("tower.").removeprefix("vision_model.")
    known = {"embeddings.class_embedding": "cls_token",
             "embeddings.position_embedding.weight": "pos_embed"}
    if path in known:
        return known[path]
    for theirs, ours in [("embeddings.patch_embedding.", "patch_embed.proj."),
                         ("pre_layrnorm.", "norm_pre."), ("post_layernorm.", "norm.")]:
        if path.startswith(theirs):
            return ours + path[len(theirs):]
    if path.startswith("head."):
        return "unused"
    _, _, block, rest = path.split(".", 3)
    for theirs, ours in [
            ("self_attn.q_proj.", "attn.qkv#0."), ("self_attn.k_proj.", "attn.qkv#1."),
            ("self_attn.v_proj.", "attn.qkv#2."), ("self_attn.out_proj.", "attn.proj."),
            ("layer_norm1.", "norm1."), ("layer_norm2.", "norm2."), ("mlp.", "mlp.")]:
        if rest.startswith(theirs):
            return f"blocks.{block}.{ours}{rest[len(theirs):]}"
    raise KeyError(path)


def pooled_tower_name(path):
    """For SigLIP's vision tower with its pooling; the query's rows of `in_proj` are apart in Thaw."""
    inner = path.removeprefix("tower.").removeprefix("vision_model.")
    if inner == path or not inner.startswith("head."):
        return tower_name(path)
    inner = inner.removeprefix("head.")
    for theirs, ours in [("probe", "latent"), ("attention.in_proj_", "in_proj."),
                         ("attention.out_proj.", "proj."), ("layernorm.", "norm."),
                         ("mlp.", "mlp.")]:
        if inner.startswith(theirs):
            return "attn_pool." + ours + inner[len(theirs):]
    raise KeyError(path)


def pieces(name, tensor):
    """Thaw's parameters that lie one after another in a tensor, with their rows."""
    if ".in_proj." not in name:
        return [(name, tensor)]
    count = len(tensor) // 3
    return [(name.replace("in_proj", "q"), tensor[:count]),
            (name.replace("in_proj", "kv"), tensor[count:])]


def target(name):
    """Thaw's name of a parameter, and which third of it this is (None: all)."""
    if "#" not in name:
        return name, None
    start, rest = name.split("#")
    return start + rest[1:], int(rest[0])


def fill(model, rename):
    with torch.no_grad():
        for path, tensor in model.named_parameters():
            name, third = target(rename(path))
            if name in UNUSED:
                continue
            if third is None:
                for piece, rows in pieces(name, tensor):
                    rows.copy_(value(piece, rows.shape))
            else:
                whole = value(name, (3 * tensor.shape[0], *tensor.shape[1:]))
                tensor.copy_(whole.chunk(3)[third])


def gradients(model, rename, loss):
    loss.backward()
    whole = {}
    for path, tensor in model.named_parameters():
        name, third = target(rename(path))
        if name not in UNUSED:
            for piece, rows in pieces(name, tensor.grad):
                whole.setdefault(piece, {})[third] = rows
    result = {}
    for name, parts in whole.items():
        gradient = parts[None] if None in parts else torch.cat([parts[i] for i in range(3)])
        probe = procedural(f"probe.{name}", tuple(gradient.shape))
        result[name] = rounded([(gradient * probe).sum().item(), gradient.norm().item()])
    return result


def timm_model(**options):
    from timm.models.vision_transformer import VisionTransformer

    settings = dict(
        img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
        mlp_ratio=HIDDEN / WIDTH, num_classes=CLASSES, dynamic_img_size=True)
    return VisionTransformer(**settings | options)


def timm_dinov3(**options):
    """With timm's settings of its `vit_*_patch16_dinov3`."""
    from functools import partial

    from timm.layers import LayerNorm
    from timm.models.eva import Eva

    settings = dict(
        img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
        mlp_ratio=HIDDEN / WIDTH, num_classes=CLASSES, dynamic_img_size=True, qkv_bias=False,
        init_values=1.0, rope_type="dinov3", rope_temperature=100, rope_rotate_half=True,
        use_rot_pos_emb=True, use_abs_pos_emb=False, num_reg_tokens=4, use_fc_norm=False,
        norm_layer=partial(LayerNorm, eps=1e-5))
    return Eva(**settings | options)


class FacebookDINOv3(torch.nn.Module):
    """timm's port with what facebook's files change: periods of bfloat16, the class token, other names."""

    def __init__(self):
        super().__init__()
        self.network = timm_dinov3(qkv_bias=True, global_pool="token")

    def forward(self, x):
        rope = self.network.rope
        rope.periods.copy_(rope._compute_periods().bfloat16())
        return self.network(x)

    def stored(self):
        tensors = {"mask_token": [1, WIDTH], "rope_embed.periods": [WIDTH // HEADS // 4]}
        for name, tensor in self.network.state_dict().items():
            if name.endswith("v_bias"):
                continue
            shape = list(tensor.shape)
            if name.endswith("q_bias"):
                name, shape = name.replace("q_bias", "qkv.bias"), [3 * WIDTH]
                tensors[name + "_mask"] = shape
            name = name.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
            tensors[name.replace("reg_token", "storage_tokens")] = shape
        return tensors


class TransformersDINOv3(torch.nn.Module):
    """transformers' features, its class token, with a classifier of one's own behind them."""

    def __init__(self, **options):
        super().__init__()
        import transformers

        self.tower = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, intermediate_size=HIDDEN, num_register_tokens=4, **options))
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.head(self.tower(x).pooler_output)


class Torchvision(torch.nn.Module):
    """Resamples the positions for the image, as its users do before they load."""

    def __init__(self):
        super().__init__()
        from torchvision.models.vision_transformer import VisionTransformer

        self.network = VisionTransformer(
            image_size=SIDE, patch_size=PATCH, num_layers=DEPTH, num_heads=HEADS,
            hidden_dim=WIDTH, mlp_dim=HIDDEN, num_classes=CLASSES)

    def forward(self, x):
        network = self.network
        tokens = network.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([network.class_token.expand(len(x), -1, -1), tokens], 1)
        positions = network.encoder.pos_embedding
        grid = positions[:, 1:].transpose(1, 2).unflatten(2, (SIDE // PATCH, SIDE // PATCH))
        size = (x.shape[2] // PATCH, x.shape[3] // PATCH)
        if size != tuple(grid.shape[2:]):
            # As torchvision's interpolate_embeddings, which takes square images only.
            grid = torch.nn.functional.interpolate(
                grid, size=size, mode="bicubic", align_corners=True)
        tokens = tokens + torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
        encoder = network.encoder
        return network.heads(encoder.ln(encoder.layers(encoder.dropout(tokens)))[:, 0])


class Transformers(torch.nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        import transformers

        settings = dict(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, num_labels=CLASSES)
        config = getattr(transformers, kind + "Config")(**settings | options)
        self.network = getattr(transformers, kind + "ForImageClassification")(config)
        self.options = {} if kind.startswith("Dinov2") else {"interpolate_pos_encoding": True}

    def forward(self, x):
        return self.network(x, **self.options).logits


class Siglip(Transformers):
    def __init__(self):
        import transformers

        torch.nn.Module.__init__(self)
        tower = transformers.SiglipVisionConfig(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, intermediate_size=HIDDEN)
        config = transformers.SiglipConfig(vision_config=tower.to_dict(), num_labels=CLASSES)
        self.network = transformers.SiglipForImageClassification(config)
        self.options = {"interpolate_pos_encoding": True}


class SiglipTower(torch.nn.Module):
    """SigLIP's vision tower up to its pooled output, with a classifier of one's own behind it."""

    def __init__(self):
        super().__init__()
        import transformers

        self.tower = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, intermediate_size=HIDDEN))
        self.classifier = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.classifier(self.tower(x, interpolate_pos_encoding=True).pooler_output)

    def stored(self):
        return {name: list(tensor.shape) for name, tensor in self.tower.state_dict().items()}


class Distilled(torch.nn.Module):
    """timm's distilled DeiT, whose two classifiers are made of the one that Thaw has in their place."""

    def __init__(self):
        super().__init__()
        from timm.models.deit import VisionTransformerDistilled

        self.network = VisionTransformerDistilled(
            img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
            mlp_ratio=HIDDEN / WIDTH, num_classes=CLASSES, dynamic_img_size=True)
        self.head = torch.nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, x):
        weight, bias = self.head.weight, self.head.bias
        heads = {"head.weight": 2 * weight[:, :WIDTH], "head.bias": bias,
                 "head_dist.weight": 2 * weight[:, WIDTH:], "head_dist.bias": bias}
        return torch.func.functional_call(self.network, heads, (x,))


class Clip(Transformers):
    """transformers' own classifier: the patches' mean before the last layer norm."""

    def __init__(self):
        import transformers

        torch.nn.Module.__init__(self)
        tower = transformers.CLIPVisionConfig(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, intermediate_size=HIDDEN)
        config = transformers.CLIPConfig(vision_config=tower.to_dict(), num_labels=CLASSES)
        self.network = transformers.CLIPForImageClassification(config)

    def forward(self, x):
        tower = self.network.vision_model
        states = tower(x, interpolate_pos_encoding=True).last_hidden_state
        logits = self.network.classifier(states[:, 1:].mean(1))
        if x.shape[2:] == (SIDE, SIDE):
            assert torch.equal(logits, self.network(x).logits)
        return logits


class ClipTower(torch.nn.Module):
    """CLIP's vision tower up to its pooled output, with a classifier of one's own behind it."""

    def __init__(self):
        super().__init__()
        import transformers

        self.tower = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(
            hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE,
            patch_size=PATCH, intermediate_size=HIDDEN))
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.head(self.tower(x, interpolate_pos_encoding=True).pooler_output)


def clip_name(path):
    return "unused" if "post_layernorm." in path else tower_name(path)


def wrapped(rename):
    return lambda path: rename(path.removeprefix("network."))


BASE = f"vit_p{PATCH}_g4x4_w{WIDTH}_d{DEPTH}_h{HEADS}_m{HIDDEN}"
WIDE = f"vit_p{PATCH}_g4x4_w{WIDTH}_d{DEPTH}_h{HEADS}_m{4 * WIDTH}"
# Of positions that are not learned the grid is that of the published networks' images, 256 or 224 pixels.
ROTARY = f"vit_p{PATCH}_g{{0}}x{{0}}_w{WIDTH}_d{DEPTH}_h{HEADS}_m{HIDDEN}_reg4_pos0_eps1e-05_scale"
# Key -> Thaw's name, the network, how Thaw calls its parameters.
NETWORKS = {
    "timm": (BASE, lambda: timm_model(), own),
    "timm, registers": (
        BASE + "_reg4_pos0_scale",
        lambda: timm_model(reg_tokens=4, no_embed_class=True, init_values=1.0), own),
    "timm, mean": (
        BASE + "_noclass_pos0_fcnorm",
        lambda: timm_model(class_token=False, global_pool="avg"), own),
    "timm, distilled": (BASE + "_reg1_pos2_distilled", Distilled, distilled_name),
    "timm, SigLIP": (
        BASE + "_noclass_pos0_map", lambda: timm_model(class_token=False, global_pool="map"), own),
    "torchvision": (BASE + "_corners", Torchvision, wrapped(torchvision_name)),
    "transformers, ViT": (
        BASE + "_eps1e-12_cubic", lambda: Transformers("ViT", intermediate_size=HIDDEN),
        wrapped(transformers_name)),
    "transformers, DeiT": (
        BASE + "_reg1_pos2_eps1e-12_cubic",
        lambda: Transformers("DeiT", intermediate_size=HIDDEN), wrapped(transformers_name)),
    "transformers, DINOv2": (
        WIDE + "_scale_both_cubic", lambda: Transformers("Dinov2"), wrapped(transformers_name)),
    "transformers, DINOv2 with registers": (
        WIDE + "_reg4_scale_both", lambda: Transformers("Dinov2WithRegisters"),
        wrapped(transformers_name)),
    "transformers, SigLIP": (
        BASE + "_noclass_pos0_tanh_mean_cubic", Siglip, wrapped(tower_name)),
    "SigLIP": (BASE + "_noclass_pos0_tanh_map_cubic", SiglipTower, pooled_tower_name),
    "transformers, CLIP": (BASE + "_eps1e-05_quick_pre_plain_cubic", Clip, wrapped(clip_name)),
    "CLIP": (BASE + "_eps1e-05_quick_pre_cubic", ClipTower, tower_name),
    "timm, DINOv3": (
        ROTARY.format(32) + "_mean_rope100_nobias", timm_dinov3, rotary_name),
    "timm, DINOv3 with gated units": (
        ROTARY.format(32) + "_mean_rope100_qvbias_swiglu",
        lambda: timm_dinov3(qkv_bias=True, swiglu_mlp=True, swiglu_align_to=8), rotary_name),
    "facebook, DINOv3": (
        ROTARY.format(28) + "_rope100bf16_qvbias", FacebookDINOv3, wrapped(rotary_name)),
    "transformers, DINOv3": (
        ROTARY.format(28) + "_rope100_qvbias", TransformersDINOv3, rotary_name),
    "transformers, DINOv3 with gated units": (
        ROTARY.format(28) + "_rope100_qvbias_swiglu",
        lambda: TransformersDINOv3(use_gated_mlp=True, hidden_act="silu"), gated_name),
}


def images(size):
    return procedural(f"input.{size[0]}x{size[1]}", (IMAGES, 3, *size))


def stored(model):
    """Names and shapes as the library writes them."""
    if hasattr(model, "stored"):
        return model.stored()
    network = getattr(model, "network", model)
    if not hasattr(network, "save_pretrained"):
        return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    import tempfile

    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        with safe_open(folder + "/model.safetensors", "pt") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}


def main():
    records = {}
    for key, (name, make, rename) in NETWORKS.items():
        model = make().double().eval()
        fill(model, rename)
        with torch.no_grad():
            logits = [model(images(size)) for size in SIZES]
        loss = (model(images(SIZES[0])) * procedural("loss", (IMAGES, CLASSES))).sum()
        records[key] = {
            "name": name, "tensors": stored(model), "sizes": SIZES,
            "logits": [rounded(value.flatten().tolist()) for value in logits],
            "gradients": gradients(model, rename, loss),
        }
        print(key, [f"{value.std():.3g}" for value in logits], flush=True)
    lines = [f"{json.dumps(name)}:{json.dumps(record, separators=(',', ':'))}"
             for name, record in records.items()]
    (Path(sys.argv[1]) / "transformers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
