// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles

/// Finds names for the outputs of a checkpoint that another program trained, and says where from.
struct ForeignClasses {
  private let file: ForeignFile
  private let reference: ModelReference
  private let context: StageContext

  init(_ file: ForeignFile, _ reference: ModelReference, _ context: StageContext) {
    self.file = file
    self.reference = reference
    self.context = context
  }

  /// Names, and whether their order is only assumed.
  struct Found {
    let names: [String]
    let isAssumed: Bool
    let origin: String

    /// What a model's record says of it.
    var notes: [String: String] { isAssumed ? [StoredModel.assumedOrder: origin] : [:] }
  }

  /// Names for `count` outputs: the user's file, the file's own, those beside it, the class folders at
  /// hand, ImageNet's, or numbers.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when two sources contradict each other, or there is none.
  func names(_ count: Int, architecture: String, cards: [BackboneCard]) throws -> Found {
    let path = file.checkpoint.path.displayed
    if let chosen = try chosen(count) { return chosen }
    let own = try own(count)
    if let own {
      let shown = own.names.prefix(10).joined(separator: ", ")
      context.console.say(
        "\(path): classes \(shown)\(count > 10 ? ", …" : ""), from \(own.origin).")
      return Found(names: own.names, isAssumed: false, origin: own.origin)
    }
    let unread = file.unreadableClassLists.first
    if let unread, !reference.folders.isEmpty || count == 1000 {
      throw PipelineError.data(
        "\(path): \(unread) seems to name its classes, but not in a way that Thaw reads, and another order"
          + " is not assumed where the file has one. Say the names with --class-names FILE, one a line in"
          + " the order of the outputs.")
    }
    if reference.folders.count == count {
      let shown = reference.folders.prefix(10).joined(separator: ", ")
      context.console.warn(
        "\(path): the file does not name its classes; its \(count) outputs are taken for the class"
          + " folders in sorted order: \(shown)\(count > 10 ? ", …" : ""). If the order was another"
          + " one, every number below is wrong; give --class-names FILE.")
      return Found(names: reference.folders, isAssumed: true, origin: "class folders, sorted")
    }
    if count == 1000, let published = imageNet(cards) {
      context.console.say("\(path): the 1000 outputs are taken for ImageNet's classes.")
      return Found(names: published, isAssumed: false, origin: "ImageNet's classes")
    }
    guard reference.folders.isEmpty else {
      throw PipelineError.data(
        "\(path) has \(count) classes, the data \(reference.folders.count) class folders. Name the"
          + " classes with --class-names FILE, one a line in the order of the outputs.")
    }
    context.console.warn(
      "\(path): "
        + (unread.map {
          "\($0) seems to name its \(count) classes, but not in a way that Thaw reads; they are numbered."
        } ?? "the file does not name its \(count) classes; they are numbered.")
        + " Give --class-names FILE to name them.")
    return Found(names: (0..<count).map { "class \($0)" }, isAssumed: true, origin: "numbers")
  }

  /// The names in the user's file.
  private func chosen(_ count: Int) throws -> Found? {
    guard let file = reference.classNames else { return nil }
    guard let text = String(validating: try FileSystem.read(file, limit: 1 << 20), as: UTF8.self)
    else {
      throw PipelineError.data(
        "\(file.displayed): it is not UTF-8, so that names would be damaged. Save it as UTF-8.")
    }
    let names = ClassList(text: text, origin: file.displayed)?.names ?? []
    guard names.count == count, Set(names).count == count else {
      throw PipelineError.data(
        "\(file.displayed): \(names.count) class names, \(Set(names).count) different ones;"
          + " \(self.file.checkpoint.path.displayed) has \(count) classes. Give one name a line, in"
          + " the order of the outputs.")
    }
    return Found(names: names, isAssumed: false, origin: file.displayed)
  }

  /// The names that the file, or a file beside it, gives its outputs.
  private func own(_ count: Int) throws -> ClassList? {
    let all = file.classLists
    let fitting = all.filter { $0.names.count == count }
    if let first = fitting.first {
      if let other = fitting.first(where: { $0.names != first.names }) {
        throw PipelineError.data(
          "\(file.checkpoint.path.displayed): \(first.origin) and \(other.origin) name its classes"
            + " differently (\(first.names[0]) … and \(other.names[0]) …). Say which is right with"
            + " --class-names FILE, one name a line in the order of the outputs.")
      }
      return first
    }
    if let other = all.first {
      context.console.warn(
        "\(file.checkpoint.path.displayed): \(other.origin) names \(other.names.count) classes, the"
          + " classifier has \(count) outputs; those names are not used.")
    }
    return nil
  }

  /// ImageNet's class names, from the first card that has them at hand.
  private func imageNet(_ cards: [BackboneCard]) -> [String]? {
    for card in cards {
      do {
        let names = try card.classNames(in: context.pretrained)
        if names.count == 1000 { return names }
      } catch { context.console.warn("\(error)") }
    }
    return nil
  }
}

extension ForeignFile {
  /// Every list of class names in the file and beside it, those in the file first.
  package var classLists: [ClassList] {
    var lists: [ClassList] = []
    if let around = checkpoint.surroundings {
      lists += ClassList.all(in: around.data, place: "the file")
      for names in around.vocabularies where names.count >= 2 && Set(names).count == names.count {
        lists.append(ClassList(names: names, origin: "fastai's vocabulary in the file"))
      }
    }
    lists += ClassList.all(in: metadata, place: "the file's metadata")
    if let configuration {
      lists += ClassList.all(in: configuration, place: "config.json beside it")
    }
    return lists + (labels.map { [$0] } ?? [])
  }

  /// The texts that safetensors and ONNX keep: some hold a list.
  private var metadata: JSONValue {
    .object(
      checkpoint.metadata.sorted { $0.key < $1.key }.map { key, text in
        JSONMember(key, (try? JSONValue(parsing: text)) ?? .string(text))
      })
  }

  /// What is called as names of classes are and holds none that can be read: an array of NumPy's, outputs
  /// with gaps between them, two classes of one name.
  package var unreadableClassLists: [String] {
    var found: [String] = []
    if let around = checkpoint.surroundings {
      found += ClassList.unreadable(in: around.data, place: "the file")
      for entry in around.leftOut where entry.contains("(numpy") || entry.contains(".set)") {
        let name = entry.dropFirst().prefix { $0 != "'" }
        if ClassList.isKey(String(name)) { found.append("\(entry) in the file") }
      }
    }
    if let configuration {
      found += ClassList.unreadable(in: configuration, place: "config.json beside it")
    }
    return found + ClassList.unreadable(in: metadata, place: "the file's metadata")
  }
}
