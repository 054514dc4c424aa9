// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import ThawImages

/// Groups photos that show the same picture: saved again, resized, slightly cropped, mirrored, a little
/// brighter, or taken a moment later.
///
/// Two photos are alike when their hashes differ in at most 11 of 63 bits, as they are, mirrored, or one
/// of them without a narrow border, and their thumbnails correlate. A group is what hangs together by
/// likeness. Photos without any detail are like no other.
///
/// Of copies cropped by 5 % the hashes of the photos as they are bring 88 % that near; with the border
/// off one of them it is 97 %.
package enum NearDuplicates {
  static let distance = 11

  /// The groups of at least two photos, as indices in ascending order, ordered by their first.
  ///
  /// - Parameter thumbnails: of the photos; nil for one that cannot be compared.
  package static func groups(
    _ thumbnails: [PhotoThumbnail?], threads: Int = 2
  ) -> [[Int]] {
    var search = Search(thumbnails)
    search.joinEqual()
    search.joinNear(threads: threads)
    return search.groups
  }

  /// A thumbnail of the mirrored photo.
  static func mirror(_ levels: [Float]) -> [Float] {
    let side = PhotoThumbnail.side
    return levels.indices.map { levels[$0 / side * side + side - 1 - $0 % side] }
  }

  /// A photo and the hashes that its copies may have.
  private struct Photo: Sendable {
    let index: Int
    let levels: [Float]
    let hash: UInt64
    let mirrored: UInt64
    let inner: UInt64
    let mirroredInner: UInt64

    init?(_ index: Int, _ thumbnail: PhotoThumbnail?) {
      guard let levels = thumbnail?.levels.map(Float.init), ThumbnailMatch.Normal(levels) != nil
      else { return nil }
      self.index = index
      self.levels = levels
      let mirror = NearDuplicates.mirror(levels)
      hash = PerceptualHash(levels).bits
      mirrored = PerceptualHash(mirror).bits
      inner = PerceptualHash(ThumbnailMatch.inner(levels)).bits
      mirroredInner = PerceptualHash(ThumbnailMatch.inner(mirror)).bits
    }
  }

  private struct Search {
    private let photos: [Photo]
    private var sets: DisjointSets
    /// Of photos with equal hashes those that are unlike each other.
    private var representatives: [Int] = []

    init(_ thumbnails: [PhotoThumbnail?]) {
      photos = thumbnails.enumerated().compactMap { Photo($0, $1) }
      sets = DisjointSets(count: photos.count)
    }

    /// Photos with equal hashes: compared with those before that were unlike each other, of which there
    /// are few.
    mutating func joinEqual() {
      let equal = Dictionary(grouping: photos.indices, by: { photos[$0].hash })
      for hash in equal.keys.sorted() {
        var kept: [Int] = []
        for index in equal[hash] ?? [] {
          let levels = photos[index].levels
          if let like = kept.first(where: { ThumbnailMatch.areAlike(photos[$0].levels, levels) }) {
            sets.join(like, index)
          } else if kept.count < 16 {
            kept.append(index)
          }
        }
        representatives += kept
      }
      representatives.sort()
    }

    /// Photos with hashes that are near.
    mutating func joinNear(threads: Int) {
      let chosen = representatives.map { photos[$0] }
      let neighbours = HashNeighbours(chosen.map(\.hash))
      let found = Mutex([(Int, Int)]())
      let step = 256
      let parts = (chosen.count + step - 1) / step
      @Sendable func look(_ part: Int) {
        var pairs: [(Int, Int)] = []
        for place in (part * step)..<min((part + 1) * step, chosen.count) {
          pairs += Search.alike(place, chosen, neighbours)
        }
        found.withLock { $0 += pairs }
      }
      do { try forEachIndex(below: parts, threads: threads) { look($0) } } catch {
        // Without more threads this one does it.
        for part in 0..<parts { look(part) }
      }
      for (one, two) in found.withLock({ $0 }) {
        sets.join(representatives[one], representatives[two])
      }
    }

    /// The photos that are like the one at `place`, seen from it.
    private static func alike(
      _ place: Int, _ photos: [Photo], _ neighbours: HashNeighbours
    ) -> [(Int, Int)] {
      let photo = photos[place]
      func near(_ hashes: (UInt64, Int)...) -> [Int] {
        var seen: Set<Int> = []
        for (hash, first) in hashes {
          neighbours.forEach(near: hash, behind: first, distance: distance) { seen.insert($0) }
        }
        seen.remove(place)
        return seen.sorted()
      }
      var pairs: [(Int, Int)] = []
      for other in near((photo.hash, place), (photo.inner, -1))
      where ThumbnailMatch.areAlike(photo.levels, photos[other].levels) {
        pairs.append((place, other))
      }
      let turned = near((photo.mirrored, place), (photo.mirroredInner, -1))
      guard !turned.isEmpty else { return pairs }
      let mirror = NearDuplicates.mirror(photo.levels)
      for other in turned where ThumbnailMatch.areAlike(mirror, photos[other].levels) {
        pairs.append((place, other))
      }
      return pairs
    }

    var groups: [[Int]] {
      mutating get {
        sets.groups.filter { $0.count > 1 }.map { $0.map { photos[$0].index } }
      }
    }
  }
}
