// SPDX-License-Identifier: Apache-2.0

import ThawImages

// The keys of the small sections; those of training are in Recipe+TrainKeys.swift and
// Recipe+FineTuneKeys.swift.

extension RecipeKey where Section == Recipe {
  package static var name: RecipeKey {
    RecipeKey("name", \.name, .text, "A title for reports; a new run's own unless given.")
  }
  package static var backbone: RecipeKey {
    RecipeKey(
      "backbone", \.backbone, .text, option: "backbone",
      "Name of the pretrained network's card (`thaw pretrained list`).")
  }
  package static var seed: RecipeKey {
    RecipeKey("seed", \.seed, .seed, "Of every random stream (`--seed`).")
  }
  package static var minutes: RecipeKey {
    RecipeKey(
      "minutes", \.minutes, .optional(.number(0...100_000), from: 1), option: "minutes",
      "About how long `fit` may take, all in all: it plans what fits, and records the plan in place of this"
        + " key. `thaw fit` alone heeds it. See [minutes.md](minutes.md).")
  }
  package static var precision: RecipeKey {
    RecipeKey(
      "precision", \.precision, .choice(unlessUsual: .float32), option: "precision",
      "Numbers of the network wherever it does not train: frozen layers, evaluation, prediction."
        + " `bfloat16` is faster on processors that have it; `auto` takes it there.")
  }
  package static var cache: RecipeKey {
    RecipeKey(
      "cache", \.cache, .choice, option: "cache",
      "Numbers of the feature cache while training; `float16` halves the disk. What is judged is"
        + " never rounded.")
  }
  /// One list for both trainings; the last is the network's own size.
  package static var sizes: RecipeKey {
    RecipeKey(
      "sizes", from: [], .wholes(Recipe.sides),
      "Sets `sizes` of `train` and `fine_tune` and, with its last, `image.size`."
    ) { recipe, sizes in
      guard let last = sizes.last else { return }
      recipe.train.sizes = sizes
      recipe.fineTune.train.sizes = sizes
      recipe.image.size = last
    }
  }
}

extension RecipeKey where Section == Recipe.Data {
  package static var valid: RecipeKey {
    RecipeKey(
      "valid", \.valid, .number(0...0.9), option: "valid",
      "Share held out for validation, without a folder for it.")
  }
  package static var test: RecipeKey {
    RecipeKey(
      "test", \.test, .number(0...0.9), option: "test",
      "Share kept for testing, without a folder for it.")
  }
  package static var onBadImage: RecipeKey {
    RecipeKey(
      "on_bad_image", \.onBadImage, .choice, option: "on-bad-image",
      "What to do after all photos that cannot be decoded are listed.")
  }
  package static var layout: RecipeKey {
    RecipeKey(
      "layout", \.layout, .choice(unlessUsual: .auto), option: "layout",
      "How the folders are arranged: by their names, one a class, or split folders above the classes."
    )
  }
  package static var labels: RecipeKey {
    RecipeKey(
      "labels", \.labels, .optionalText, option: "labels",
      "A table of labels in place of class folders: CSV, TSV or JSON lines, a row a photo.")
  }
  package static var tableColumns: RecipeKey {
    RecipeKey(
      "table_columns", \.tableColumns, .optionalText, option: "table-columns",
      idle: { $0.labels.isEmpty ? "there is no table of labels" : nil },
      "The table's columns where their names do not tell: `path=A,label=B,split=C`. Several `label=` are a"
        + " column a class, with 0 or 1.")
  }
  package static var severalLabels: RecipeKey {
    RecipeKey(
      "several_labels", \.severalLabels, .choice(unlessUsual: .auto), option: "several-labels",
      "Whether a photo may have several labels, or none: as the table of labels says, `yes`, or `no`."
    )
  }
  package static var labelSeparator: RecipeKey {
    RecipeKey(
      "label_separator", \.labelSeparator, .optionalText, option: "label-separator",
      "What stands between several labels in one cell of the table: one character, or `space`.")
  }
  package static var groupBy: RecipeKey {
    RecipeKey(
      "group_by", \.groupBy, .optionalText, option: "group-by",
      "What keeps photos in one split: `folder` (the first below the class), a column of the table of"
        + " labels, or a pattern on the path such as `(?<patient>P\\d+)_`.")
  }
  package static var nearDuplicates: RecipeKey {
    RecipeKey(
      "near_duplicates", \.nearDuplicates, .choice(unlessUsual: .group), option: "near-duplicates",
      "What to do about photos that show the same picture: keep a `group` in one split, `warn`, `ignore`"
        + " them, or `drop` all but the largest of each class.")
  }
  package static var conflictingLabels: RecipeKey {
    RecipeKey(
      "conflicting_labels", \.conflictingLabels, .choice(unlessUsual: .stop),
      option: "conflicting-labels",
      "What to do about photos that are in folders of several classes: `stop`, leave all copies out, or"
        + " `keep` them in every class.")
  }
}

extension RecipeKey where Section == Recipe.Data {
  package static var unlabelled: RecipeKey {
    RecipeKey(
      "unlabelled", \.unlabelled, .optionalText, option: "unlabelled",
      "A folder or archive of photos without labels: they help to train the head where cross-validation shows"
        + " that they do. See [unlabelled.md](unlabelled.md).")
  }
}

extension RecipeKey where Section == Recipe.Image {
  package static var size: RecipeKey {
    RecipeKey(
      "size", \.size, .whole(Recipe.sides, or: "auto"), option: "size",
      "Side of the network's input in pixels; `auto` is the card's.")
  }
  package static var colorProfiles: RecipeKey {
    RecipeKey(
      "color_profiles", \.colorProfiles, .choice, option: "color-profiles",
      "Colour profiles inside photos (Display P3, Adobe RGB, inks): `convert` colours to sRGB, or `ignore`"
        + " them. The model keeps it for prediction.")
  }
  package static var sixteenBit: RecipeKey {
    RecipeKey(
      "sixteen_bit", \.sixteenBit, .choice(unlessUsual: .highByte), option: "sixteen-bit",
      "16-bit PNG and TIFF: the high byte of each sample, or `stretch` what uses 8, 10, 12 or 14 bits over"
        + " the whole range. The model keeps it.")
  }
  package static var maxPixels: RecipeKey {
    RecipeKey(
      "max_pixels", \.maxPixels, .whole(1_000_000...4_000_000_000, or: "auto"),
      option: "max-pixels",
      "Most pixels of a photo, 3 bytes of memory each and thread; `auto` is 89478485. A larger JPEG is read"
        + " at a fraction of its size, others are refused. The model keeps it.")
  }
}

extension RecipeKey where Section == Recipe.Head {
  package static var hidden: RecipeKey {
    RecipeKey(
      "hidden", \.hidden, .whole(1...65536, or: "none", zero: true), option: "hidden",
      optionText: "0 is none, too.", "Width of a hidden layer in the new head.")
  }
  package static var dropout: RecipeKey {
    RecipeKey(
      "dropout", \.dropout, .number(0...0.99), option: "dropout",
      "Probability of dropping a feature in training.")
  }
  package static var frozenBatchNorm: RecipeKey {
    RecipeKey(
      "frozen_batch_norm", \.frozenBatchNorm, .batchNorm, option: "frozen-batch-norm",
      "Batch norms of frozen layer groups: a mode, or a system whose way is meant.")
  }
}

extension RecipeKey where Section == Recipe.Evaluate {
  package static var tta: RecipeKey {
    RecipeKey(
      "tta", \.tta.count, .whole(1...64), option: "tta",
      "Looks at each photo whose probabilities are combined; 1 is the centre alone.")
  }
  package static var ttaMode: RecipeKey {
    RecipeKey(
      "tta_mode", \.tta.mode, .choice, option: "tta-mode",
      optionText: """
        crops: mean of deterministic crops. With the training augmentation: mean (fastai 0.7), \
        blend or maximum (fastai 2). corners: eight magnified corners, whatever the number \
        (fastai 1).
        """, "Which looks, and how they become one answer.")
  }
  package static var ttaClean: RecipeKey {
    RecipeKey(
      "tta_clean", \.tta.cleanShare, .number(0...1, or: "auto"),
      "Share of the centre in `corners` (`auto`: 0.4) and `blend` (`auto`: 0.25).")
  }
  package static var snapshots: RecipeKey {
    RecipeKey(
      "snapshots", \.snapshots, .truth, option: "snapshots",
      "Average the snapshots of the training, models at the ends of its cycles, in place of its one"
        + " result.")
  }
}

extension Recipe {
  /// Sides of images that networks take.
  package static let sides = 32...2048
}

extension Recipe.Data {
  /// The keys of `data`.
  package static let keys: [RecipeKey<Recipe.Data>] = [
    .layout, .labels, .tableColumns, .severalLabels, .labelSeparator, .groupBy, .valid, .test,
    .onBadImage, .conflictingLabels,
    .nearDuplicates, .unlabelled,
  ]
}

extension Recipe.Image {
  /// The keys of `image`.
  package static let keys: [RecipeKey<Recipe.Image>] = [
    .size, .colorProfiles, .sixteenBit, .maxPixels,
  ]
}

extension Recipe.Head {
  /// The keys of `head`.
  package static let keys: [RecipeKey<Recipe.Head>] = [.hidden, .dropout, .frozenBatchNorm]
}

extension Recipe.Evaluate {
  /// The keys of `evaluate`.
  package static let keys: [RecipeKey<Recipe.Evaluate>] = [.tta, .ttaMode, .ttaClean, .snapshots]
}
