// SPDX-License-Identifier: Apache-2.0

import ThawInference

/// A cure as a few lines for the program that a network was trained with.
struct BatchNormCode {
  /// The lines.
  let text: String

  /// Nil where no line of code is the cure.
  ///
  /// - Parameter fix: the recommended one; nil for none.
  init?(_ kind: BatchNormFinding, _ fix: String?, of classifier: Classifier) {
    let system = System(classifier)
    switch kind {
    case .batchStatistics, .alteredBatchNorms:
      let restores = fix?.hasPrefix("restore") ?? false
      text = ((restores ? [system.restoring].compactMap(\.self) : []) + [system.freezing])
        .joined(separator: "\n")
    case .initialStatistics, .corruptedStatistics:
      guard let lines = system.restoring else { return nil }
      text = lines
    case .healthy, .otherEpsilon, .preprocessing, .labelOrder, .overfitting, .undertrained, .weak,
      .cannotTell, .noBatchNorm:
      return nil
    }
  }

  /// What the network was trained with.
  private enum System {
    case thaw, keras, torch

    init(_ classifier: Classifier) {
      let name = classifier.source.lowercased()
      if classifier.record != nil {
        self = .thaw
      } else {
        self =
          [".h5", ".hdf5", ".keras"].contains(where: name.hasSuffix) ? .keras : .torch
      }
    }

    /// Frozen batch norms in inference mode.
    var freezing: String {
      switch self {
      case .thaw: "thaw train --run RUN --frozen-batch-norm inference"
      case .keras:
        """
        # Keras: when the model is built
        features = base_model(inputs, training=False)
        """
      case .torch:
        """
        # PyTorch: after every model.train()
        for layer in model.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.eval()
        """
      }
    }

    /// Batch norms of the original checkpoint; nil where a command does it.
    var restoring: String? {
      switch self {
      case .thaw: nil
      case .keras:
        """
        # Keras: before the head is trained again
        for layer, original in zip(base_model.layers, original_model.layers):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights(original.get_weights())
        """
      case .torch:
        """
        # PyTorch: before the head is trained again
        layers = dict(original_model.named_modules())
        for name, layer in model.named_modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.load_state_dict(layers[name].state_dict())
        """
      }
    }
  }
}
