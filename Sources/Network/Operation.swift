// SPDX-License-Identifier: Apache-2.0

/// A two-dimensional convolution (cross-correlation, as every framework means it).
///
/// Parameters: `weight` [outputs, inputs / groups, kH, kW] and, with `hasBias`, `bias` [outputs].
public struct Convolution2D: Hashable, Sendable {
  /// Input channels.
  public var inputs: Int
  /// Output channels.
  public var outputs: Int
  /// Kernel, stride, dilation and padding.
  public var window: Window2D
  /// Channel groups; `inputs` for a depthwise convolution.
  public var groups: Int
  /// Whether a bias is added to each output channel.
  public var hasBias: Bool

  /// Describes a convolution; traps unless `groups` divides both channel counts.
  public init(
    inputs: Int, outputs: Int, window: Window2D, groups: Int = 1, hasBias: Bool = false
  ) {
    precondition(
      groups >= 1 && inputs % groups == 0 && outputs % groups == 0,
      "\(groups) groups do not divide \(inputs) input and \(outputs) output channels.")
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
public struct BatchNormalization: Hashable, Sendable {
  /// Channels.
  public var channels: Int
  /// Added to the variance.
  public var epsilon: Double
  /// Weight of the new statistic, PyTorch's convention (Keras's momentum is 1 minus this).
  public var momentum: Double
  /// Whether a scale (`weight`, gamma) exists; Keras's Inception has none.
  public var hasScale: Bool
  /// Whether a shift (`bias`, beta) exists.
  public var hasShift: Bool
  /// What the running variance takes from a batch; the forward pass always uses the biased one.
  public var runningVarianceCorrection: VarianceCorrection

  /// Describes a batch normalisation; the defaults are PyTorch's.
  public init(
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

/// A function of one number.
public enum Activation: String, Hashable, Sendable, Codable {
  /// max(x, 0).
  case relu
  /// min(max(x, 0), 6).
  case relu6
  /// x * sigmoid(x), also called swish.
  case silu
  /// 1 / (1 + exp(-x)).
  case sigmoid
}

/// Which number a pooling window keeps.
public enum PoolingKind: Hashable, Sendable {
  /// The largest; padding never wins.
  case maximum
  /// The mean; whether zeros of the padding count in the divisor (PyTorch's `count_include_pad`).
  case average(includesPadding: Bool)
}

/// y = x weight^T + bias. Parameters: `weight` [outputs, inputs], with `hasBias` `bias` [outputs].
public struct Dense: Hashable, Sendable {
  /// Input features.
  public var inputs: Int
  /// Output features.
  public var outputs: Int
  /// Whether a bias is added.
  public var hasBias: Bool
  /// Describes a dense layer.
  public init(inputs: Int, outputs: Int, hasBias: Bool = true) {
    self.inputs = inputs
    self.outputs = outputs
    self.hasBias = hasBias
  }
}

/// What a node of a ``Graph`` computes. Activations are [N, C, H, W]; after ``flatten`` [N, F].
public enum Operation: Hashable, Sendable {
  /// The network's input with `channels` channels.
  case input(channels: Int)
  /// See ``Convolution2D``.
  case convolution(Convolution2D)
  /// See ``BatchNormalization``.
  case batchNormalization(BatchNormalization)
  /// Element-wise function.
  case activation(Activation)
  /// Element-wise sum of two inputs of equal shape.
  case add
  /// Concatenation of all inputs along the channels.
  case concatenate
  /// Pooling with a window.
  case pooling(PoolingKind, Window2D)
  /// Mean over H and W; the result is [N, C, 1, 1].
  case globalAveragePooling
  /// Maximum over H and W; the result is [N, C, 1, 1].
  case globalMaximumPooling
  /// [N, C, H, W] to [N, C*H*W], channel-major as PyTorch flattens.
  case flatten
  /// Sets each element to 0 with this probability in training and scales the others by
  /// 1 / (1 - probability); the identity in inference. Freezing does not switch it off.
  case dropout(probability: Double)
  /// See ``Dense``.
  case dense(Dense)
}
