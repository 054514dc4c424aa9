// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawNetwork

extension Manifest {
  /// What makes probabilities of the outputs of a network that is trained on it.
  var outputActivation: OutputActivation { severalLabels ? .independentSigmoids : .softmax }

  /// What the share of right answers is called: of a photo that may have several labels all must be right.
  var accuracyName: String { severalLabels ? "all labels right" : "accuracy" }
}
