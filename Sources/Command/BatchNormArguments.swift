// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawNetwork

/// `--frozen-batch-norm`: a mode, or the system whose frozen batch norms are meant.
struct FrozenBatchNorm: ExpressibleByArgument {
  let mode: BatchNormMode

  init?(argument: String) {
    guard let mode = BatchNormMode(frozen: argument) else { return nil }
    self.mode = mode
  }

  static let allValueStrings = BatchNormMode.knownNames
}

/// `--trainable-batch-norm`: a mode, or the system whose batch norms in thawed layers are meant.
struct TrainableBatchNorm: ExpressibleByArgument {
  let mode: BatchNormMode

  init?(argument: String) {
    guard let mode = BatchNormMode(trainable: argument) else { return nil }
    self.mode = mode
  }

  static let allValueStrings = BatchNormMode.knownNames
}
