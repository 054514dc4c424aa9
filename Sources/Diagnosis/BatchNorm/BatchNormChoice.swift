// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Which batch norms a network gets.
package enum BatchNormChoice: Hashable, Sendable {
  /// Its own.
  case asTheyAre
  /// Running statistics computed anew from the photos that fixes learn from; of some layers, or of
  /// all.
  case anew(Set<ParameterPath>?)
  /// The pretrained checkpoint's, scales and shifts included.
  case checkpoint
  /// Its own, with running variances that make up for another epsilon: the layer computes what it would
  /// with that one.
  case epsilon(Double)
}
