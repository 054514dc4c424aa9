// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// A graph computed node by node in Double with plain loops: the oracle of the engine's tests.
enum NaiveNetwork {
  /// The result of the last node for `input`, [N, C, H, W].
  static func run(
    _ graph: Graph, _ parameters: Parameters, _ input: Tensor<Float>
  ) throws -> [Double] {
    let size =
      input.shape.rank == 4
      ? Extent2D(height: input.shape[2], width: input.shape[3]) : Extent2D(1)
    let shapes = try graph.shapes(batch: input.shape[0], size: size)
    var values: [[Double]] = [input.elements.map(Double.init)]
    for node in graph.nodes.dropFirst() {
      func parameter(_ name: String) -> [Double]? {
        (parameters[node.path.appending(name)] ?? parameters[node.path.parent.appending(name)])?
          .elements.map(Double.init)
      }
      let inputs = node.inputs.map { (values[$0.index], shapes[$0.index]) }
      if case .attention(let layer) = node.operation {
        values.append(
          attention(
            layer, inputs[0].0, shapes[node.id.index], parameter, graph.patches(of: node, shapes)))
      } else {
        values.append(result(node.operation, inputs, shapes[node.id.index], parameter))
      }
    }
    return values[values.count - 1]
  }

  private static func result(
    _ operation: Operation, _ inputs: [([Double], Shape)], _ output: Shape,
    _ parameter: (String) -> [Double]?
  ) -> [Double] {
    let (x, shape) = inputs[0]
    switch operation {
    case .input, .flatten, .dropout, .stochasticDepth: return x
    case .convolution(let layer):
      return convolution(layer, x, shape, output, parameter("weight") ?? [], parameter("bias"))
    case .batchNormalization(let layer):
      let inner = shape.extents.dropFirst(2).reduce(1, *)
      let (gamma, beta) = (parameter("weight"), parameter("bias"))
      let (mean, variance) = (parameter("running_mean") ?? [], parameter("running_var") ?? [])
      return x.enumerated().map { index, value in
        let c = index / inner % layer.channels
        return (value - mean[c]) / (variance[c] + layer.epsilon).squareRoot() * (gamma?[c] ?? 1)
          + (beta?[c] ?? 0)
      }
    case .activation(let function): return x.map { activation(function, $0) }
    case .add: return zip(x, inputs[1].0).map(+)
    case .multiply: return zip(x, inputs[1].0).map(*)
    case .gate:
      let plane = x.count / inputs[1].0.count
      return x.indices.map { x[$0] * inputs[1].0[$0 / plane] }
    case .responseNormalization(let layer):
      return response(layer, x, shape, parameter("weight") ?? [], parameter("bias") ?? [])
    case .channelScale(let layer):
      let (plane, scale) = (shape[2] * shape[3], parameter(layer.name) ?? [])
      return x.indices.map { x[$0] * scale[$0 / plane % layer.channels] }
    case .layerNormalization(let layer):
      return layerNormalization(layer, x, shape, parameter("weight") ?? [], parameter("bias") ?? [])
    case .adaptiveAveragePooling: return adaptivePooling(x, shape, output)
    case .concatenate:
      return (0..<shape[0]).flatMap { n in
        inputs.flatMap { values, shape in
          let stride = shape.count / shape[0]
          return Array(values[n * stride..<(n + 1) * stride])
        }
      }
    case .pooling(let kind, let window): return pooling(kind, window, x, shape, output)
    case .globalAveragePooling:
      let inner = shape[2] * shape[3]
      return (0..<output.count).map {
        x[$0 * inner..<($0 + 1) * inner].reduce(0, +) / Double(inner)
      }
    case .globalMaximumPooling:
      let inner = shape[2] * shape[3]
      return (0..<output.count).map { x[$0 * inner..<($0 + 1) * inner].max() ?? 0 }
    case .dense(let layer):
      let (weight, bias) = (parameter("weight") ?? [], parameter("bias"))
      return (0..<output.count).map { index in
        let (n, o) = (index / layer.outputs, index % layer.outputs)
        return (0..<layer.inputs).reduce(bias?[o] ?? 0) {
          $0 + x[n * layer.inputs + $1] * weight[o * layer.inputs + $1]
        }
      }
    case .tokens(let layer):
      let before = (parameter("cls_token") ?? []) + (parameter("reg_token") ?? [])
      return tokens(layer, x, shape, output, before, parameter("pos_embed") ?? [])
    case .attention: preconditionFailure("An attention asks for the patches before it.")
    case .attentionPooling(let layer): return pooled(layer, x, shape, parameter)
    case .selectTokens(let selection):
      return positions(output).map { n, c, _, t in
        x[(n * shape[1] + c) * shape[3] + selection.first + t]
      }
    }
  }

  private static func tokens(
    _ layer: TokenSequence, _ x: [Double], _ shape: Shape, _ output: Shape, _ before: [Double],
    _ position: [Double]
  ) -> [Double] {
    let patches = shape[2] * shape[3]
    let matrix = layer.resampling.matrix(
      from: layer.grid, to: Extent2D(height: shape[2], width: shape[3]))
    let grid = layer.grid.count
    return positions(output).map { n, c, _, t in
      let patch = t - layer.prefix
      guard patch >= 0 else {
        return before[t * layer.channels + c]
          + (t < layer.positioned ? position[t * layer.channels + c] : 0)
      }
      let own = (layer.hasPositions ? 0..<grid : 0..<0).reduce(0.0) { sum, place in
        let weight = matrix?[patch * grid + place] ?? (patch == place ? 1 : 0)
        return sum + weight * position[(layer.positioned + place) * layer.channels + c]
      }
      return x[(n * layer.channels + c) * patches + patch] + own
    }
  }

  private static func pooled(
    _ layer: AttentionPooling, _ x: [Double], _ shape: Shape, _ parameter: (String) -> [Double]?
  ) -> [Double] {
    let (channels, tokens) = (layer.channels, shape[3])
    let (weight, bias) = (parameter("q.weight") ?? [], parameter("q.bias") ?? [])
    let query =
      parameter("query")
      ?? (0..<channels).map { row in
        zip(weight[(row * channels)..<((row + 1) * channels)], parameter("latent") ?? [])
          .reduce(bias[row]) { $0 + $1.0 * $1.1 }
      }
    return (0..<shape[0] * channels).map { index in
      let (image, channel) = (index / channels * 2 * channels, index % channels)
      let head = channel / layer.width * layer.width
      let weights = (0..<tokens).map { token in
        let score = (head..<head + layer.width).reduce(0.0) {
          $0 + query[$1] * x[(image + $1) * tokens + token]
        }
        return exp(score / Double(layer.width).squareRoot())
      }
      let mixed = (0..<tokens).reduce(0.0) {
        $0 + weights[$1] * x[(image + channels + channel) * tokens + $1]
      }
      return mixed / weights.reduce(0, +)
    }
  }

  private static func attention(
    _ layer: Attention, _ x: [Double], _ output: Shape, _ parameter: (String) -> [Double]?,
    _ patches: Extent2D?
  ) -> [Double] {
    let tokens = output[3]
    let biases = [parameter("q_bias"), nil, parameter("v_bias")]
    func stored(_ n: Int, _ part: Int, _ channel: Int, _ token: Int) -> Double {
      x[(n * 3 * layer.channels + part * layer.channels + channel) * tokens + token]
        + (biases[part]?[channel] ?? 0)
    }
    func value(_ n: Int, _ part: Int, _ channel: Int, _ token: Int) -> Double {
      let own = stored(n, part, channel, token)
      guard let rotary = layer.rotary, let patches, part < 2, token >= rotary.prefix else {
        return own
      }
      let (half, place) = (layer.width / 2, channel % layer.width)
      let angle = angle(rotary, token - rotary.prefix, place % half, layer.width, patches)
      let other = stored(n, part, place < half ? channel + half : channel - half, token)
      return own * cos(angle) + (place < half ? -other : other) * sin(angle)
    }
    return positions(output).map { n, c, _, t in
      let head = c / layer.width * layer.width
      let scores = (0..<tokens).map { other in
        exponential(
          layer.scale
            * (head..<head + layer.width).reduce(0.0) {
              $0 + value(n, 0, $1, t) * value(n, 1, $1, other)
            })
      }
      let sum = scores.reduce(0, +)
      return (0..<tokens).reduce(0.0) { $0 + scores[$1] / sum * value(n, 2, c, $1) }
    }
  }

  /// The angle of pair `pair` of a patch: of the first half of the pairs by its row, of the second by its
  /// column.
  private static func angle(
    _ rotary: RotaryEmbedding, _ patch: Int, _ pair: Int, _ width: Int, _ patches: Extent2D
  ) -> Double {
    let (count, isRow) = (width / 4, pair < width / 4)
    let exponent = Double(pair % count) / Double(count)
    var period = pow(rotary.base, exponent)
    if rotary.isRounded {
      // 8 bits of precision between two powers of 2.
      let unit = pow(2, floor(log2(period)) - 7)
      period = (period / unit).rounded(.toNearestOrEven) * unit
    }
    let (place, size) =
      isRow
      ? (patch / patches.width, patches.height) : (patch % patches.width, patches.width)
    return 2 * Double.pi * (2 * (Double(place) + 0.5) / Double(size) - 1) / period
  }

  private static func activation(_ function: Activation, _ x: Double) -> Double {
    switch function {
    case .relu: max(x, 0)
    case .relu6: min(max(x, 0), 6)
    case .silu: x / (1 + exponential(-x))
    case .sigmoid: 1 / (1 + exponential(-x))
    case .gelu: x / 2 * (1 + erf(x / 2.0.squareRoot()))
    case .geluTanh: x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .quickGELU: x / (1 + exponential(-1.702 * x))
    case .hardSigmoid: min(max(x / 6 + 0.5, 0), 1)
    case .hardSwish: x * min(max(x / 6 + 0.5, 0), 1)
    }
  }

  private static func response(
    _ layer: ResponseNormalization, _ x: [Double], _ shape: Shape, _ weight: [Double],
    _ bias: [Double]
  ) -> [Double] {
    let plane = shape[2] * shape[3]
    let norms = (0..<x.count / plane).map { row in
      x[row * plane..<(row + 1) * plane].reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    return x.indices.map { index in
      let (row, channel) = (index / plane, index / plane % layer.channels)
      let own = norms[(row - channel)..<(row - channel + layer.channels)]
      let mean = own.reduce(0, +) / Double(layer.channels)
      return x[index] * (1 + weight[channel] * norms[row] / (mean + layer.epsilon)) + bias[channel]
    }
  }

  private static func layerNormalization(
    _ layer: LayerNormalization, _ x: [Double], _ shape: Shape, _ gamma: [Double], _ beta: [Double]
  ) -> [Double] {
    let plane = shape.extents.dropFirst(2).reduce(1, *)
    return x.indices.map { index in
      let channel = index / plane % layer.channels
      let first = index - channel * plane
      let pixel = (0..<layer.channels).map { x[first + $0 * plane] }
      let mean = pixel.reduce(0, +) / Double(pixel.count)
      let variance = pixel.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(pixel.count)
      return (x[index] - mean) / (variance + layer.epsilon).squareRoot() * gamma[channel]
        + beta[channel]
    }
  }

  private static func adaptivePooling(_ x: [Double], _ shape: Shape, _ output: Shape) -> [Double] {
    positions(output).map { n, c, h, w in
      var values: [Double] = []
      for y in 0..<shape[2] where y * output[2] < (h + 1) * shape[2] {
        for z in 0..<shape[3] where z * output[3] < (w + 1) * shape[3] {
          guard (y + 1) * output[2] > h * shape[2], (z + 1) * output[3] > w * shape[3] else {
            continue
          }
          values.append(x[((n * shape[1] + c) * shape[2] + y) * shape[3] + z])
        }
      }
      return values.reduce(0, +) / Double(values.count)
    }
  }

  private static func convolution(
    _ layer: Convolution2D, _ x: [Double], _ shape: Shape, _ output: Shape, _ weight: [Double],
    _ bias: [Double]?
  ) -> [Double] {
    let window = layer.window
    let insets = window.insets(for: Extent2D(height: shape[2], width: shape[3]))
    let (kH, kW) = (window.kernel.height, window.kernel.width)
    let (inputs, outputs) = (layer.inputs / layer.groups, layer.outputs / layer.groups)
    return positions(output).map { n, o, h, w in
      var sum = bias?[o] ?? 0
      for c in 0..<inputs {
        for i in 0..<kH {
          for j in 0..<kW {
            let y = h * window.stride.height + i * window.dilation.height - insets.top
            let z = w * window.stride.width + j * window.dilation.width - insets.left
            guard y >= 0, y < shape[2], z >= 0, z < shape[3] else { continue }
            let channel = o / outputs * inputs + c
            sum +=
              x[((n * shape[1] + channel) * shape[2] + y) * shape[3] + z]
              * weight[((o * inputs + c) * kH + i) * kW + j]
          }
        }
      }
      return sum
    }
  }

  private static func pooling(
    _ kind: PoolingKind, _ window: Window2D, _ x: [Double], _ shape: Shape, _ output: Shape
  ) -> [Double] {
    let insets = window.insets(for: Extent2D(height: shape[2], width: shape[3]))
    return positions(output).map { n, c, h, w in
      var values: [Double] = []
      var padded = 0
      for i in 0..<window.kernel.height {
        for j in 0..<window.kernel.width {
          let y = h * window.stride.height + i * window.dilation.height - insets.top
          let z = w * window.stride.width + j * window.dilation.width - insets.left
          if y < shape[2] + insets.bottom && z < shape[3] + insets.right { padded += 1 }
          guard y >= 0, y < shape[2], z >= 0, z < shape[3] else { continue }
          values.append(x[((n * shape[1] + c) * shape[2] + y) * shape[3] + z])
        }
      }
      switch kind {
      case .maximum: return values.max() ?? -.infinity
      case .average(let includesPadding):
        return values.reduce(0, +) / Double(includesPadding ? padded : values.count)
      }
    }
  }

  private static func positions(_ shape: Shape) -> [(Int, Int, Int, Int)] {
    (0..<shape[0]).flatMap { n in
      (0..<shape[1]).flatMap { c in
        (0..<shape[2]).flatMap { h in (0..<shape[3]).map { w in (n, c, h, w) } }
      }
    }
  }

  /// e^x by its series after halving x until it is small: needs no C library.
  private static func exponential(_ x: Double) -> Double {
    if abs(x) > 0.5 {
      let half = exponential(x / 2)
      return half * half
    }
    var (sum, term) = (1.0, 1.0)
    for k in 1..<20 {
      term *= x / Double(k)
      sum += term
    }
    return sum
  }
}

/// Refuses everything: these tests compile nothing that trains.
struct NoEngine: Engine {
  let name = "no engine"

  func compileInference(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan {
    throw ExecutionError.unsupported(operation: "inference", layer: "", engine: name)
  }

  func compileTraining(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> any TrainingPlan {
    throw ExecutionError.unsupported(operation: "training", layer: "", engine: name)
  }
}

extension OneDNNEngine {
  /// Compiles a whole graph with random parameters.
  static func plan(
    _ graph: Graph, parameters: Parameters? = nil, microBatch: Int = 2, size: Extent2D,
    from source: NodeID? = nil, to end: NodeID? = nil, threads: Int? = nil,
    imagesPerPass: Int = 1
  ) throws -> OneDNNPlan {
    var engine = OneDNNEngine(training: NoEngine())
    engine.threads = threads
    engine.imagesPerPass = imagesPerPass
    let plan = try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: parameters ?? SampleNetworks.parameters(of: graph), from: source, to: end,
      microBatch: microBatch, size: size)
    guard let plan = plan as? OneDNNPlan else { throw WrongPlan() }
    return plan
  }

  private struct WrongPlan: Error {}
}
