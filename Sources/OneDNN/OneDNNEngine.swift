// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
package import ThawExecution
package import ThawNetwork

/// The fast engine: oneDNN kernels in blocked layouts, batch norm folded, epilogues fused.
///
/// Convolutional parts run image by image, dense layers a micro-batch at a time, each pass on one
/// thread, so the result for an image depends on nothing else, neither on the images with it nor on
/// the number of threads.
package struct OneDNNEngine: Engine {
  /// Images a thread takes through the convolutional part at once.
  ///
  /// One is as fast as any and needs no padding. Measured at 224 on 2 AVX-512 cores, images/s for
  /// 1, 2, 4, 8, 16: EfficientNet-Lite0 455, 467, 421, 389, 369; ResNet-50 57, 57, 52, 54, 53. The
  /// activations of one image stay in the cache, those of eight do not.
  package var imagesPerPass = 1
  /// Threads of the plans it compiles; ``ComputeThreads/count`` when nil.
  package var threads: Int?
  /// Bytes that a plan for training may take; nil for as many as there are.
  package var memory: Int?
  /// Shown every result of the inference plans it compiles, for measuring; nil for nobody.
  package var observer: LayerObserver?
  private let trainingEngine: any Engine

  /// An engine; pieces that train and that it has no kernel for are given to `training`.
  package init(training: any Engine) { trainingEngine = training }

  /// For example `oneDNN 2.6.3`.
  package var name: String { OneDNN.name }

  /// Whether the processor computes in bfloat16 by instructions of its own.
  package static var hasBFloat16: Bool { thaw_dnnl_has_bfloat16() }

  /// Float32 where the processor has no instructions for bfloat16: imitating them would be slower than
  /// Float32, and less exact.
  package func computed(_ precision: Precision) -> Precision {
    precision == .bfloat16 && !OneDNNEngine.hasBFloat16 ? .float32 : precision
  }

  /// The micro-batch to compile for when nothing else decides.
  ///
  /// Convolutional speed does not depend on it; 32 rows are enough for a dense layer to read its
  /// weights from memory no more often than it must.
  package static let recommendedMicroBatch = 32

  /// See ``Engine/compileInference(_:operations:from:parameters:microBatch:size:)``.
  ///
  /// - Throws: ``NetworkError`` when parameters or shapes do not fit, ``ExecutionError`` naming the
  ///   layer oneDNN has no kernel for.
  package func compileInference(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan {
    precondition(microBatch >= 1, "A micro-batch holds at least 1 image, got \(microBatch).")
    let shapes = try graph.shapes(batch: microBatch, size: size)
    let threads = threads ?? ComputeThreads.count
    func segment(
      _ operations: ArraySlice<FusedOperation>, from source: NodeID, batch: Int
    ) throws -> OneDNNSegment {
      try OneDNNSegment(
        graph, operations: Array(operations), from: source, parameters: parameters, batch: batch,
        size: size, threads: max(threads, 1), observer: observer)
    }
    let split = Split(operations, from: source)
    let segments: [OneDNNSegment] =
      switch split {
      case .images: [try segment(operations[...], from: source, batch: imagesPerPass)]
      case .batches: [try segment(operations[...], from: source, batch: microBatch)]
      case .imagesThenBatches(let first):
        [
          try segment(operations[..<first], from: source, batch: imagesPerPass),
          try segment(operations[first...], from: operations[first - 1].result, batch: microBatch),
        ]
      }
    let result = operations.last?.result ?? source
    return OneDNNPlan(
      segments, inputShape: shapes[source.index], outputShape: shapes[result.index],
      lanes: max(threads, 1))
  }

  /// See ``Engine/compileTraining(_:nodes:from:parameters:freezing:batch:size:)``.
  ///
  /// A network with an operation that oneDNN has no kernel for is given to the engine this one was made
  /// with; the plan says so (``TrainingPlan/engineName``, ``TrainingPlan/refusal``). Every other
  /// failure, such as a lack of memory, is thrown.
  package func compileTraining(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> any TrainingPlan {
    do {
      return try trainingPlan(
        graph, nodes: nodes, from: source, parameters: parameters, freezing: plan, batch: batch,
        size: size)
    } catch let refusal as ExecutionError where refusal.isMissingKernel {
      let other = try trainingEngine.compileTraining(
        graph, nodes: nodes, from: source, parameters: parameters, freezing: plan, batch: batch,
        size: size)
      other.refusal = refusal
      return other
    }
  }

  /// The same with its own type, and without another engine behind it.
  ///
  /// - Throws: ``ExecutionError/memory(batch:needed:allowed:)`` before memory is taken that it may not have.
  package func trainingPlan(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> OneDNNTrainingPlan {
    let threads = threads ?? ComputeThreads.count
    return try withSingleThreadedKernels {
      let program = try TrainingProgram(
        graph, nodes: nodes, from: source, parameters: parameters, freezing: plan, batch: batch,
        size: size, lanes: max(min(threads, batch), 1))
      if let memory {
        let needed = program.memoryNeed()
        guard needed <= memory else {
          throw ExecutionError.memory(batch: batch - 1, needed: needed, allowed: memory)
        }
      }
      return try OneDNNTrainingPlan(program, memory: memory)
    }
  }
}

/// Where passes of images change to passes of whole micro-batches.
private enum Split {
  case images
  case batches
  /// Whole micro-batches from this operation on.
  case imagesThenBatches(Int)

  init(_ operations: [FusedOperation], from source: NodeID) {
    let dense = operations.firstIndex {
      if case .dense(let layer) = $0.lead.operation { !layer.isSmall } else { false }
    }
    guard let dense else {
      self = .images
      return
    }
    let before = operations[..<dense]
    let worksOnImages = before.contains { operation in
      switch operation.lead.operation {
      case .convolution, .pooling, .dense: true
      default: false
      }
    }
    guard worksOnImages, let crossing = before.last?.result else {
      self = .batches
      return
    }
    // Only one value may cross; where a later operation needs another one too, images stay in lanes.
    let others = operations[dense...].flatMap(\.allInputs).contains { $0 < crossing }
    self = others ? .images : .imagesThenBatches(dense)
  }
}

extension Dense {
  /// Whether its weights stay in a core's cache, so that it may read them anew for each image: the head of a
  /// few classes. It is then a convolution of one pixel, whose kernel is one of many that are compiled
  /// anyway; the library's products of matrices compile all of theirs when the first is computed, which takes
  /// longer than a photo.
  var isSmall: Bool { inputs * outputs <= 1 << 18 }
}

extension FusedOperation {
  fileprivate var allInputs: [NodeID] { inputs + [residual].compactMap(\.self) }
}
