// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Pooling of a sequence by attention: a query that is learned, the same for every image, looks at all tokens.
///
/// The input [N, 2 C, 1, T] holds the keys' channels, then the values', each head by head; per head, with
/// d = C / heads, y = v softmax(k^T q / sqrt(d)). The result is [N, C, 1, 1].
///
/// With a projection the query is q = W l + b of a latent token l, as SigLIP has it: parameters `latent` [1, 1, C],
/// `q.weight` [C, C] and `q.bias` [C]. Without one it is a parameter itself, `query`
/// [1, heads, 1, C / heads], as in a graph in which that product was computed once and for all.
///
/// - Source: Lee et al. 2018, arXiv:1810.00825, with one seed; Zhai et al. 2023, arXiv:2303.15343; timm's
///   `AttentionPoolLatent`.
package struct AttentionPooling: Hashable, Sendable {
  /// Channels of the result.
  package var channels: Int
  /// Divides ``channels``.
  package var heads: Int
  /// Whether the query is computed of a latent token.
  package var hasProjection: Bool

  /// Describes a pooling; traps unless the heads divide the channels.
  package init(channels: Int, heads: Int, hasProjection: Bool = true) {
    precondition(
      heads >= 1 && channels % heads == 0, "\(heads) heads do not divide \(channels) channels.")
    self.channels = channels
    self.heads = heads
    self.hasProjection = hasProjection
  }

  /// Channels of a head.
  package var width: Int { channels / heads }
  /// What scores are multiplied by: 1 / sqrt(``width``).
  package var scale: Double { 1 / Double(width).squareRoot() }

  /// The query of these parameters, in the order of ``parameterShapes``.
  package func query(_ parameters: [Tensor<Float>]) -> [Float] {
    guard hasProjection else { return parameters[0].elements }
    let (latent, weight, bias) = (
      parameters[0].elements, parameters[1].elements, parameters[2].elements
    )
    return (0..<channels).map { row in
      var sum = Double(bias[row])
      for column in 0..<channels {
        sum += Double(weight[row * channels + column]) * Double(latent[column])
      }
      return Float(sum)
    }
  }

  /// The parameters that exist, with their names.
  var parameterShapes: [(name: String, shape: Shape, role: ParameterRole)] {
    guard hasProjection else { return [("query", [1, heads, 1, width], .bias)] }
    return [
      ("latent", [1, 1, channels], .bias), ("q.weight", [channels, channels], .weight),
      ("q.bias", [channels], .bias),
    ]
  }
}
