// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// A two-dimensional convolution (cross-correlation, as every framework means it).
///
/// Parameters: `weight` [outputs, inputs / groups, kH, kW] (with `storesMatrix` [outputs, inputs]) and,
/// with `hasBias`, `bias` [outputs].
package struct Convolution2D: Hashable, Sendable {
  /// Input channels.
  package var inputs: Int
  /// Output channels.
  package var outputs: Int
  /// Kernel, stride, dilation and padding.
  package var window: Window2D
  /// Channel groups; `inputs` for a depthwise convolution.
  package var groups: Int
  /// Whether a bias is added to each output channel.
  package var hasBias: Bool
  /// Whether `weight` is kept as a matrix: a dense layer over the channels of each pixel, which is
  /// how PyTorch's ConvNeXt stores its 1x1 convolutions. Nothing else differs.
  package var storesMatrix: Bool

  /// Describes a convolution; traps unless `groups` divides both channel counts, and for a matrix
  /// unless there are one tap and one group.
  package init(
    inputs: Int, outputs: Int, window: Window2D, groups: Int = 1, hasBias: Bool = false,
    storesMatrix: Bool = false
  ) {
    precondition(
      groups >= 1 && inputs % groups == 0 && outputs % groups == 0,
      "\(groups) groups do not divide \(inputs) input and \(outputs) output channels.")
    precondition(
      !storesMatrix || (groups == 1 && window.kernel == Extent2D(1)),
      "Only an ungrouped 1x1 convolution has a matrix for its weight.")
    self.storesMatrix = storesMatrix
    self.inputs = inputs
    self.outputs = outputs
    self.window = window
    self.groups = groups
    self.hasBias = hasBias
  }
}

/// Normalisation of each channel over N, H and W.
///
/// y = weight * (x - mean) / sqrt(variance + epsilon) + bias, per channel. Parameters: `weight` and
/// `bias` [channels] (absent as the flags say), buffers `running_mean` and `running_var` [channels].
/// Which statistics are used and whether they move is decided by a ``BatchNormMode``, not here.
package struct BatchNormalization: Hashable, Sendable {
  package var channels: Int
  /// Added to the variance.
  package var epsilon: Double
  /// Weight of the new statistic, PyTorch's convention (Keras's momentum is 1 minus this).
  package var momentum: Double
  /// Whether a scale (`weight`, gamma) exists; Keras's Inception has none.
  package var hasScale: Bool
  /// Whether a shift (`bias`, beta) exists.
  package var hasShift: Bool
  /// What the running variance takes from a batch; the forward pass always uses the biased one.
  package var runningVarianceCorrection: VarianceCorrection

  /// Describes a batch normalisation; the defaults are PyTorch's.
  package init(
    channels: Int, epsilon: Double = 1e-5, momentum: Double = 0.1, hasScale: Bool = true,
    hasShift: Bool = true, runningVarianceCorrection: VarianceCorrection = .bessel
  ) {
    self.channels = channels
    self.epsilon = epsilon
    self.momentum = momentum
    self.hasScale = hasScale
    self.hasShift = hasShift
    self.runningVarianceCorrection = runningVarianceCorrection
  }
}

/// Normalisation of each pixel (or row of features) over its channels.
///
/// y[n,c,h,w] = weight[c] * (x[n,c,h,w] - mean) / sqrt(variance + epsilon) + bias[c], with the mean and
/// the biased variance of x[n,:,h,w]. Parameters: `weight` and `bias` [channels]; they train with
/// their layer group, no ``BatchNormMode`` touches them. Nothing depends on the rest of the batch.
///
/// - Source: Ba et al. 2016, arXiv:1607.06450; torchvision's `LayerNorm2d`.
package struct LayerNormalization: Hashable, Sendable {
  /// Channels, or features.
  package var channels: Int
  /// Added to the variance.
  package var epsilon: Double
  /// Describes a layer normalisation; the default epsilon is ConvNeXt's.
  package init(channels: Int, epsilon: Double = 1e-6) {
    self.channels = channels
    self.epsilon = epsilon
  }
}

/// Lets the channels of an image compete: each is strengthened by its share of all of them.
///
/// y[n,c,h,w] = x[n,c,h,w] * (1 + weight[c] * g[n,c] / (mean of g[n,:] + epsilon)) + bias[c], with g[n,c]
/// the Euclidean norm of x[n,c,:,:]. Parameters: `weight` and `bias` [channels], 0 when a training begins.
/// Nothing depends on the rest of the batch.
///
/// - Source: Woo et al. 2023, arXiv:2301.00808; timm's `GlobalResponseNorm`.
package struct ResponseNormalization: Hashable, Sendable {
  package var channels: Int
  /// Added to the mean of the norms.
  package var epsilon: Double
  /// Describes a response normalisation; the default epsilon is ConvNeXt V2's.
  package init(channels: Int, epsilon: Double = 1e-6) {
    self.channels = channels
    self.epsilon = epsilon
  }
}

/// y[n,c,h,w] = scale[c] * x[n,c,h,w] with a scale that trains ("layer scale"), or one that is a number of
/// the network's definition, such as the 0.17 of Inception-ResNet's residuals.
///
/// Parameter: one, called `name` below the node's path, [channels, 1, 1] as torchvision keeps it, or with
/// `isVector` [channels], as it is where tokens are scaled. With a `constant` there is none.
///
/// - Source: Touvron et al. 2021, arXiv:2103.17239; Szegedy et al. 2016, arXiv:1602.07261.
package struct ChannelScale: Hashable, Sendable {
  package var channels: Int
  /// Last component of the parameter's path.
  package var name: String
  /// Whether the parameter has one extent alone; nothing else differs.
  package var isVector: Bool
  /// The scale of every channel where nothing of it is learned; nil where it is a parameter.
  package var constant: Double?
  /// Describes a scale.
  package init(
    channels: Int, name: String = "weight", isVector: Bool = false, constant: Double? = nil
  ) {
    self.constant = constant
    self.channels = channels
    self.name = name
    self.isVector = isVector
  }

  /// Extents of the parameter.
  package var shape: Shape { isVector ? [channels] : [channels, 1, 1] }

  /// The constant of every channel; nil where the scale is a parameter.
  package var constants: Tensor<Float>? {
    constant.map { Tensor([Float](repeating: Float($0), count: channels), shape: shape) }
  }
}

/// A function of one number.
package enum Activation: String, Hashable, Sendable, Codable, CaseIterable {
  /// max(x, 0).
  case relu
  /// min(max(x, 0), 6).
  case relu6
  /// x * sigmoid(x), also called swish.
  case silu
  /// 1 / (1 + exp(-x)).
  case sigmoid
  /// x * P(X <= x) for a standard normal X: x / 2 * (1 + erf(x / sqrt(2))), the exact form.
  case gelu
  /// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): GELU by an approximation, another function.
  case geluTanh
  /// x * sigmoid(1.702 x): CLIP's approximation, another function again.
  case quickGELU
  /// min(max(x + 3, 0), 6) / 6, a sigmoid of straight lines.
  ///
  /// - Source: Howard et al. 2019, arXiv:1905.02244; PyTorch's. Keras 2's function of that name has
  ///   another slope.
  case hardSigmoid
  /// x * min(max(x + 3, 0), 6) / 6, of the same source.
  case hardSwish
}

/// Which number a pooling window keeps.
package enum PoolingKind: Hashable, Sendable {
  /// The largest; padding never wins.
  case maximum
  /// The mean; whether zeros of the padding count in the divisor (PyTorch's `count_include_pad`).
  case average(includesPadding: Bool)
}

/// y = x weight^T + bias. Parameters: `weight` [outputs, inputs], with `hasBias` `bias` [outputs].
package struct Dense: Hashable, Sendable {
  /// Input features.
  package var inputs: Int
  /// Output features.
  package var outputs: Int
  /// Whether a bias is added.
  package var hasBias: Bool
  /// Describes a dense layer.
  package init(inputs: Int, outputs: Int, hasBias: Bool = true) {
    self.inputs = inputs
    self.outputs = outputs
    self.hasBias = hasBias
  }
}

/// What a node of a ``Graph`` computes. Activations are [N, C, H, W]; after ``flatten`` [N, F].
package enum Operation: Hashable, Sendable {
  /// The network's input with `channels` channels.
  case input(channels: Int)
  /// See ``Convolution2D``.
  case convolution(Convolution2D)
  /// See ``BatchNormalization``.
  case batchNormalization(BatchNormalization)
  /// Element-wise function.
  case activation(Activation)
  /// See ``LayerNormalization``.
  case layerNormalization(LayerNormalization)
  /// See ``ResponseNormalization``.
  case responseNormalization(ResponseNormalization)
  /// See ``ChannelScale``.
  case channelScale(ChannelScale)
  /// Element-wise sum of two inputs of equal shape.
  case add
  /// The first input, [N, C, H, W], times the second, [N, C, 1, 1]: what squeeze-and-excitation does
  /// with its gates.
  ///
  /// - Source: Hu et al. 2017, arXiv:1709.01507.
  case gate
  /// Element-wise product of two inputs of equal shape: what gated linear units do.
  ///
  /// - Source: Shazeer 2020, arXiv:2002.05202.
  case multiply
  /// Concatenation of all inputs along the channels.
  case concatenate
  /// Pooling with a window.
  case pooling(PoolingKind, Window2D)
  /// Mean over H and W; the result is [N, C, 1, 1].
  case globalAveragePooling
  /// Maximum over H and W; the result is [N, C, 1, 1].
  case globalMaximumPooling
  /// Mean over windows that divide the image into `Extent2D` outputs whatever its size: output i of o
  /// sees the rows from floor(i * H / o) up to ceil((i + 1) * H / o); columns likewise.
  ///
  /// - Source: PyTorch's `AdaptiveAvgPool2d`.
  case adaptiveAveragePooling(Extent2D)
  /// [N, C, H, W] to [N, C*H*W], channel-major as PyTorch flattens.
  case flatten
  /// Sets each element to 0 with this probability in training and scales the others by
  /// 1 / (1 - probability); the identity in inference. Freezing does not switch it off.
  case dropout(probability: Double)
  /// Like ``dropout(probability:)``, but all elements of a sample share one fate: a residual branch is
  /// left out for that sample.
  ///
  /// - Source: Huang et al. 2016, arXiv:1603.09382; torchvision's `StochasticDepth` in mode `row`.
  case stochasticDepth(probability: Double)
  /// See ``Dense``.
  case dense(Dense)
  /// See ``TokenSequence``.
  case tokens(TokenSequence)
  /// See ``Attention``.
  case attention(Attention)
  /// See ``AttentionPooling``.
  case attentionPooling(AttentionPooling)
  /// See ``TokenSelection``.
  case selectTokens(TokenSelection)
}
