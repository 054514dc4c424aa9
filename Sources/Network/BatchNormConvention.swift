// SPDX-License-Identifier: Apache-2.0

/// What a system really does with the batch norms of a network whose first layers are frozen.
///
/// | name | frozen batch norm in training | running statistics | scale and shift | the others |
/// |---|---|---|---|---|
/// | `keras-2.1.2` | batch | move | fixed | `training` |
/// | `keras-2.1.3` | batch | stay | fixed | `training` |
/// | `keras-3` | running | stay | fixed | `training` |
/// | `pytorch` | batch | move | fixed | `training` |
/// | `fastai-2` | batch | move | learn | `training` |
/// | `timm` | running | stay | fixed | `training` |
///
/// "Frozen" is what each system's ordinary way of freezing leaves behind: `layer.trainable = False` in
/// Keras, `requires_grad = False` in PyTorch (the module still in `train()`), `learn.freeze()` in
/// fastai (whose `train_bn` is on by default), `freeze()` in timm (which puts `FrozenBatchNorm2d` in
/// its place). Batch norms outside the frozen part are ordinary training ones in all six.
///
/// - Source: keras 2.1.2 `Layer.updates`; keras commit 24246ea531 (2.1.3); keras 3
///   `BatchNormalization.call`; torch `nn.modules.batchnorm`; fastai `Learner.freeze`, `set_bn_train`;
///   timm `utils.model.freeze`.
package enum BatchNormConvention: String, Hashable, Sendable, CaseIterable {
  /// Keras up to 2.1.2.
  case keras212 = "keras-2.1.2"
  /// Keras 2.1.3 to 2.3.
  case keras213 = "keras-2.1.3"
  /// Keras 3, and tf.keras since TensorFlow 2.
  case keras3 = "keras-3"
  /// PyTorch when only `requires_grad` is cleared.
  case pytorch
  /// fastai 2 with its default `train_bn=True`.
  case fastai2 = "fastai-2"
  /// timm's `freeze()`.
  case timm

  /// Mode of the batch norms in frozen groups.
  package var frozen: BatchNormMode {
    switch self {
    case .keras212, .pytorch: .staleUpdate
    case .keras213: .batchStatistics
    case .keras3, .timm: .inference
    case .fastai2: .training
    }
  }

  /// Mode of the batch norms in groups that train.
  package var trainable: BatchNormMode { .training }
}

extension BatchNormMode {
  /// What a mode's name, or a system's, means for a frozen batch norm; nil for an unknown name.
  package init?(frozen name: String) {
    guard let mode = BatchNormMode(rawValue: name) ?? BatchNormConvention(rawValue: name)?.frozen
    else { return nil }
    self = mode
  }

  /// What a mode's name, or a system's, means for a batch norm in a group that trains; nil for an
  /// unknown name.
  package init?(trainable name: String) {
    guard let mode = BatchNormMode(rawValue: name) ?? BatchNormConvention(rawValue: name)?.trainable
    else { return nil }
    self = mode
  }

  /// All names that are understood.
  package static let knownNames =
    allCases.map(\.rawValue) + BatchNormConvention.allCases.map(\.rawValue)
}
