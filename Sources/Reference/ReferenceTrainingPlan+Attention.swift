// SPDX-License-Identifier: Apache-2.0

import ThawTensors

extension ReferenceTrainingPlan {
  /// How much each token took of each other in the last pass of one sample: for each attention, in order, the mean
  /// over its heads of softmax(q k^T / sqrt(d)), [tokens, tokens], whose rows add up to 1.
  ///
  /// Computed anew from what went into the attentions, which a plan for training keeps.
  package var attentionWeights: [[Scalar]] {
    program.instructions.compactMap { ($0.layer as? ReferenceAttention<Scalar>)?.meanWeights }
  }

  /// The same for a pooling by attention, [tokens]; nil where there is none.
  package var poolingWeights: [Scalar]? {
    program.instructions.lazy.compactMap {
      ($0.layer as? ReferenceAttentionPooling<Scalar>)?.meanWeights
    }.first
  }
}
