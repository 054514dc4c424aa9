// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A sequence of tokens made of an image of patches: see ``TokenSequence``.
///
/// The image is [C, H W], the sequence [C, T], both row major; parameters are [tokens, C].
final class ReferenceTokens<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: TokenSequence
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  /// The class token and the registers, those that exist, in order.
  private let before: [PlanParameter<Scalar>]
  /// Nil where none are added.
  private let positions: PlanParameter<Scalar>?
  /// [patches, grid]; nil where every patch has a position of its own.
  private let resampling: AlignedStorage<Scalar>?
  /// Positions of the patches, and sums of their gradients, [patches, C].
  private let resampled: AlignedStorage<Scalar>

  init(_ layer: TokenSequence, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    input = context.input
    output = context.output
    before = Array(context.parameters.dropLast(layer.hasPositions ? 1 : 0))
    positions = layer.hasPositions ? context.parameters.last : nil
    let matrix =
      layer.hasPositions
      ? layer.resampling.matrix(from: layer.grid, to: context.input.image) : nil
    resampling = matrix.map { matrix in
      let storage = AlignedStorage<Scalar>(count: matrix.count)
      matrix.withUnsafeElements { ElementLoops.convert($0, to: storage.elements) }
      return storage
    }
    resampled = AlignedStorage(count: matrix == nil ? 0 : context.input.stride)
  }

  private var patches: Int { input.stride / layer.channels }
  private var tokens: Int { layer.prefix + patches }

  /// The positions of the patches, [patches, C]; nil where none are added.
  private func patchPositions() -> UnsafePointer<Scalar>? {
    guard let positions else { return nil }
    let gridPositions = positions.values + layer.positioned * layer.channels
    guard let resampling else { return UnsafePointer(gridPositions) }
    LinearAlgebra.multiply(
      MatrixView(resampling.start, rows: patches, columns: layer.grid.count),
      MatrixView(gridPositions, rows: layer.grid.count, columns: layer.channels),
      into: resampled.start)
    return UnsafePointer(resampled.start)
  }

  func forward(_ pass: ReferencePass) {
    let positions = patchPositions()
    for sample in 0..<pass.count {
      let (x, y) = (input.values + sample * input.stride, output.values + sample * output.stride)
      for channel in 0..<layer.channels {
        var token = 0
        for parameter in before {
          for row in 0..<parameter.count / layer.channels {
            let own = parameter.values[row * layer.channels + channel]
            y[channel * tokens + token] = own + position(of: token, channel)
            token += 1
          }
        }
        for patch in 0..<patches {
          let position = positions?[patch * layer.channels + channel] ?? 0
          y[channel * tokens + token + patch] = x[channel * patches + patch] + position
        }
      }
    }
  }

  private func position(of token: Int, _ channel: Int) -> Scalar {
    guard let positions, token < layer.positioned else { return 0 }
    return positions.values[token * layer.channels + channel]
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    for sample in 0..<pass.count {
      let dy = outer + sample * output.stride
      if let gradient = input.gradient {
        for channel in 0..<layer.channels {
          ElementLoops.add(
            dy + channel * tokens + layer.prefix,
            to: gradient + sample * input.stride + channel * patches, count: patches)
        }
      }
      addPrefixGradients(dy)
    }
    if let gradient = positions?.gradient { addPatchGradients(outer, pass, gradient) }
  }

  /// The gradients of what stands before the patches, of one sample.
  private func addPrefixGradients(_ dy: UnsafePointer<Scalar>) {
    for channel in 0..<layer.channels {
      var token = 0
      for parameter in before {
        for row in 0..<parameter.count / layer.channels {
          let slope = dy[channel * tokens + token]
          parameter.gradient?[row * layer.channels + channel] += slope
          if token < layer.positioned {
            positions?.gradient?[token * layer.channels + channel] += slope
          }
          token += 1
        }
      }
    }
  }

  /// Sums over the samples, then back through the resampling.
  private func addPatchGradients(
    _ outer: UnsafePointer<Scalar>, _ pass: ReferencePass,
    _ gradient: UnsafeMutablePointer<Scalar>
  ) {
    let target = gradient + layer.positioned * layer.channels
    let sums = resampling == nil ? target : resampled.start
    if resampling != nil { ElementLoops.clear(sums, count: input.stride) }
    for sample in 0..<pass.count {
      let dy = outer + sample * output.stride + layer.prefix
      for channel in 0..<layer.channels {
        for patch in 0..<patches {
          sums[patch * layer.channels + channel] += dy[channel * tokens + patch]
        }
      }
    }
    guard let resampling else { return }
    LinearAlgebra.multiply(
      MatrixView(resampling.start, rows: layer.grid.count, columns: patches, transposed: true),
      MatrixView(sums, rows: patches, columns: layer.channels), into: target, beta: 1)
  }
}

/// Some consecutive tokens of a sequence.
final class ReferenceTokenSelection<Scalar: BLASScalar>: ReferenceLayer {
  private let first: Int
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ selection: TokenSelection, _ context: ReferenceContext<Scalar>) {
    first = selection.first
    input = context.input
    output = context.output
  }

  /// Calls `body` with the offsets of each channel's selected tokens in input and output.
  private func forEachChannel(_ pass: ReferencePass, _ body: (Int, Int) -> Void) {
    for row in 0..<pass.count * input.shape[1] {
      body(row * input.image.width + first, row * output.image.width)
    }
  }

  func forward(_ pass: ReferencePass) {
    forEachChannel(pass) { from, to in
      (output.values + to).update(from: input.values + from, count: output.image.width)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    forEachChannel(pass) { from, to in
      ElementLoops.add(outer + to, to: gradient + from, count: output.image.width)
    }
  }
}
