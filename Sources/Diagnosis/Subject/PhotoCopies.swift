// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawImages

/// Which of some prepared photos show the same picture: saved again in another format, resized,
/// mirrored, a little brighter.
///
/// What a network learned from one it knows of the other, so none may judge what learned from another.
package struct PhotoCopies {
  /// A number for each photo, the same for those that show the same.
  package let groups: [Int]

  /// A group of photos of several classes that has this many is no copies of one, nor is one with most
  /// photos of its classes: pages of text, and what a fixed camera sees, all look alike.
  private static let doubtful = 10

  /// - Parameter side: of the photos, each [3, side, side].
  package init(_ photos: LabelledTensors, side: Int) {
    var groups = Array(0..<photos.count)
    let counts = Dictionary(grouping: photos.labels, by: \.self).mapValues(\.count)
    for group in NearDuplicates.groups(PhotoCopies.thumbnails(photos, side: side)) {
      let labels = Set(group.map { photos.labels[$0] })
      let whole = labels.reduce(0) { $0 + counts[$1, default: 0] }
      guard group.count * 2 <= whole, labels.count == 1 || group.count < PhotoCopies.doubtful
      else { continue }
      for photo in group { groups[photo] = group[0] }
    }
    self.groups = groups
  }

  /// The photos' brightness on the grid that copies are looked for on. What counts as black and white
  /// is the same for all of them.
  private static func thumbnails(_ photos: LabelledTensors, side: Int) -> [PhotoThumbnail?] {
    let cells = PhotoThumbnail.side
    guard side >= cells else { return Array(repeating: nil, count: photos.count) }
    let grids = (0..<photos.count).map { grid(photos.photo($0), side: side) }
    let (low, high) = (grids.joined().min() ?? 0, grids.joined().max() ?? 1)
    guard high > low, low.isFinite, high.isFinite else {
      return Array(repeating: nil, count: photos.count)
    }
    return grids.map { grid in
      PhotoThumbnail(levels: grid.map { UInt8(((($0 - low) / (high - low)) * 255).rounded()) })
    }
  }

  /// The mean of all channels in each cell.
  private static func grid(_ photo: UnsafeBufferPointer<Float>, side: Int) -> [Float] {
    let cells = PhotoThumbnail.side
    var sums = [Float](repeating: 0, count: cells * cells)
    var counts = sums
    let place = (0..<side).map { $0 * cells / side }
    for channel in 0..<3 {
      for y in 0..<side {
        let line = (channel * side + y) * side
        for x in 0..<side {
          let cell = place[y] * cells + place[x]
          sums[cell] += photo[line + x]
          counts[cell] += 1
        }
      }
    }
    return zip(sums, counts).map { $0 / max($1, 1) }
  }
}
