// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles
import ThawInference
import ThawNetwork

/// A cure as a few lines for the program that a network was trained with.
package struct BatchNormCode {
  /// The lines.
  package let text: String

  /// Nil where no line of code is the cure.
  ///
  /// - Parameters:
  ///   - fix: the recommended one; nil for none.
  ///   - isOfRun: whether the network is the model of a run.
  init?(
    _ kind: BatchNormFinding, _ fix: String?, of classifier: Classifier, isOfRun: Bool
  ) {
    let blocks: [String?]
    switch kind {
    case .batchStatistics, .alteredBatchNorms:
      let restores = fix?.hasPrefix("restore") ?? false
      blocks =
        classifier.record != nil
        ? [BatchNormCode.command(of: classifier, isOfRun: isOfRun)]
        : System.candidates(of: classifier).flatMap {
          [restores ? $0.restoring : nil, $0.freezing]
        }
    case .initialStatistics, .corruptedStatistics:
      blocks =
        classifier.record == nil ? System.candidates(of: classifier).map(\.restoring) : []
    case .healthy, .otherEpsilon, .preprocessing, .labelOrder, .overfitting, .undertrained, .weak,
      .cannotTell, .noBatchNorm:
      return nil
    }
    guard !blocks.compactMap(\.self).isEmpty else { return nil }
    text = blocks.compactMap(\.self).joined(separator: "\n")
  }

  /// The command that trains the model of a run again; nil where frozen batch norms were in inference mode
  /// all along, as they are unless something else is asked for.
  private static func command(of classifier: Classifier, isOfRun: Bool) -> String? {
    guard let record = classifier.record, record.freezing.frozenBatchNorm != .inference else {
      return nil
    }
    let run =
      isOfRun
      ? ShellWord.quote(FilePath(classifier.source).removingLastComponent().string) : "RUN"
    let train = "thaw train --run \(run) --frozen-batch-norm inference"
    return classifier.trainedHeadAlone ?? true
      ? train : "\(train)\nthaw fine-tune --run \(run) --frozen-batch-norm inference"
  }

  /// What a network of another program was trained with.
  package enum System: Sendable {
    case keras, torch

    fileprivate static func candidates(of classifier: Classifier) -> [System] {
      candidates(
        file: classifier.source, writer: classifier.model.record.notes[StoredModel.writer] ?? "")
    }

    /// What it may be, from the name of its file and, for a format that several write, from who wrote it.
    /// Where that leaves both possible it is both.
    package static func candidates(file: String, writer: String) -> [System] {
      let (name, writer) = (file.lowercased(), writer.lowercased())
      if [".h5", ".hdf5", ".keras"].contains(where: name.hasSuffix)
        || ["keras", "tf2onnx", "tensorflow"].contains(where: writer.contains)
      {
        return [.keras]
      }
      if [".onnx", ".npz"].contains(where: name.hasSuffix), !writer.contains("torch") {
        return [.keras, .torch]
      }
      return [.torch]
    }

    /// Frozen batch norms in inference mode.
    fileprivate var freezing: String {
      switch self {
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

    /// Batch norms of the original checkpoint.
    fileprivate var restoring: String {
      switch self {
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
