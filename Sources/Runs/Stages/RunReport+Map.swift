// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawAnswers
import ThawDatasets
import ThawFiles
import ThawImages
import ThawInference
import ThawReports

/// The photos on a plane, by the vectors that the model hands to its head.
extension RunReport {
  /// Photos at most: the time is bounded, and more could not be told apart on a page.
  private static let most = 600
  /// Pixels of a small picture.
  private static let side = 64
  private static let columns = 25

  /// The map in the run when it is of the model and the photos of now, else a new one, which is kept.
  ///
  /// Nil for fewer than four photos, for those that may have several labels, and for a model whose vectors
  /// cannot be had.
  func map() throws -> PhotoMap? {
    guard !manifest.severalLabels, manifest.records.count >= 4 else { return nil }
    // A sample that stays the same while photos are added around it.
    let records = manifest.records.sorted { $0.sha256 < $1.sha256 }.prefix(Self.most)
    let text = ([record.key] + records.map { "\($0.sha256) \($0.path) \($0.className)" })
      .joined(separator: "\n")
    let key = SHA256.hexadecimal(of: Array(text.utf8))
    if let known: PhotoMap = diagnosis("map", limit: 1 << 26), known.key == key { return known }
    guard let map = try newMap(Array(records), key) else { return nil }
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(run.diagnosis("map"), bytes: Array(try encoder.encode(map)))
    return map
  }

  private func newMap(_ records: [Manifest.Record], _ key: String) throws -> PhotoMap? {
    let context = open.context
    let extractor = try FeatureExtractor(StoredModel(modelFile: run.model), context: context)
    let paths = records.map { $0.path.resolved(in: manifest.root.filePath) }
    let progress = context.console.progress("Laying out photos", total: paths.count)
    var (kept, vectors): ([Int], [[Float]]) = ([], [])
    try extractor.forEach(paths) { index, result in
      progress.advance()
      guard case .success(let vector) = result else { return }
      kept.append(index)
      vectors.append(vector.elements)
    }
    progress.finish()
    guard kept.count >= 4 else { return nil }
    let places = PlaneMap(vectors).places
    let order = kept.indices.sorted {
      let (one, other) = (records[kept[$0]], records[kept[$1]])
      return (one.className, places[$0].x, $0) < (other.className, places[$1].x, $1)
    }
    let points = order.map { place in
      let record = records[kept[place]]
      return PhotoMap.Point(
        path: record.path.description, label: record.className, split: record.split.rawValue,
        x: places[place].x, y: places[place].y)
    }
    let sheet = try sheet(of: order.map { paths[kept[$0]] })
    return PhotoMap(
      key: key, points: points, count: manifest.records.count, sheet: Data(sheet),
      columns: Self.columns)
  }

  /// The middle squares of photos, small, row after row.
  private func sheet(of paths: [FilePath]) throws -> [UInt8] {
    let (side, columns) = (Self.side, Self.columns)
    let contract = Preprocessing(
      inputSize: side, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], cropFraction: 1,
      reading: network.preprocessing.reading)
    let rows = (paths.count + columns - 1) / columns
    var pixels = [UInt8](repeating: 128, count: rows * side * columns * side * 3)
    for (index, path) in paths.enumerated() {
      try open.context.checkInterruption()
      guard let bytes = try? PhotoFiles.read(path, limit: 1 << 28) else { continue }
      var options = contract.decodeOptions
      options.minimumSize = PixelSize(width: 2 * side, height: 2 * side)
      let decoded = try? bytes.withUnsafeBytes { try ImageDecoder.decode($0, options: options) }
      guard let square = decoded.map({ contract.square(of: $0) }) else { continue }
      let start = (index / columns * side * columns + index % columns) * side * 3
      for row in 0..<side {
        let target = start + row * columns * side * 3
        let own = square.pixels[(row * side * 3)..<((row + 1) * side * 3)]
        pixels.replaceSubrange(target..<(target + side * 3), with: own)
      }
    }
    return try JPEGEncoder.encode(
      RGBImage(size: PixelSize(width: columns * side, height: rows * side), pixels: pixels),
      quality: 75)
  }
}
