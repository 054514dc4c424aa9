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
    var search = Search(thumbnails, threads: threads)
    search.joinEqual()
    search.joinNear()
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
    let picture: ThumbnailMatch.Picture
    let hash: UInt64
    let mirrored: UInt64
    let inner: UInt64
    let mirroredInner: UInt64

    init?(_ index: Int, _ thumbnail: PhotoThumbnail?) {
      guard let levels = thumbnail?.levels.map(Float.init),
        let picture = ThumbnailMatch.Picture(levels)
      else { return nil }
      (self.index, self.picture) = (index, picture)
      let whole = PerceptualHash.both(of: levels)
      (hash, mirrored) = (whole.plain.bits, whole.mirrored.bits)
      let inner = PerceptualHash.both(of: ThumbnailMatch.inner(levels))
      (self.inner, mirroredInner) = (inner.plain.bits, inner.mirrored.bits)
    }
  }

  /// What `work` makes of parts of `count` things, one after the other, computed by several threads.
  private static func inParts<Result: Sendable>(
    _ count: Int, threads: Int, _ work: @escaping @Sendable (Range<Int>) -> [Result]
  ) -> [Result] {
    let step = 256
    let parts = (count + step - 1) / step
    let results = Mutex([[Result]](repeating: [], count: parts))
    @Sendable func compute(_ part: Int) {
      let result = work((part * step)..<min((part + 1) * step, count))
      results.withLock { $0[part] = result }
    }
    do { try forEachIndex(below: parts, threads: threads) { compute($0) } } catch {
      // Without more threads this one does it.
      for part in 0..<parts { compute(part) }
    }
    return results.withLock { $0.flatMap(\.self) }
  }

  private struct Search {
    private let photos: [Photo]
    private let threads: Int
    private var sets: DisjointSets
    /// Of photos with equal hashes those that are unlike each other.
    private var representatives: [Int] = []

    init(_ thumbnails: [PhotoThumbnail?], threads: Int) {
      self.threads = threads
      photos = NearDuplicates.inParts(thumbnails.count, threads: threads) { part in
        part.compactMap { Photo($0, thumbnails[$0]) }
      }
      sets = DisjointSets(count: photos.count)
    }

    /// Photos with equal hashes: compared with those before that were unlike each other, of which there
    /// are few.
    mutating func joinEqual() {
      let equal = Dictionary(grouping: photos.indices, by: { photos[$0].hash })
      for hash in equal.keys.sorted() {
        var kept: [Int] = []
        for index in equal[hash] ?? [] {
          let picture = photos[index].picture
          if let like = kept.first(where: { ThumbnailMatch.areAlike(photos[$0].picture, picture) })
          {
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
    mutating func joinNear() {
      let chosen = representatives.map { photos[$0] }
      let neighbours = HashNeighbours(chosen.map(\.hash))
      let found = NearDuplicates.inParts(chosen.count, threads: threads) { part in
        part.flatMap { Search.alike($0, chosen, neighbours) }
      }
      for (one, two) in found { sets.join(representatives[one], representatives[two]) }
    }

    /// The photos that are like the one at `place`, seen from it.
    private static func alike(
      _ place: Int, _ photos: [Photo], _ neighbours: HashNeighbours
    ) -> [(Int, Int)] {
      let photo = photos[place]
      func near(_ hashes: (UInt64, Int)...) -> [Int] {
        var seen: [Int] = []
        for (hash, first) in hashes {
          neighbours.forEach(near: hash, behind: first, distance: distance) { seen.append($0) }
        }
        // A list that is sorted takes less time than a set, and few are found twice.
        var others: [Int] = []
        for other in seen.sorted() where other != place && other != others.last {
          others.append(other)
        }
        return others
      }
      var pairs: [(Int, Int)] = []
      for other in near((photo.hash, place), (photo.inner, -1))
      where ThumbnailMatch.areAlike(photo.picture, photos[other].picture) {
        pairs.append((place, other))
      }
      let turned = near((photo.mirrored, place), (photo.mirroredInner, -1))
      guard !turned.isEmpty,
        let mirror = ThumbnailMatch.Picture(NearDuplicates.mirror(photo.picture.levels))
      else { return pairs }
      for other in turned where ThumbnailMatch.areAlike(mirror, photos[other].picture) {
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
