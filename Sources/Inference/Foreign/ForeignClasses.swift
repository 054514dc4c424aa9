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
      "\(path): the file does not name its \(count) classes; they are numbered. Give"
        + " --class-names FILE to name them.")
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
    // safetensors keeps texts: some hold a list.
    let members = checkpoint.metadata.sorted { $0.key < $1.key }.compactMap { key, text in
      (try? JSONValue(parsing: text)).map { JSONMember(key, $0) }
    }
    lists += ClassList.all(in: .object(members), place: "the file's metadata")
    if let configuration {
      lists += ClassList.all(in: configuration, place: "config.json beside it")
    }
    return lists + (labels.map { [$0] } ?? [])
  }
}
