// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

extension ChainBuilder {
  /// A batch norm or channel scale that no convolution has folded.
  mutating func appendByteAffine(_ fused: FusedOperation) throws {
    let source = byteTensor(of: fused.inputs[0])
    guard let map = try ChannelAffine(fused.lead, parameters) else {
      preconditionFailure("'\(fused.lead.path)' is no map of channels.")
    }
    let (result, prepared, resultStep) = try makeResult(fused)
    var finish = prepared
    let rounded = source.channels + 64
    let shift = AlignedStorage<Float>(count: rounded)
    finish.factor = AlignedStorage<Float>(count: rounded)
    for channel in map.scale.indices {
      finish.factor.start[channel] = Float(Double(source.scale.scale) * map.scale[channel])
      shift.start[channel] = Float(map.shift[channel])
    }
    let pixels = source.images * source.pixels.count
    let (channels, step, zero) = (source.channels, source.step, source.scale.zero)
    let own = finish
    append(
      ChainInstruction(
        "affine", fused.lead.path,
        ByteStep("bytes") { memory in
          var ending = own.ending()
          thaw_bytes_affine(
            memory.bytes(0), Int64(pixels), Int64(channels), Int64(step), Int32(zero),
            shift.start, &ending, memory[1], Int64(resultStep))
        }, [.tensor(source.tensor), result.operand]))
    define(fused.result, as: result)
  }

  /// A function of its own: a table of 256 bytes.
  mutating func appendByteFunction(_ fused: FusedOperation, _ function: Activation) throws {
    let source = byteTensor(of: fused.inputs[0])
    guard let scale = byteScale(of: fused.result) else { return }
    let table = ByteArithmetic.table(from: source.scale, to: scale, function)
    let target = try makeBytes(for: fused.result, scale)
    appendTable(table, source, into: target, at: 0, fused.lead.path)
    define(fused.result, as: target)
  }

  private mutating func appendTable(
    _ table: [UInt8], _ source: ByteTensor, into target: ByteTensor, at channel: Int,
    _ path: ParameterPath
  ) {
    let pixels = source.images * source.pixels.count
    let (channels, step, resultStep) = (source.channels, source.step, target.step)
    append(
      ChainInstruction(
        "table", path,
        ByteStep("bytes") { memory in
          thaw_bytes_map(
            memory.bytes(0), Int64(pixels), Int64(channels), Int64(step), table,
            memory.bytes(1) + channel, Int64(resultStep))
        }, [.tensor(source.tensor), .tensor(target.tensor)]))
  }

  mutating func appendByteAddition(_ fused: FusedOperation) throws {
    let (first, second) = (byteTensor(of: fused.inputs[0]), byteTensor(of: fused.inputs[1]))
    let (result, prepared, resultStep) = try makeResult(fused)
    var finish = prepared
    finish.residualStep = second.step
    finish.residualScale = second.scale.scale
    finish.residualZero = second.scale.zero
    let pixels = first.images * first.pixels.count
    let (channels, step, scale) = (first.channels, first.step, first.scale)
    let own = finish
    append(
      ChainInstruction(
        "addition", fused.lead.path,
        ByteStep("bytes") { memory in
          var ending = own.ending(memory.bytes(1))
          thaw_bytes_add(
            memory.bytes(0), Int64(pixels), Int64(channels), Int64(step), scale.scale,
            Int32(scale.zero), &ending, memory[2], Int64(resultStep))
        }, [.tensor(first.tensor), .tensor(second.tensor), result.operand]))
    define(fused.result, as: result)
  }

  mutating func appendByteGate(_ fused: FusedOperation) throws {
    let (first, gates) = (byteTensor(of: fused.inputs[0]), byteTensor(of: fused.inputs[1]))
    guard let scale = byteScale(of: fused.result) else { return }
    var finish = ByteFinish()
    finish.inverse = 1 / scale.scale
    finish.zero = scale.zero
    let target = try makeBytes(for: fused.result, scale)
    let own = finish
    let product = first.scale.scale * gates.scale.scale
    let (zero, gatesZero) = (Int32(first.scale.zero), Int32(gates.scale.zero))
    let (left, right, to) = (first.form, gates.form, target.form)
    append(
      ChainInstruction(
        "gate", fused.lead.path,
        ByteStep("bytes") { memory in
          var ending = own.ending()
          for image in 0..<left.images {
            thaw_bytes_gate(
              memory.bytes(0) + image * left.stride, Int64(left.pixels.count),
              Int64(left.channels), Int64(left.step), zero,
              memory.bytes(1) + image * right.stride, gatesZero, product, &ending,
              memory.bytes(2) + image * to.stride, Int64(to.step))
          }
        }, [.tensor(first.tensor), .tensor(gates.tensor), .tensor(target.tensor)]))
    define(fused.result, as: target)
  }

  mutating func appendByteConcatenation(_ fused: FusedOperation) throws {
    guard let scale = byteScale(of: fused.result) else { return }
    let target = try makeBytes(for: fused.result, scale)
    var channel = 0
    for input in fused.inputs {
      let source = byteTensor(of: input)
      appendTable(
        ByteArithmetic.table(from: source.scale, to: scale, nil), source, into: target,
        at: channel, fused.lead.path)
      channel += source.channels
    }
    define(fused.result, as: target)
  }

  /// The image as a row, channel by channel.
  mutating func appendByteFlatten(_ fused: FusedOperation) throws {
    let source = byteTensor(of: fused.inputs[0])
    if source.pixels.count == 1 { return define(fused.result, as: source) }
    let target = try makeBytes(for: fused.result, source.scale)
    let (from, to) = (source.form, target.form)
    append(
      ChainInstruction(
        "flatten", fused.lead.path,
        ByteStep("bytes") { memory in
          for image in 0..<from.images {
            thaw_bytes_flatten(
              memory.bytes(0) + image * from.stride, Int64(from.pixels.count),
              Int64(from.channels), Int64(from.step), memory.bytes(1) + image * to.stride)
          }
        }, [.tensor(source.tensor), .tensor(target.tensor)]))
    define(fused.result, as: target)
  }

  mutating func appendBytePooling(
    _ fused: FusedOperation, _ kind: PoolingKind, _ window: Window2D
  ) throws {
    let source = byteTensor(of: fused.inputs[0])
    let output = extents(of: fused.result).pixels
    let padding = BytePadding(window, input: source.pixels, output: output)
    let (result, finish, resultStep) = try makeResult(fused)
    var geometry = padding.geometry(window, output, step: source.step)
    geometry.depth = Int64(source.step)
    geometry.channels = Int64(source.channels)
    geometry.result_step = Int64(resultStep)
    var arguments: [ChainOperand] = [.tensor(source.tensor), result.operand]
    if padding.isNeeded {
      arguments.append(.tensor(try makeBytes(count: padding.count * source.step, fused.lead.path)))
    }
    var factors = AlignedStorage<Float>(count: 0)
    var isMaximum = true
    if case .average(let includesPadding) = kind {
      isMaximum = false
      let counts = window.counts(
        for: source.pixels, output: output, includesPadding: includesPadding)
      factors = AlignedStorage(count: counts.count)
      for (index, count) in counts.enumerated() {
        factors.start[index] = source.scale.scale / Float(count)
      }
    }
    // A maximum never falls on the padding: no byte is smaller than 0.
    let (isLargest, own, fixed) = (isMaximum, finish, geometry)
    let fill = isMaximum ? 0 : UInt8(source.scale.zero)
    let size = output.count * resultStep * (own.isFloat ? 4 : 1)
    let form = source.form
    append(
      ChainInstruction(
        "pooling", fused.lead.path,
        ByteStep("bytes") { [factors] memory in
          var geometry = fixed
          for image in 0..<form.images {
            var from = UnsafePointer(memory.bytes(0) + image * form.stride)
            if padding.isNeeded {
              padding.pad(from, step: form.step, fill: fill, into: memory.bytes(2))
              from = UnsafePointer(memory.bytes(2))
            }
            if isLargest {
              thaw_bytes_maximum(&geometry, from, memory.bytes(1) + image * size)
            } else {
              var ending = own.ending()
              thaw_bytes_average(
                &geometry, from, Int32(form.scale.zero), factors.start, &ending,
                memory[1] + image * size)
            }
          }
        }, arguments))
    define(fused.result, as: result)
  }
}
