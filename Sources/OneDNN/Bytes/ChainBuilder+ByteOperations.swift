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
    let (form, channels, step) = (source.form, source.channels, source.step)
    let own = finish
    append(
      ChainInstruction(
        "affine", fused.lead.path,
        ByteStep("bytes", rows: form.rows, elements: form.rows * form.pixels.width * channels) {
          memory, rows in
          let (first, count) = form.pixels(of: rows)
          var ending = own.ending()
          thaw_bytes_affine(
            memory.bytes(0) + first * step, Int64(count), Int64(channels), Int64(step),
            Int32(form.scale.zero), shift.start, &ending,
            memory[1] + first * resultStep * own.size, Int64(resultStep))
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
    let (form, channels, step, resultStep) = (
      source.form, source.channels, source.step, target.step
    )
    append(
      ChainInstruction(
        "table", path,
        ByteStep("bytes", rows: form.rows, elements: form.rows * form.pixels.width * channels) {
          memory, rows in
          let (first, count) = form.pixels(of: rows)
          thaw_bytes_map(
            memory.bytes(0) + first * step, Int64(count), Int64(channels), Int64(step), table,
            memory.bytes(1) + first * resultStep + channel, Int64(resultStep))
        }, [.tensor(source.tensor), .tensor(target.tensor)]))
  }

  mutating func appendByteAddition(_ fused: FusedOperation) throws {
    let (first, second) = (byteTensor(of: fused.inputs[0]), byteTensor(of: fused.inputs[1]))
    let (result, prepared, resultStep) = try makeResult(fused)
    var finish = prepared
    finish.residualStep = second.step
    finish.residualScale = second.scale.scale
    finish.residualZero = second.scale.zero
    let (form, channels, step) = (first.form, first.channels, first.step)
    let own = finish
    append(
      ChainInstruction(
        "addition", fused.lead.path,
        ByteStep("bytes", rows: form.rows, elements: form.rows * form.pixels.width * channels) {
          memory, rows in
          let (first, count) = form.pixels(of: rows)
          var ending = own.ending(memory.bytes(1) + first * own.residualStep)
          thaw_bytes_add(
            memory.bytes(0) + first * step, Int64(count), Int64(channels), Int64(step),
            form.scale.scale, Int32(form.scale.zero), &ending,
            memory[2] + first * resultStep * own.size, Int64(resultStep))
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
        ByteStep(
          "bytes", rows: left.pixels.height, elements: left.images * left.stride
        ) { memory, rows in
          let (first, count) = left.pixels(of: rows)
          var ending = own.ending()
          for image in 0..<left.images {
            thaw_bytes_gate(
              memory.bytes(0) + image * left.stride + first * left.step, Int64(count),
              Int64(left.channels), Int64(left.step), zero,
              memory.bytes(1) + image * right.stride, gatesZero, product, &ending,
              memory.bytes(2) + image * to.stride + first * to.step, Int64(to.step))
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
    let row = output.width * resultStep * own.size
    let form = source.form
    append(
      ChainInstruction(
        "pooling", fused.lead.path,
        ByteStep(
          "bytes", rows: output.height, elements: output.count * form.step,
          products: window.kernel.count, scratch: padding.isNeeded ? [2] : []
        ) { [factors] memory, rows in
          var geometry = fixed
          geometry.output.0 = Int64(rows.count)
          let read = padding.rows(rows, of: window)
          for image in 0..<form.images {
            let from = padding.source(
              memory.bytes(0) + image * form.stride, rows: read, step: form.step, fill: fill,
              scratch: padding.isNeeded ? memory.bytes(2) : nil)
            let to = memory[1] + (image * output.height + rows.lowerBound) * row
            if isLargest {
              thaw_bytes_maximum(&geometry, from, to.assumingMemoryBound(to: UInt8.self))
            } else {
              var ending = own.ending()
              thaw_bytes_average(
                &geometry, from, Int32(form.scale.zero),
                factors.start + rows.lowerBound * output.width, &ending, to)
            }
          }
        }, arguments))
    define(fused.result, as: result)
  }
}
