// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// Turns verified photos into a ``Manifest``.
package struct ManifestBuilder: Sendable {
  /// What bad files do.
  package var policy = BadFilePolicy.stop
  /// How photos without a validation folder are split.
  package var fractions = SplitFractions()
  /// The seed of the split. An existing manifest's seed takes precedence.
  package var seed: UInt64 = 0
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
  /// either). Photos with contents that `existing` has keep its split, unless folders say otherwise.
  ///
  /// - Throws: ``DatasetError`` when the policy stops, a class has no usable photo, or a class of a
  ///   validation or test folder has none to train on.
  package func build(
    _ verification: DatasetVerification, existing: Manifest? = nil
  ) throws(DatasetError) -> Manifest {
    try apply(policy, verification)
    let classes = try classNames(verification.scan, existing)
    let splits = try splits(verification, existing)
    let records = zip(verification.photos, splits).map(Manifest.Record.init)
    if everythingIn == nil {
      try checkTraining(classes, records, verification)
    }
    let root = verification.scan.root.canonical ?? verification.scan.root
    return Manifest(
      version: Manifest.currentVersion, root: BytePath(root), layout: verification.scan.layout,
      classes: classes, records: records, bad: verification.bad, notes: verification.scan.notes,
      duplicates: Manifest.DuplicateGroup.groups(of: records), seed: existing?.seed ?? seed,
      fractions: isSplitByHash(verification) ? fractions : nil)
  }

  private func apply(
    _ policy: BadFilePolicy, _ verification: DatasetVerification
  ) throws(DatasetError) {
    let total = verification.photos.count + verification.bad.count
    switch policy {
    case .stop:
      if !verification.bad.isEmpty { throw .badFiles(verification.bad, of: total) }
    case .skip(let limit):
      if Double(verification.bad.count) > limit * Double(total) {
        throw .tooManyBadFiles(verification.bad, of: total, limit: limit)
      }
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

  private func isSplitByHash(_ verification: DatasetVerification) -> Bool {
    everythingIn == nil && !verification.photos.contains { $0.file.split == .valid }
  }

  private func splits(
    _ verification: DatasetVerification, _ existing: Manifest?
  ) throws(DatasetError) -> [Split] {
    let photos = verification.photos
    if let everythingIn { return photos.map { $0.file.split ?? everythingIn } }
    guard isSplitByHash(verification) else { return photos.map { $0.file.split ?? .train } }
    let free = photos.filter { $0.file.split != .test }
    let hasTestFolder = free.count < photos.count
    let grouped = Dictionary(grouping: free, by: \.file.className)
    var kept: [String: Split] = [:]
    for record in existing?.records ?? [] where !hasTestFolder || record.split != .test {
      kept[record.sha256] = kept[record.sha256] ?? record.split
    }
    let assigned = try HashSplit.assign(
      verification.scan.classes.compactMap { name in
        grouped[name].map { (name, $0.map(\.sha256)) }
      },
      fractions: hasTestFolder ? SplitFractions(valid: fractions.valid) : fractions,
      seed: existing?.seed ?? seed, kept: kept)
    return photos.map { photo in
      photo.file.split == .test ? .test : assigned[photo.sha256] ?? .train
    }
  }

  private func checkTraining(
    _ classes: [String], _ records: [Manifest.Record], _ verification: DatasetVerification
  ) throws(DatasetError) {
    var found: [String: Set<Split>] = [:]
    for record in records { found[record.className, default: []].insert(record.split) }
    for name in classes where found[name]?.contains(.train) != true {
      if let other = found[name]?.first { throw .classNotInTraining(name, other) }
      let folders = Set(verification.scan.files.filter { $0.className == name }.map(\.path))
      throw .emptyClass(name, bad: verification.bad.count { folders.contains($0.path) })
    }
  }
}

extension Manifest.Record {
  fileprivate init(_ photo: VerifiedFile, _ split: Split) {
    self.init(
      path: photo.file.path, className: photo.file.className, split: split, sha256: photo.sha256,
      size: photo.file.status.size, modified: photo.file.status.modified,
      width: photo.image.width, height: photo.image.height, format: photo.image.format,
      warnings: photo.image.warnings)
  }
}

extension Manifest.DuplicateGroup {
  /// The groups of at least two records with the same contents, ordered by their first path.
  fileprivate static func groups(of records: [Manifest.Record]) -> [Self] {
    Dictionary(grouping: records, by: \.sha256).filter { $0.value.count > 1 }
      .map { content, same in
        let classes = Set(same.map(\.className))
        var kinds: [Kind] = []
        if classes.count < same.count { kinds.append(.withinClass) }
        if classes.count > 1 { kinds.append(.acrossClasses) }
        if Set(same.map(\.split)).count > 1 { kinds.append(.acrossSplits) }
        return Self(sha256: content, kinds: kinds, paths: same.map(\.path).sorted())
      }
      .sorted { ($0.paths[0], $0.sha256) < ($1.paths[0], $1.sha256) }
  }
}
