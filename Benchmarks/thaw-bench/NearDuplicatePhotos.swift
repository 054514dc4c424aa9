// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawDatasets
import ThawImages
import ThawTensors

/// Times the search for near-duplicates, and says what it found.
struct NearDuplicatePhotos: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "near-duplicates",
    abstract:
      "Group photos that show the same picture: made-up thumbnails, or the photos of a folder.")

  @Option(
    help: "Number of made-up photos; every tenth is a copy of the one before, a little changed.")
  var count = 100_000

  @Option(help: "Folder of photos in place of made-up ones, one sub-folder per class.")
  var photos: String?

  func run() throws {
    let thumbnails = try photos.map { try read(FilePath($0)) } ?? (0..<count).map(madeUp)
    let start = ContinuousClock.now
    let groups = NearDuplicates.groups(thumbnails)
    let seconds = start.duration(to: .now) / .seconds(1)
    let members = groups.reduce(0) { $0 + $1.count }
    print("\(thumbnails.count) photos, \(groups.count) groups of \(members) photos, \(seconds) s")
  }

  private func read(_ folder: FilePath) throws -> [PhotoThumbnail?] {
    let scan = try FolderScanner.scan(folder)
    let result = try DatasetVerification.run(
      scan, with: DecodingVerifier(), options: .init(threads: 2))
    return result.photos.map(\.image.thumbnail)
  }

  /// Brightness that changes slowly across the photo, as in photos: a sum of low frequencies.
  private func madeUp(_ number: Int) -> PhotoThumbnail? {
    let source = number % 10 == 9 ? number - 1 : number
    var stream = RandomStream(seed: 1, purpose: .procedural, epoch: source, sample: 0)
    let side = PhotoThumbnail.side
    var levels = [Double](repeating: 128, count: side * side)
    // Corners of a coarse grid, interpolated, coarse and fine.
    for (cells, strength) in [(3, 80.0), (5, 40), (9, 20)] {
      let grid = (0..<(cells * cells)).map { _ in Double(stream.uniform()) - 0.5 }
      for index in levels.indices {
        let x = Double(index % side) / Double(side - 1) * Double(cells - 1)
        let y = Double(index / side) / Double(side - 1) * Double(cells - 1)
        let (left, top) = (min(Int(x), cells - 2), min(Int(y), cells - 2))
        let (across, down) = (x - Double(left), y - Double(top))
        let at = top * cells + left
        let upper = grid[at] + (grid[at + 1] - grid[at]) * across
        let lower = grid[at + cells] + (grid[at + cells + 1] - grid[at + cells]) * across
        levels[index] += strength * 2 * (upper + (lower - upper) * down)
      }
    }
    var noise = RandomStream(seed: 2, purpose: .procedural, epoch: number, sample: 0)
    return PhotoThumbnail(
      levels: levels.map { UInt8(min(max($0 + 4 * Double(noise.uniform()) - 2, 0), 255)) })
  }
}
