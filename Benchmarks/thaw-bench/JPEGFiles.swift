// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawDatasets
import ThawExecution
import ThawImages
import ThawTensors

/// JPEG files to features.
struct JPEGFiles: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jpeg", abstract: "JPEG files to features.")

  @OptionGroup var options: WorkloadOptions

  func run() throws { try options.measure("jpeg") { try JPEGWorkload(options) } }
}

/// Every photo of a folder through the prefetching loader and the trunk.
struct JPEGWorkload: Workload {
  /// Threads that decode, as many as the peer has worker processes.
  private static let loaderThreads = 2

  private let plan: any InferencePlan
  private let items: [PrefetchingLoader.Item]
  private let preprocessing = Preprocessing.efficientNetLite()
  private let options: WorkloadOptions

  init(_ options: WorkloadOptions) throws {
    self.options = options
    guard let folder = options.photos else {
      throw ValidationError("This workload needs --photos FOLDER.")
    }
    items = MakePhotos.files(below: folder, withExtension: "jpg", "jpeg")
      .map { PrefetchingLoader.Item(path: FilePath($0)) }
    guard !items.isEmpty else { throw ValidationError("There are no JPEG files in \(folder).") }
    plan = try BenchmarkNetwork(options).trunk(microBatch: options.batch)
  }

  var description: String {
    "Thaw's loader with \(JPEGWorkload.loaderThreads) threads and \(BenchmarkNetwork.engine.name)"
  }

  func round() throws -> Int { try features().shape[0] }

  func output() throws -> Tensor<Float>? { try features() }

  /// The features of all photos, [photos, width].
  private func features() throws -> Tensor<Float> {
    let preprocessing = preprocessing
    let loader = try PrefetchingLoader(
      items, elementCount: preprocessing.elementCount,
      options: .init(batchSize: options.batch, threads: JPEGWorkload.loaderThreads)
    ) { bytes, _, _, pixels in
      try preprocessing.prepare(bytes, into: pixels)
    }
    let width = plan.outputStride
    return try Tensor(shape: [items.count, width]) { output in
      var isDone = false
      while !isDone {
        let loaded: Void? = try loader.next { batch in
          let rows = output[batch.items.lowerBound * width..<batch.items.upperBound * width]
          try plan.run(batch.elements, into: UnsafeMutableBufferPointer(rebasing: rows))
        }
        isDone = loaded == nil
      }
    }
  }
}
