// SPDX-License-Identifier: Apache-2.0

import ThawFiles

extension Manifest {
  /// What deserves a look but stops nothing, one line each: notes of the scan, files left out or
  /// odd, copies, classes without validation photos.
  package var warnings: [String] {
    notes.map(\.description) + fileWarnings + duplicateWarnings + nearDuplicateWarnings
      + groupWarnings + classWarnings
  }

  private var fileWarnings: [String] {
    var lines: [String] = []
    if !bad.isEmpty {
      lines.append("\(counted(bad.count, "bad file")) left out: \(listed(bad, limit: 3))")
    }
    let odd = records.filter { !$0.warnings.isEmpty }
    if !odd.isEmpty {
      let examples = odd.map { "\($0.path): \($0.warnings.joined(separator: "; "))" }
      lines.append("\(counted(odd.count, "odd file")) used: \(listed(examples, limit: 3))")
    }
    let misnamed = records.filter(\.isMisnamed)
    if !misnamed.isEmpty {
      let examples = misnamed.map { "\($0.path) is \($0.format)" }
      lines.append(
        "\(counted(misnamed.count, "file")) named for another format: \(listed(examples, limit: 3))"
      )
    }
    return lines
  }

  private var duplicateWarnings: [String] {
    let texts: [(DuplicateGroup.Kind, String)] = [
      (.acrossSplits, "in several splits, so that results look better than they are"),
      (.acrossClasses, "in several classes, so that their labels contradict each other"),
      (.withinClass, "several times in one class"),
    ]
    return texts.compactMap { kind, text in
      let groups = duplicates.filter { $0.kinds.contains(kind) }
      guard !groups.isEmpty else { return nil }
      let examples = groups.map { $0.paths.map(\.description).joined(separator: " = ") }
      return "\(counted(groups.count, "photo")) \(text): \(listed(examples, limit: 3))"
    }
  }

  private var nearDuplicateWarnings: [String] {
    guard let groups = nearDuplicates, !groups.isEmpty else { return [] }
    let count = groups.reduce(0) { $0 + $1.paths.count }
    func examples(_ groups: [NearDuplicateGroup]) -> String {
      listed(
        groups.map { listed($0.paths, limit: 3) }.map { "(\($0))" }, limit: 3)
    }
    var lines: [String] = []
    let torn = groups.filter { $0.kinds.contains(.acrossSplits) }
    if torn.isEmpty {
      lines.append(
        "\(count) photos show \(counted(groups.count, "picture")), each in one split: \(examples(groups))"
      )
    } else {
      let more = groups.count - torn.count
      lines.append(
        "\(counted(torn.count, "picture")) in several splits as photos that are hardly different, so that"
          + " results look better than they are: \(examples(torn))"
          + (more > 0 ? "; \(more) more are in one split each" : ""))
    }
    let mixed = groups.filter { $0.kinds.contains(.acrossClasses) }
    if !mixed.isEmpty {
      lines.append(
        "\(counted(mixed.count, "picture")) in several classes: \(examples(mixed))")
    }
    return lines
  }

  private var groupWarnings: [String] {
    let groups = Dictionary(grouping: records.filter { $0.group != nil }) { $0.group ?? "" }
    let torn = groups.filter { Set($0.value.map(\.split)).count > 1 }.keys.sorted()
    guard !torn.isEmpty else { return [] }
    return [
      "\(torn.count) of \(groups.count) groups are in several splits:"
        + " \(listed(torn.map { "'\($0)'" }, limit: 3))"
    ]
  }

  private var classWarnings: [String] {
    missingWarnings + shareWarnings + caseWarnings + nameWarnings
  }

  /// Photos whose names are the same on a disk that knows no capitals, or spells accents in one way: of
  /// `a.JPG` and `a.jpg` one is lost when they are copied there.
  private var nameWarnings: [String] {
    // Swift takes two spellings of one letter for equal.
    guard Set(records.lazy.map { $0.path.description.lowercased() }).count < records.count else {
      return []
    }
    let alike = Dictionary(grouping: records.map(\.path)) { $0.description.lowercased() }.values
      .filter { $0.count > 1 }.map { $0.sorted() }.sorted { $0[0] < $1[0] }
    guard !alike.isEmpty else { return [] }
    let examples = alike.map { $0.map(\.description).joined(separator: " and ") }
    return [
      "\(counted(alike.count, "name")) of photos that differ only in capitals or in how accents are written:"
        + " \(listed(examples, limit: 3))"
    ]
  }

  /// Classes whose held-out photos are far from the share that was asked for.
  private var shareWarnings: [String] {
    guard let fractions else { return [] }
    // Photos that folders or a table hold out are not shared out.
    let shared = [
      (Split.train, 1), (.valid, fractions.valid), (.test, fractions.test),
    ].filter { $0.1 > 0 }.map(\.0)
    let totals = shared.map(counts).reduce([Int](repeating: 0, count: classes.count)) {
      zip($0, $1).map(+)
    }
    return [(Split.valid, fractions.valid), (.test, fractions.test)].compactMap { split, share in
      guard share > 0 else { return nil }
      let counts = counts(in: split)
      // Where the class is too small for any, that is said elsewhere.
      let odd = classes.indices.filter { index in
        let wanted = share * Double(totals[index])
        return counts[index] > 0 && abs(Double(counts[index]) - wanted) > max(1, wanted / 4)
      }
      guard !odd.isEmpty else { return nil }
      let examples = odd.map { "\(counts[$0]) of \(totals[$0]) of '\(classes[$0])'" }
      return "the \(split.rawValue) photos are not the share \(share) that was asked for:"
        + " \(listed(examples, limit: 3)). Groups or copies are larger than it, or photos have come and"
        + " gone since the split"
    }
  }

  private var caseWarnings: [String] {
    let alike = Dictionary(grouping: classes) { $0.lowercased() }.values.filter { $0.count > 1 }
      .map { $0.sorted() }.sorted { $0[0] < $1[0] }
    guard !alike.isEmpty else { return [] }
    let examples = alike.map { $0.map { "'\($0)'" }.joined(separator: " and ") }
    return ["classes that differ only in capitals: \(listed(examples, limit: 3))"]
  }

  private var missingWarnings: [String] {
    [Split.valid, .test].compactMap { split in
      let counts = counts(in: split)
      guard counts.contains(where: { $0 > 0 }) else {
        let share = split == .valid ? fractions?.valid : fractions?.test
        return share ?? 0 > 0
          ? "no \(split.rawValue) photos are left, though a share of \(share ?? 0) was held out; split"
            + " anew with another --seed" : nil
      }
      let missing = zip(classes, counts).filter { $0.1 == 0 }.map { "'\($0.0)'" }
      return missing.isEmpty
        ? nil
        : "no \(split.rawValue) photos of \(counted(missing.count, "class", "classes")): \(listed(missing))"
    }
  }
}

extension Manifest.Record {
  /// Whether the name promises another format than the content has.
  fileprivate var isMisnamed: Bool {
    let name = path.lastComponent
    guard let dot = name.lastIndex(of: 0x2E) else { return false }
    let promised: String? =
      switch String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased() {
      case "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "mpo": "JPEG"
      case "png", "apng": "PNG"
      case "gif": "GIF"
      case "webp": "WebP"
      case "bmp", "dib": "BMP"
      case "tif", "tiff": "TIFF"
      case "heic", "hif": "HEIC"
      case "avif": "AVIF"
      case "jxl": "JPEG XL"
      case "jp2", "j2k", "jpx": "JPEG 2000"
      default: nil
      }
    return promised.map { $0 != format } ?? false
  }
}
