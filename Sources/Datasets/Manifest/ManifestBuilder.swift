// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// Turns verified photos into a ``Manifest``.
package struct ManifestBuilder: Sendable {
  /// What bad files do.
  package var policy = BadFilePolicy.stop
  /// How photos without a validation folder are split.
  package var fractions = SplitFractions()
  /// The seed of the split.
  package var seed: UInt64 = 0
  /// How photos were grouped, as the option says it; nil when they were not. The groups are the scan's.
  package var grouping: String?
  /// What becomes of photos that show the same picture.
  package var nearDuplicates = NearDuplicatePolicy.group
  /// What becomes of photos that are in several classes.
  package var conflicts = ConflictPolicy.stop
  /// Puts all photos of a dataset without split folders into one split and drops the rules that
  /// make a dataset trainable: for evaluating a finished model.
  package var everythingIn: Split?
  /// Whether classes that an existing manifest does not have are added, behind its own.
  package var allowsNewClasses = false

  /// The defaults.
  package init() {}

  /// The manifest of `verification`.
  ///
  /// Folders for validation or test are used as they are. Without a validation folder the training
  /// photos are split by their contents (a test fraction only applies when there is no test folder
  /// either). Photos with contents that `existing` has keep its split when it was made by the same
  /// fractions and seed; otherwise all are split anew (``Manifest/isSplitAnew(from:)``).
  ///
  /// - Throws: ``DatasetError`` when a policy stops, classes have no usable photo or too few, or a class
  ///   of a validation or test folder has none to train on.
  package func build(
    _ verification: DatasetVerification, existing: Manifest? = nil
  ) throws(DatasetError) -> Manifest {
    try apply(policy, verification)
    let contradicting = try contradicting(verification.photos)
    var photos = verification.photos.filter {
      conflicts != .drop || contradicting[$0.sha256] == nil
    }
    var notes = dropped(contradicting)
    var (alike, doubtful) = groups(of: photos)
    notes += noted(.lookAlike, doubtful.joined().sorted().map { photos[$0].file.path })
    if nearDuplicates == .drop, everythingIn == nil {
      let surplus = surplus(of: alike, photos)
      notes += noted(.nearDuplicate, surplus.map { photos[$0].file.path })
      let left = Set(surplus)
      photos = photos.indices.filter { !left.contains($0) }.map { photos[$0] }
      (alike, doubtful) = groups(of: photos)
    }
    let classes = try classNames(verification.scan, existing)
    let fractions = splitFractions(photos)
    let splits = try splits(photos, fractions, existing, alike: alike)
    let records = zip(photos, splits).map(Manifest.Record.init)
    if everythingIn == nil {
      try checkTraining(classes, records, verification)
    }
    let root = verification.scan.root.canonical ?? verification.scan.root
    return Manifest(
      version: verification.scan.severalLabels
        ? Manifest.severalLabelsVersion : Manifest.currentVersion, root: BytePath(root),
      layout: verification.scan.layout,
      classes: classes, records: records, bad: verification.bad,
      notes: verification.scan.notes + notes,
      duplicates: Manifest.DuplicateGroup.groups(of: records),
      nearDuplicates: nearDuplicates == .ignore
        ? nil : Manifest.NearDuplicateGroup.groups(alike, of: records),
      bonds: fractions == nil ? nil : bonds,
      seed: fractions == nil ? existing?.seed ?? seed : seed, fractions: fractions)
  }

  /// The paths of photos that are in several classes, by contents.
  private func contradicting(
    _ photos: [VerifiedFile]
  ) throws(DatasetError) -> [String: [BytePath]] {
    // Folders of validation or test photos are looked at as well: a label contradicts another there.
    let groups = Dictionary(grouping: photos.indices) { photos[$0].sha256 }.filter { _, same in
      same.contains { photos[$0].file.className != photos[same[0]].file.className }
    }.mapValues { same in same.map { photos[$0].file.path }.sorted() }
    if everythingIn == nil, conflicts == .stop, !groups.isEmpty {
      throw .contradictingLabels(groups.values.sorted { $0[0] < $1[0] })
    }
    return groups
  }

  private func dropped(_ contradicting: [String: [BytePath]]) -> [ScanNote] {
    guard conflicts == .drop else { return [] }
    return noted(.contradictingLabel, contradicting.values.joined().sorted())
  }

  private func noted(_ kind: ScanNote.Kind, _ paths: [BytePath]) -> [ScanNote] {
    var notes = NoteCounter()
    for path in paths { notes.add(kind, path) }
    return notes.all
  }

  /// Groups of photos that show the same picture, and those of which that cannot be said.
  private func groups(of photos: [VerifiedFile]) -> (alike: [[Int]], doubtful: [[Int]]) {
    guard nearDuplicates != .ignore else { return ([], []) }
    let groups = NearDuplicates.groups(photos.map(\.image.thumbnail))
    let areDoubtful = groups.map { isDoubtful($0, photos) }
    func those(_ doubtful: Bool) -> [[Int]] {
      zip(groups, areDoubtful).filter { $0.1 == doubtful }.map(\.0)
    }
    return (those(false), those(true))
  }

  /// Whether photos that look alike may well be no copies: pages of text, or a fixed camera. Thumbnails
  /// cannot tell such apart, and then most of a class hangs together, or several classes do.
  private func isDoubtful(_ group: [Int], _ photos: [VerifiedFile]) -> Bool {
    let contents = Set(group.map { photos[$0].sha256 })
    guard contents.count >= 10 else { return false }
    let classes = Dictionary(grouping: group) { photos[$0].file.className }
    guard classes.count == 1, let name = classes.keys.first else { return true }
    let whole = Set(photos.filter { $0.file.className == name }.map(\.sha256))
    return contents.count * 2 > whole.count
  }

  /// All but the largest photo of each group in each class.
  private func surplus(of groups: [[Int]], _ photos: [VerifiedFile]) -> [Int] {
    func size(_ index: Int) -> Int { photos[index].image.width * photos[index].image.height }
    return groups.flatMap { group in
      Dictionary(grouping: group) { photos[$0].file.className }.values.flatMap { same in
        let largest = same.max { (size($0), $1) < (size($1), $0) }
        return same.filter { $0 != largest }
      }
    }.sorted()
  }

  private func apply(
    _ policy: BadFilePolicy, _ verification: DatasetVerification
  ) throws(DatasetError) {
    let total = verification.photos.count + verification.bad.count
    guard !policy.allows(verification.bad.count, of: total) else { return }
    switch policy {
    case .stop: throw .badFiles(verification.bad, of: total)
    case .skip(let limit): throw .tooManyBadFiles(verification.bad, of: total, limit: limit)
    }
  }

  private func classNames(
    _ scan: FolderScan, _ existing: Manifest?
  ) throws(DatasetError) -> [String] {
    guard let existing else { return scan.classes }
    let known = Set(existing.classes)
    let new = scan.classes.filter { !known.contains($0) }
    guard new.isEmpty || allowsNewClasses else { throw .newClasses(new) }
    return existing.classes + new
  }

  private var bonds: [String] {
    (grouping.map { ["group by \($0)"] } ?? []) + (bindsAlike ? ["near-duplicates"] : [])
  }

  /// Whether photos that look alike go into one split; those of several classes stay when the others are
  /// dropped.
  private var bindsAlike: Bool { nearDuplicates == .group || nearDuplicates == .drop }

  /// The fractions that apply; nil when the folders say all.
  private func splitFractions(_ photos: [VerifiedFile]) -> SplitFractions? {
    guard everythingIn == nil, !photos.contains(where: { $0.file.split == .valid }) else {
      return nil
    }
    let hasTestFolder = photos.contains { $0.file.split == .test }
    return hasTestFolder ? SplitFractions(valid: fractions.valid) : fractions
  }

  private func splits(
    _ photos: [VerifiedFile], _ fractions: SplitFractions?, _ existing: Manifest?, alike: [[Int]]
  ) throws(DatasetError) -> [Split] {
    if let everythingIn { return photos.map { $0.file.split ?? everythingIn } }
    guard let fractions else { return photos.map { $0.file.split ?? .train } }
    let free = photos.filter { $0.file.split != .test }
    let hasTestFolder = free.count < photos.count
    var kept: [String: Split] = [:]
    if let existing,
      existing.isSplit(
        by: fractions, seed: seed, bonds: bonds, hasTestFolder: hasTestFolder)
    {
      for record in existing.records where !hasTestFolder || record.split != .test {
        kept[record.sha256] = kept[record.sha256] ?? record.split
      }
    }
    var ties = photos.map { photo in photo.file.group.map { ["group " + $0] } ?? [] }
    if bindsAlike {
      for (number, group) in alike.enumerated() {
        for index in group { ties[index].append("alike \(number)") }
      }
    }
    let assigned = try SplitAssignment.assign(
      zip(photos, ties).filter { $0.0.file.split != .test }.map { photo, ties in
        .init(content: photo.sha256, classNames: photo.file.classNames, ties: ties)
      }, severalLabels: photos.contains { $0.file.labels != nil }, fractions: fractions, seed: seed,
      kept: kept)
    return photos.map { photo in
      photo.file.split == .test ? .test : assigned[photo.sha256] ?? .train
    }
  }

  private func checkTraining(
    _ classes: [String], _ records: [Manifest.Record], _ verification: DatasetVerification
  ) throws(DatasetError) {
    var found: [String: Set<Split>] = [:]
    for record in records {
      for name in record.classNames { found[name, default: []].insert(record.split) }
    }
    for name in classes where found[name]?.contains(.train) != true {
      if let other = found[name]?.first { throw .classNotInTraining(name, other) }
      if !verification.scan.classes.contains(name) { throw .classGone(name) }
      let folders = Set(
        verification.scan.files.filter { $0.classNames.contains(name) }.map(\.path))
      throw .emptyClass(name, bad: verification.bad.filter { folders.contains($0.path) })
    }
  }
}

extension Manifest.Record {
  fileprivate init(_ photo: VerifiedFile, _ split: Split) {
    self.init(
      path: photo.file.path, className: photo.file.className, labels: photo.file.labels,
      split: split,
      group: photo.file.group, sha256: photo.sha256,
      size: photo.file.status.size, modified: photo.file.status.modified,
      width: photo.image.width, height: photo.image.height, format: photo.image.format,
      warnings: photo.image.warnings)
  }
}

extension Manifest.NearDuplicateGroup {
  /// Of groups of indices those that have photos with different contents, ordered by their first path.
  fileprivate static func groups(_ alike: [[Int]], of records: [Manifest.Record]) -> [Self] {
    alike.compactMap { group -> Self? in
      let same = group.map { records[$0] }
      guard Set(same.map(\.sha256)).count > 1 else { return nil }
      return Self(kinds: .of(same), paths: same.map(\.path).sorted())
    }.sorted { $0.paths[0] < $1.paths[0] }
  }
}

extension [Manifest.DuplicateGroup.Kind] {
  /// What is remarkable about photos that are the same.
  fileprivate static func of(_ same: [Manifest.Record]) -> Self {
    let classes = Set(same.map(\.className))
    var kinds: Self = []
    if classes.count < same.count { kinds.append(.withinClass) }
    if classes.count > 1 { kinds.append(.acrossClasses) }
    if Set(same.map(\.split)).count > 1 { kinds.append(.acrossSplits) }
    return kinds
  }
}

extension Manifest.DuplicateGroup {
  /// The groups of at least two records with the same contents, ordered by their first path.
  fileprivate static func groups(of records: [Manifest.Record]) -> [Self] {
    Dictionary(grouping: records, by: \.sha256).filter { $0.value.count > 1 }
      .map { content, same in
        Self(sha256: content, kinds: .of(same), paths: same.map(\.path).sorted())
      }
      .sorted { ($0.paths[0], $0.sha256) < ($1.paths[0], $1.sha256) }
  }
}
