// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Nodes bound to buffers: what both plans of the reference engine execute.
///
/// All memory is taken here, once, for the largest batch. Without training, values whose lifetimes do
/// not overlap share buffers; with it all values are kept for backward and gradients share instead.
struct ReferenceProgram<Scalar: BLASScalar> {
  /// A layer and what surrounds its backward pass.
  struct Instruction {
    let path: ParameterPath
    let layer: any ReferenceLayer
    let output: ReferenceValue<Scalar>
    /// Values whose last user is this layer: their gradients start at zero before its backward.
    var starts: [ReferenceValue<Scalar>]
  }

  /// What the caller's samples are copied to.
  let input: ReferenceValue<Scalar>
  /// The bytes that the caller's samples are rounded to; nil where they are not.
  let inputBytes: ByteScale?
  /// What the caller gets.
  let output: ReferenceValue<Scalar>
  /// In order of computation.
  let instructions: [Instruction]
  /// Parameters and statistics, in order of computation.
  let parameters: [PlanParameter<Scalar>]
  /// The instruction of each of ``parameters``.
  let owners: [Int]
  /// The largest batch.
  let batch: Int

  /// Binds `nodes`, which read the result of `source` and of each other.
  ///
  /// - Parameters:
  ///   - shared: the parameters of another program of these nodes, to be used instead of copies of
  ///     `parameters`.
  ///   - plan: what trains; nil for a program that never trains.
  ///   - operations: of inference on bytes, which is a property of whole ones.
  init(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    sharing shared: [PlanParameter<Scalar>]? = nil, freezing plan: FreezePlan?,
    operations: [FusedOperation] = [], batch: Int, size: Extent2D
  ) throws {
    precondition(batch >= 1, "A plan needs a batch of at least 1, got \(batch).")
    let shapes = try graph.shapes(batch: batch, size: size)
    let layout = ReferenceLayout(graph, nodes: nodes, from: source, freezing: plan)
    let values: [ReferenceValue<Scalar>] = layout.makeValues(shapes)
    let scratch = ReferenceScratch<Scalar>()
    let bytes = try ReferenceBytes(
      graph, operations: plan == nil ? operations : [], from: source, parameters: parameters,
      shapes: shapes)
    func value(_ node: NodeID) -> ReferenceValue<Scalar>? {
      layout.nodes.firstIndex(of: node.index).map { values[$0] }
    }
    var instructions: [Instruction] = []
    var all: [PlanParameter<Scalar>] = []
    var owners: [Int] = []
    for (index, node) in nodes.enumerated() {
      let own = try node.parameters.enumerated().map { number, description in
        if let shared { return shared[all.count + number] }
        return try PlanParameter<Scalar>(
          checked: description, parameters, trains: plan?.trains(description, of: node) ?? false)
      }
      all += own
      owners += own.map { _ in index }
      let context = ReferenceContext(
        node: node, inputs: layout.inputs[index].map { values[$0] }, output: values[index + 1],
        parameters: own, mode: plan?.batchNormMode(of: node) ?? .inference, trains: plan != nil,
        angles: graph.rotaryAngles(of: node, shapes))
      let starts = values.indices.filter { layout.lastUse[$0] == index + 1 && $0 != nodes.count }
      instructions.append(
        Instruction(
          path: node.path,
          layer: bytes.layer(of: node, context, value) ?? context.makeLayer(scratch),
          output: values[index + 1],
          starts: starts.map { values[$0] }))
    }
    self.instructions = instructions
    self.parameters = all
    self.owners = owners
    self.batch = batch
    input = values[0]
    inputBytes = bytes.scale(of: graph[source])
    output = values[nodes.count]
  }

  /// Computes the output of the samples in `input`.
  func forward(_ pass: ReferencePass) throws {
    for instruction in instructions { try instruction.layer.check(pass) }
    for instruction in instructions { instruction.layer.forward(pass) }
  }

  /// Computes the same until a layer's result is NaN or infinite; nil when none is.
  func firstNonFiniteLayer(_ pass: ReferencePass) throws -> ParameterPath? {
    for instruction in instructions { try instruction.layer.check(pass) }
    for instruction in instructions {
      instruction.layer.forward(pass)
      let elements = UnsafeBufferPointer(
        start: instruction.output.values, count: pass.count * instruction.output.stride)
      if !elements.areFinite { return instruction.path }
    }
    return nil
  }

  /// Computes all gradients from the one in `output`.
  func backward(_ pass: ReferencePass) {
    for instruction in instructions.reversed() {
      for value in instruction.starts {
        guard let gradient = value.gradient else { continue }
        ElementLoops.clear(gradient, count: pass.count * value.stride)
      }
      if instruction.output.gradient != nil { instruction.layer.backward(pass) }
    }
  }
}
