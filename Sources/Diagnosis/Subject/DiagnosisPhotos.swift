// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawDatasets
import ThawImages
package import ThawInference
import ThawOneDNN
import ThawTensors

/// The photos a diagnosis works with: those it looks at, and those it keeps back to judge fixes by.
package struct DiagnosisPhotos {
  /// What is run through both learning phases.
  package private(set) var main: LabelledTensors
  /// What fixes may learn from.
  package private(set) var fixing: LabelledTensors
  /// What fixes are judged by; none of it is in ``fixing``.
  package private(set) var heldOut: LabelledTensors
  /// Names of the two, for messages: `train` and `valid`, or `all` and `held out`.
  package let names: (main: String, heldOut: String)
  /// Whether the network is known to have been trained on ``main``.
  package let isTrainingData: Bool
  /// Whether ``fixing`` and ``heldOut`` come from different splits or folders, so that neither the
  /// network nor a fix has learned from ``heldOut``.
  package let isDivided: Bool
  /// Whether they are those of the network's own run, whose splits are what it was trained by.
  package let areOfRun: Bool
  /// Outputs of the network.
  package let classes: Int
  /// Photos that could not be used.
  package let unusable: Int
  /// A number for each photo of ``main``, and of ``heldOut``: the same for photos that show the same.
  package let (mainGroups, heldOutGroups): ([Int], [Int])
  /// Photos kept apart to judge that show the same as one that is learned from. They were left out,
  /// unless hardly any others were there.
  package let copies: Int
  /// Whether the photos that judge are copies of those that are learned from.
  package let isJudgedByCopies: Bool

  /// The fewest photos that judge after copies were left out.
  private static let fewestJudging = 8

  /// A labelled file.
  package struct Item {
    package let path: FilePath
    package let className: String
    package let split: Split?

    package init(path: FilePath, className: String, split: Split?) {
      self.path = path
      self.className = className
      self.split = split
    }
  }

  /// Chooses at most `limit` photos, the same share of every class, and prepares them.
  ///
  /// With split folders (or a manifest) `train` is looked at and `valid`, else `test`, judges fixes;
  /// without, all photos are looked at and two in five of them judge fixes.
  ///
  /// - Parameter areOfRun: whether they are those of the network's own run. Its splits are what the
  ///   network was trained by, and copies have been looked for.
  package init(
    _ items: [Item], columns: [String: Int], limit: Int, areOfRun: Bool = false, seed: UInt64,
    classifier: Classifier, context: StageContext
  ) throws {
    let present = Set(items.compactMap(\.split))
    let kept: Split? = [.valid, .test].first(where: present.contains)
    isDivided = present.contains(.train) && kept != nil
    self.areOfRun = areOfRun
    classes = classifier.classNames.count
    let chosen =
      isDivided
      ? DiagnosisPhotos.choose(
        limit * 3 / 5, from: items.filter { $0.split == .train }, seed: seed)
        + DiagnosisPhotos.choose(
          limit - limit * 3 / 5, from: items.filter { $0.split == kept }, seed: seed)
      : DiagnosisPhotos.choose(limit, from: items, seed: seed)
    let photos = try LoadedPhotos(chosen, columns, classifier, context)
    unusable = photos.reasons.count
    isTrainingData = present.contains(.train)
    let all = photos.tensors
    let groups =
      areOfRun
      ? Array(all.labels.indices)
      : PhotoCopies(all, side: classifier.preprocessing.inputSize).groups
    var keptBack =
      isDivided
      ? photos.items.indices.filter { photos.items[$0].split == kept }
      : DiagnosisPhotos.twoInFive(photos.items)
    let rest = Set(all.labels.indices).subtracting(keptBack).sorted()
    let learned = Set(rest.map { groups[$0] })
    let fresh = keptBack.filter { !learned.contains(groups[$0]) }
    copies = isDivided ? keptBack.count - fresh.count : 0
    isJudgedByCopies = copies > 0 && fresh.count < DiagnosisPhotos.fewestJudging
    if copies > 0, !isJudgedByCopies { keptBack = fresh }
    fixing = all.subset(rest)
    heldOut = all.subset(keptBack)
    heldOutGroups = keptBack.map { groups[$0] }
    mainGroups = isDivided ? rest.map { groups[$0] } : groups
    main = isDivided ? fixing : all
    names =
      isDivided ? ("train", kept?.rawValue ?? "") : (present.first?.rawValue ?? "all", "held out")
    guard Set(self.main.labels).count >= 2, self.main.count >= 8 else {
      throw PipelineError.data(
        "a diagnosis needs at least 8 photos of at least 2 classes, found \(self.main.count) of"
          + " \(Set(self.main.labels).count). Give a folder with one sub-folder per class.")
    }
    if copies > 0 {
      context.console.warn(
        "\(copies) of the photos that judge show the same as photos that the network learned from"
          + (isJudgedByCopies
            ? "; hardly any others are left, so what they say is biased."
            : " and were left out."))
    }
  }

  /// The same photos under other class numbers.
  package func relabelled(_ moved: [Int: Int]) -> DiagnosisPhotos {
    var result = self
    result.main = main.relabelled(moved)
    result.fixing = fixing.relabelled(moved)
    result.heldOut = heldOut.relabelled(moved)
    return result
  }

  /// At most `count` items, about the same share of every class, in a random order.
  private static func choose(_ count: Int, from items: [Item], seed: UInt64) -> [Item] {
    let byClass = Dictionary(grouping: items, by: \.className).sorted { $0.key < $1.key }
    var order: [(rank: Double, item: Item)] = []
    for (index, group) in byClass.enumerated() {
      var stream = RandomStream(seed: seed, purpose: .split, sample: index)
      for (position, place) in stream.permutation(of: group.value.count).enumerated() {
        order.append(((Double(position) + 0.5) / Double(group.value.count), group.value[place]))
      }
    }
    return order.sorted { $0.rank < $1.rank }.prefix(count).map(\.item)
  }

  /// Two photos in five of every class.
  private static func twoInFive(_ items: [Item]) -> [Int] {
    var seen: [String: Int] = [:]
    return items.indices.filter { index in
      let number = seen[items[index].className, default: 0]
      seen[items[index].className] = number + 1
      return [1, 3].contains(number % 5)
    }
  }
}

/// Photos read and prepared, in parallel.
private struct LoadedPhotos {
  /// Those that could be used.
  private(set) var items: [DiagnosisPhotos.Item] = []
  let tensors: LabelledTensors
  /// Why the others could not.
  private(set) var reasons: [String] = []

  init(
    _ items: [DiagnosisPhotos.Item], _ columns: [String: Int], _ classifier: Classifier,
    _ context: StageContext
  ) throws {
    let progress = context.console.progress("Reading photos", total: items.count)
    let stride = classifier.preprocessing.elementCount
    let storage = AlignedStorage<Float>(count: items.count * stride)
    for start in Swift.stride(from: 0, to: items.count, by: 32) {
      try Interruption.check()
      let part = Array(items[start..<min(start + 32, items.count)])
      let pixels = AlignedStorage<Float>(count: part.count * stride)
      let bad = try classifier.prepare(part.map(\.path), into: pixels)
      for (index, item) in part.enumerated() {
        if let reason = bad[index] {
          reasons.append("\(item.path.displayed): \(reason)")
          continue
        }
        let row = self.items.count
        _ = UnsafeMutableBufferPointer(
          rebasing: storage.elements[row * stride..<(row + 1) * stride]
        ).update(fromContentsOf: pixels.elements[index * stride..<(index + 1) * stride])
        self.items.append(item)
      }
      progress.advance(by: part.count)
    }
    progress.finish()
    for reason in reasons { context.console.warn(reason) }
    tensors = LabelledTensors(
      storage: storage, stride: stride, labels: self.items.map { columns[$0.className] ?? 0 })
  }
}

/// A photo that a diagnosis may look at.
package struct SubjectPhoto: Sendable {
  package let path: FilePath
  /// As messages and tables name it.
  package let name: String
  /// Nil where folders do not tell.
  package let className: String?
  package let split: Split?

  package init(path: FilePath, name: String, className: String?, split: Split?) {
    self.path = path
    self.name = name
    self.className = className
    self.split = split
  }
}
