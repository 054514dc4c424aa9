// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawImages
import ThawTensors

/// Writes a folder of JPEG files of an ordinary size.
struct MakePhotos: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "photos", abstract: "Write 128 JPEG files of 500 x 375.",
    discussion: "From the PNG files below --from where there are any, otherwise made-up ones.")

  @Option(help: "Where to write them; nothing is done when they are there.")
  var output: String

  @Option(help: "Folder of PNG files.")
  var from = "demo-data/stamps"

  private static let count = 128
  private static let size = PixelSize(width: 500, height: 375)

  func run() throws {
    let target = URL(fileURLWithPath: output)
    let files = FileManager.default
    try files.createDirectory(at: target, withIntermediateDirectories: true)
    let sources = MakePhotos.files(below: from, withExtension: "png")
    for index in 0..<MakePhotos.count {
      let file = target.appending(path: String(format: "%04d.jpg", index))
      if files.fileExists(atPath: file.path) { continue }
      let image =
        sources.isEmpty
        ? MakePhotos.pattern(index)
        : try MakePhotos.photo(sources[index * sources.count / MakePhotos.count])
      try Data(try JPEGEncoder.encode(image, quality: 90)).write(to: file, options: .atomic)
    }
    print("\(MakePhotos.count) photos of \(MakePhotos.size) in \(output)")
  }

  /// Paths below `folder` in byte order; none when the folder does not exist.
  static func files(below folder: String, withExtension wanted: String...) -> [String] {
    guard let found = FileManager.default.enumerator(atPath: folder) else { return [] }
    return found.compactMap { $0 as? String }
      .filter { wanted.contains(($0 as NSString).pathExtension.lowercased()) }
      .map { "\(folder)/\($0)" }
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func photo(_ path: String) throws -> RGBImage {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    return try ImageDecoder.decode(bytes).image.resized(to: size, interpolation: .bicubic)
  }

  /// Waves of several lengths with some noise: about as hard to decode as a photo.
  private static func pattern(_ index: Int) -> RGBImage {
    var stream = RandomStream(seed: 1, purpose: .procedural, sample: index)
    let waves = (0..<12).map { wave in
      (
        channel: wave % 3, across: stream.uniform(in: -0.2...0.2),
        down: stream.uniform(in: -0.2...0.2), phase: stream.uniform(in: 0...6)
      )
    }
    return RGBImage(size: size) { samples in
      for position in 0..<size.width * size.height {
        let (x, y) = (Double(position % size.width), Double(position / size.width))
        var color = [128.0, 128.0, 128.0]
        for wave in waves {
          color[wave.channel] += 28 * sin(wave.across * x + wave.down * y + wave.phase)
        }
        for channel in 0..<3 {
          let value = color[channel] + stream.uniform(in: -6...6)
          samples[3 * position + channel] = UInt8(min(max(value, 0), 255))
        }
      }
    }
  }
}
