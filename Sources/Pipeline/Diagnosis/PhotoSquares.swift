// SPDX-License-Identifier: Apache-2.0

import Datasets
import Files
import Images
import Synchronization
import Tensors

/// Photos cut to the squares a network sees, still in 8 bits: any contract's numbers can be made of
/// them without reading the files again.
struct PhotoSquares: ContractPhotos {
  /// The photos that could be read.
  let photos: [DiagnosisSubject.Photo]
  /// One square each.
  let squares: [RGBImage]
  /// Photos that could not be read, and why.
  let unusable: [String]

  /// Reads `photos` in parallel and cuts them as `preprocessing` says.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  init(
    _ photos: [DiagnosisSubject.Photo], _ preprocessing: Preprocessing, context: StageContext
  ) throws {
    let results = Mutex([Result<RGBImage, any Error>?](repeating: nil, count: photos.count))
    try forEachIndex(below: photos.count, threads: context.threads) { index in
      try Interruption.check()
      let result = Result { try PhotoSquares.square(photos[index], preprocessing) }
      results.withLock { $0[index] = result }
    }
    var (kept, squares, unusable): ([DiagnosisSubject.Photo], [RGBImage], [String]) = ([], [], [])
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

  var count: Int { squares.count }

  func className(_ index: Int) -> String? { photos[index].className }

  private static func square(
    _ photo: DiagnosisSubject.Photo, _ preprocessing: Preprocessing
  ) throws -> RGBImage {
    let bytes = try FileSystem.read(photo.path, limit: 1 << 30)
    return try bytes.withUnsafeBytes { raw in
      var options = DecodeOptions(background: preprocessing.background)
      let probe = try ImageDecoder.probe(raw, options: options)
      options.minimumSize = preprocessing.smallestSource(of: probe.size)
      return preprocessing.square(of: try ImageDecoder.decode(raw, options: options))
    }
  }

  /// Writes the squares at `range` with the numbers of `preprocessing`, one after the other.
  func write(
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
