// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// What a look at the photos shows before anything is trained: what each class is made of, and what a
/// network could learn in place of what is meant.
package struct DataLook: Sendable, Encodable {
  /// What one class is made of.
  package struct ClassLook: Sendable, Encodable {
    /// The class.
    package let name: String
    /// Photos.
    package let count: Int
    /// Photos by format.
    package let formats: [String: Int]
    /// Photos by camera, as far as they name one.
    package let cameras: [String: Int]
    /// The middle one of all widths, in pixels.
    package let medianWidth: Int
    /// The middle one of all heights, in pixels.
    package let medianHeight: Int
    /// The middle one of all widths divided by heights.
    package let medianAspect: Double
  }

  /// Something to look at.
  package struct Finding: Sendable, Encodable {
    package enum Kind: String, Sendable, Encodable {
      case blank, dark, overexposed, blurred, greyscale, size, shortcut, imbalance, fewPhotos,
        mirrored
    }
    package let kind: Kind
    /// Photos that it is about.
    package let count: Int
    /// A few of them.
    package let examples: [String]
    /// For people: what, and what to do about it.
    package let text: String
  }

  /// In the order of the names.
  package let classes: [ClassLook]
  package let findings: [Finding]

  fileprivate struct Photo {
    let path: String
    let classNames: [String]
    let image: VerifiedImage
    let mean: Double
    let deviation: Double

    init(_ file: VerifiedFile) {
      path = file.file.path.description
      classNames = file.file.classNames
      image = file.image
      let levels = file.image.thumbnail?.levels ?? []
      let count = Double(max(levels.count, 1))
      let mean = Double(levels.reduce(0) { $0 + Int($1) }) / count
      let squares = levels.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
      self.mean = mean
      deviation = (squares / count).squareRoot()
    }

    /// What could give a class away: size, format, colour and camera; nil where it is not known.
    var marks: [String?] {
      [
        "\(image.width) x \(image.height)", image.format, image.isGrey ? "no colour" : "colour",
        image.camera.isEmpty ? nil : image.camera,
      ]
    }
  }

  /// Looks at the usable photos.
  ///
  /// - Parameters:
  ///   - weighsClasses: whether training weighs them by their number of photos already.
  ///   - mirrors: whether training mirrors photos.
  ///   - alike: photos that show the same picture, by their paths.
  package init(
    _ verification: DatasetVerification, weighsClasses: Bool = false, mirrors: Bool = false,
    alike: [[BytePath]] = []
  ) {
    let photos = verification.photos.map(Photo.init)
    // A photo with several labels is looked at in each of its classes.
    var groups: [String: [Photo]] = [:]
    for photo in photos { for name in photo.classNames { groups[name, default: []].append(photo) } }
    let names = groups.keys.sorted()
    classes = names.map { ClassLook($0, groups[$0] ?? []) }
    let seen = photos.filter { $0.image.thumbnail != nil }
    findings =
      DataLook.exposure(seen)
      + [DataLook.blurred(seen), DataLook.greyscale(seen), DataLook.sizes(photos)]
      .compactMap(\.self)
      + DataLook.shortcuts(groups, photos)
      + [DataLook.imbalance(groups, weighsClasses), DataLook.fewPhotos(groups)].compactMap(\.self)
      + (mirrors
        ? MirroredClasses.found(in: verification.photos, names: names, groups: alike)
          .map(DataLook.mirrored) : [])
  }

  private static func finding(_ kind: Finding.Kind, _ photos: [Photo], _ text: String) -> Finding? {
    guard !photos.isEmpty else { return nil }
    let examples = photos.prefix(3).map(\.path)
    let more = photos.count > 3 ? " and \(photos.count - 3) more" : ""
    return Finding(
      kind: kind, count: photos.count, examples: examples,
      text: "\(counted(photos.count, "photo")) \(text): \(examples.joined(separator: ", "))\(more)")
  }

  private static func exposure(_ photos: [Photo]) -> [Finding] {
    let blank = photos.filter { $0.deviation < 2 }
    let rest = photos.filter { $0.deviation >= 2 }
    return [
      finding(.blank, blank, "with nothing to see"),
      finding(.dark, rest.filter { $0.mean < 25 }, "nearly black"),
      finding(.overexposed, rest.filter { $0.mean > 235 }, "nearly white"),
    ].compactMap(\.self)
  }

  /// Photos with less than a quarter of the fine detail that the middle one of all has.
  private static func blurred(_ photos: [Photo]) -> Finding? {
    guard photos.count >= 10, let middle = median(photos.compactMap(\.image.detail)) else {
      return nil
    }
    let blurred = photos.filter { $0.image.detail.map { 4 * $0 < middle } ?? false }
    guard blurred.count * 5 < photos.count else { return nil }
    return finding(.blurred, blurred, "blurred, with a quarter of the others' detail at most")
  }

  private static func greyscale(_ photos: [Photo]) -> Finding? {
    let grey = photos.filter(\.image.isGrey)
    guard !grey.isEmpty, grey.count * 2 < photos.count else { return nil }
    return finding(.greyscale, grey, "without colour among photos with it")
  }

  private static func sizes(_ photos: [Photo]) -> Finding? {
    func area(_ photo: Photo) -> Int { photo.image.width * photo.image.height }
    let middle = median(photos.map(area)) ?? 1
    let odd = photos.filter { area($0) * 16 < middle || area($0) > 16 * middle }
    guard photos.count >= 10, odd.count * 5 < photos.count else { return nil }
    return finding(
      .size, odd,
      "with less than a sixteenth or more than sixteen times the pixels of the rest")
  }

  /// Sizes and formats that nearly all photos of one class have, and nearly none of the others.
  private static func shortcuts(_ groups: [String: [Photo]], _ photos: [Photo]) -> [Finding] {
    let total = photos.count
    let marks = ["size", "format", "colour", "camera"]
    // Photos by the value of each mark, among all and in each class.
    var all = marks.map { _ in [String: Int]() }
    var counts: [String: [[String: Int]]] = groups.mapValues { _ in marks.map { _ in [:] } }
    for photo in photos {
      for (mark, value) in photo.marks.enumerated() {
        guard let value else { continue }
        all[mark][value, default: 0] += 1
        for name in photo.classNames { counts[name]?[mark][value, default: 0] += 1 }
      }
    }
    return groups.keys.sorted().flatMap { name -> [Finding] in
      let own = groups[name] ?? []
      guard own.count >= 8, total - own.count >= 8, let counts = counts[name] else { return [] }
      return marks.indices.compactMap { mark in
        guard
          let (value, count) = counts[mark].max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
          count * 10 >= own.count * 8
        else { return nil }
        let others = (all[mark][value] ?? 0) - count
        guard others * 10 <= total - own.count else { return nil }
        return Finding(
          kind: .shortcut, count: count, examples: own.prefix(3).map(\.path),
          text:
            "the \(marks[mark]) gives class '\(name)' away: \(value) in \(count) of its \(own.count) photos"
            + " and \(others) of the \(total - own.count) others. A network may learn that in place of"
            + " what is meant; photograph or convert all classes alike")
      }
    }
  }

  /// Classes that can hardly be learnt, all at once.
  private static func fewPhotos(_ groups: [String: [Photo]]) -> Finding? {
    let few = groups.filter { $0.value.count <= 2 }.mapValues(\.count).sorted { $0.key < $1.key }
    guard !few.isEmpty else { return nil }
    return Finding(
      kind: .fewPhotos, count: few.count,
      examples: few.flatMap { groups[$0.key] ?? [] }.prefix(3).map(\.path),
      text:
        "\(few.count == 1 ? "a class has" : "\(few.count) classes have") one or two photos:"
        + " \(few.map { "'\($0.key)' \($0.value)" }.joined(separator: ", ")). Nothing that holds for others"
        + " can be learnt from so few, nor measured; add photos or leave them out")
  }

  private static func imbalance(_ groups: [String: [Photo]], _ isWeighed: Bool) -> Finding? {
    let counts = groups.mapValues(\.count).sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    guard let least = counts.first, let most = counts.last, most.value >= 3 * least.value else {
      return nil
    }
    return Finding(
      kind: .imbalance, count: least.value, examples: [],
      text:
        "class '\(most.key)' has \(counted(most.value, "photo")), '\(least.key)' \(least.value). "
        + (isWeighed
          ? "They are weighed in training; go" : "Weigh them with --class-weights balanced, and go")
        + " by macro F1 and each class's recall rather than accuracy")
  }
}

extension DataLook.ClassLook {
  fileprivate init(_ name: String, _ photos: [DataLook.Photo]) {
    self.name = name
    count = photos.count
    formats = Dictionary(grouping: photos, by: \.image.format).mapValues(\.count)
    cameras = Dictionary(grouping: photos.map(\.image.camera).filter { !$0.isEmpty }, by: \.self)
      .mapValues(\.count)
    medianWidth = median(photos.map(\.image.width)) ?? 0
    medianHeight = median(photos.map(\.image.height)) ?? 0
    medianAspect =
      median(photos.map { Double($0.image.width) / Double(max($0.image.height, 1)) }) ?? 0
  }
}

/// The middle value, the lower of two; nil of none.
private func median<Value: Comparable>(_ values: [Value]) -> Value? {
  values.isEmpty ? nil : values.sorted()[(values.count - 1) / 2]
}
