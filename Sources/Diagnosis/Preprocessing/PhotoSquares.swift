// SPDX-License-Identifier: Apache-2.0

import Synchronization
import ThawConsole
import ThawDatasets
import ThawFiles
package import ThawImages
package import ThawInference
import ThawOneDNN
import ThawTensors

/// Photos cut to the squares a network sees, still in 8 bits: any contract's numbers can be made of
/// them without reading the files again.
package struct PhotoSquares: ContractPhotos {
  /// The photos that could be read.
  package let photos: [SubjectPhoto]
  /// One square each.
  package let squares: [RGBImage]
  /// Photos that could not be read, and why.
  package let unusable: [String]

  /// Reads `photos` in parallel and cuts them as `preprocessing` says.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  package init(
    _ photos: [SubjectPhoto], _ preprocessing: Preprocessing, context: StageContext
  ) throws {
    let results = Mutex([Result<RGBImage, any Error>?](repeating: nil, count: photos.count))
    try forEachIndex(below: photos.count, threads: context.threads) { index in
      try Interruption.check()
      let result = Result { try PhotoSquares.square(photos[index], preprocessing) }
      results.withLock { $0[index] = result }
    }
    var (kept, squares, unusable): ([SubjectPhoto], [RGBImage], [String]) = ([], [], [])
    for (photo, result) in zip(photos, results.withLock({ $0 })) {
      switch result {
      case .success(let square):
        kept.append(photo)
        squares.append(square)
      case .failure(let error): unusable.append("\(photo.name): \(Classifier.reason(error))")
      case nil: break
      }
    }
    self.photos = kept
    self.squares = squares
    self.unusable = unusable
  }

  package var count: Int { squares.count }

  package func className(_ index: Int) -> String? { photos[index].className }

  private static func square(
    _ photo: SubjectPhoto, _ preprocessing: Preprocessing
  ) throws -> RGBImage {
    let bytes = try PhotoFiles.read(photo.path, limit: 1 << 30)
    return try bytes.withUnsafeBytes { raw in
      var options = preprocessing.decodeOptions
      let probe = try ImageDecoder.probe(raw, options: options)
      options.minimumSize = preprocessing.smallestSource(of: probe.size)
      return preprocessing.square(of: try ImageDecoder.decode(raw, options: options))
    }
  }

  /// Writes the squares at `range` with the numbers of `preprocessing`, one after the other.
  package func write(
    _ range: Range<Int>, as preprocessing: Preprocessing,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    let count = preprocessing.elementCount
    for (position, index) in range.enumerated() {
      preprocessing.normalize(
        squares[index],
        into: UnsafeMutableBufferPointer(
          rebasing: output[(position * count)..<((position + 1) * count)]))
    }
  }
}
