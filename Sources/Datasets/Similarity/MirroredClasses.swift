// SPDX-License-Identifier: Apache-2.0

import ThawFiles
import ThawImages

/// Two classes that are told apart by the side on which something is: a photo of one, mirrored, is a photo of
/// the other, so that mirroring photos in training teaches the wrong label.
package struct MirroredClasses: Hashable, Sendable {
  /// In the order of their names.
  package let first, second: String
  /// Photos of one that are mirror images of a photo of the other, path by path; empty where only the names say it.
  package let pairs: [[String]]

  /// What the names of classes and photos that are alike say.
  ///
  /// - Parameter groups: photos that show the same picture, by their paths.
  static func found(
    in photos: [VerifiedFile], names: [String], groups: [[BytePath]]
  ) -> [MirroredClasses] {
    let members = Set(groups.flatMap(\.self))
    var known: [BytePath: VerifiedFile] = [:]
    for index in photos.indices where members.contains(photos[index].file.path) {
      known[photos[index].file.path] = known[photos[index].file.path] ?? photos[index]
    }
    var pairs: [[String]: [[String]]] = [:]
    for group in groups {
      let files = group.prefix(largestGroup).compactMap { known[$0] }
      let pictures = files.map { Sides($0.image.thumbnail) }
      for (index, one) in files.enumerated() {
        for (place, other) in files.enumerated().dropFirst(index + 1) {
          guard let classes = differing(one, other),
            Sides.areMirrored(pictures[index], pictures[place])
          else { continue }
          pairs[classes, default: []].append([one, other].map { $0.file.path.description })
        }
      }
    }
    for (one, other) in namedPairs(names) { pairs[[one, other], default: []] += [] }
    return pairs.keys.sorted { $0.lexicographicallyPrecedes($1) }.map {
      MirroredClasses(first: $0[0], second: $0[1], pairs: pairs[$0] ?? [])
    }
  }

  /// Photos of a group that are compared with each other.
  private static let largestGroup = 32

  /// The class that only the one has and the one that only the other has, in order; nil unless there are both.
  private static func differing(_ one: VerifiedFile, _ other: VerifiedFile) -> [String]? {
    let (first, second) = (Set(one.file.classNames), Set(other.file.classNames))
    guard let own = first.subtracting(second).min(), let others = second.subtracting(first).min()
    else { return nil }
    return [own, others].sorted()
  }

  /// A photo as it is and from the other side.
  private struct Sides {
    let plain, mirrored: ThumbnailMatch.Picture

    init?(_ thumbnail: PhotoThumbnail?) {
      guard let levels = thumbnail?.levels.map(Float.init),
        let plain = ThumbnailMatch.Picture(levels),
        let mirrored = ThumbnailMatch.Picture(NearDuplicates.mirror(levels))
      else { return nil }
      (self.plain, self.mirrored) = (plain, mirrored)
    }

    /// Whether the one shows the other from the other side, and not as it is.
    static func areMirrored(_ one: Sides?, _ other: Sides?) -> Bool {
      guard let one, let other else { return false }
      return !ThumbnailMatch.areAlike(one.plain, other.plain)
        && ThumbnailMatch.areAlike(one.mirrored, other.plain)
    }
  }

  /// Classes whose names differ in nothing but the side.
  private static func namedPairs(_ names: [String]) -> [(String, String)] {
    let known = Dictionary(names.map { (words($0), $0) }) { first, _ in first }
    return names.sorted().compactMap { name in
      let own = words(name)
      for (left, right) in sides {
        // A letter means itself where it is the whole name: not in `vitamin b` and `vitamin d`.
        if left == "b" || left == "p", own.count > 1 { continue }
        let turned = own.map { $0 == left ? right : $0 == right ? left : $0 }
        guard turned != own, own.contains(left), let other = known[turned], other != name else {
          continue
        }
        return name < other ? (name, other) : (other, name)
      }
      return nil
    }
  }

  /// The words of a name: `handLeft`, `hand_left` and `Hand left` have the same.
  private static func words(_ name: String) -> [String] {
    var words: [String] = []
    var word = ""
    var wasLower = false
    for character in name {
      if !character.isLetter || (character.isUppercase && wasLower), !word.isEmpty {
        words.append(word.lowercased())
        word = ""
      }
      if character.isLetter {
        word.append(character)
      } else if character.isNumber {
        words.append(String(character))
      }
      wasLower = character.isLowercase
    }
    return word.isEmpty ? words : words + [word.lowercased()]
  }

  /// In the languages of most names, and letters that mirror each other.
  private static let sides = [
    ("left", "right"), ("l", "r"), ("lhs", "rhs"), ("lh", "rh"), ("leftward", "rightward"),
    ("leftwards", "rightwards"), ("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"),
    ("gauche", "droite"), ("gauche", "droit"), ("izquierda", "derecha"), ("izquierdo", "derecho"),
    ("sinistra", "destra"), ("sinistro", "destro"), ("esquerda", "direita"),
    ("esquerdo", "direito"),
    ("lewa", "prawa"), ("lewy", "prawy"), ("clockwise", "counterclockwise"),
    ("clockwise", "anticlockwise"), ("b", "d"), ("p", "q"),
  ]
}

extension DataLook {
  /// What is said of classes that mirror images of each other belong to.
  static func mirrored(_ classes: MirroredClasses) -> Finding {
    let (one, other) = ("'\(classes.first)'", "'\(classes.second)'")
    let what =
      classes.pairs.isEmpty
      ? "classes \(one) and \(other) are told apart by the side, as their names say"
      : "\(counted(classes.pairs.count, "photo")) of class \(one) or \(other)"
        + " \(classes.pairs.count == 1 ? "is the mirror image of one" : "are mirror images of photos") of the other:"
        + " \(classes.pairs.prefix(3).map { $0.joined(separator: " and ") }.joined(separator: ", "))"
    return Finding(
      kind: .mirrored, count: classes.pairs.count,
      examples: classes.pairs.prefix(3).flatMap(\.self),
      text:
        "\(what). Training mirrors photos, which would teach them the other's label: train with"
        + " --augmentation document or none, or keep the rest of it in the recipe with"
        + " augmentation: {preset: photo, horizontal_flip: false}, and evaluate without --tta")
  }
}
