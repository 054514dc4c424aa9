// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawCheckpoints
import ThawFiles

/// Names for the outputs of a classifier, and where they are from.
package struct ClassList: Sendable, Equatable {
  /// In the order of the outputs.
  package let names: [String]
  /// For people: `'class_to_idx' in the file`.
  package let origin: String

  /// The list in a text: one name a line, lines with `#` left out, or JSON. A number before every name
  /// (`0 cat`, `1: dog`) or behind it (`cat 0`, `dog,1`) is its output and is taken off. Blanks around
  /// names, and the mark that some editors begin a file with, are no part of them.
  ///
  /// - Returns: nil when nothing is in it.
  package init?(text: String, origin: String) {
    var text = text
    if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
    let start = text.first { !$0.isWhitespace }
    if start == "{" || start == "[", let json = try? JSONValue(parsing: text) {
      guard let names = ClassList.names(json) ?? ClassList.all(in: json, place: origin).first?.names
      else { return nil }
      self.init(names: names, origin: origin)
      return
    }
    let lines = text.split(whereSeparator: \.isNewline).map { String($0).withoutOuterBlanks }
      .filter { !$0.hasPrefix("#") && !$0.isEmpty }
    guard !lines.isEmpty else { return nil }
    let numbered = ClassList.withoutNumbers(lines) ?? ClassList.withoutNumbersBehind(lines)
    self.init(names: numbered ?? lines, origin: origin)
  }

  package init(names: [String], origin: String) {
    self.names = names
    self.origin = origin
  }

  /// The names without the outputs before them; nil unless every line begins with its own.
  static func withoutNumbers(_ lines: [String]) -> [String]? {
    var byNumber: [Int: String] = [:]
    for line in lines {
      let text = line.drop { $0.isWhitespace }
      let digits = text.prefix { ("0"..."9").contains($0) }
      let rest = text.dropFirst(digits.count)
      guard let number = Int(digits), let separator = rest.first,
        separator.isWhitespace || ":,;=|".contains(separator)
      else { return nil }
      let name = rest.drop { $0.isWhitespace || ":,;=|".contains($0) }
      guard !name.isEmpty, byNumber.updateValue(String(name), forKey: number) == nil else {
        return nil
      }
    }
    guard let first = byNumber.keys.min(), first == 0 || first == 1 else { return nil }
    let names = (first..<first + lines.count).compactMap { byNumber[$0] }
    return names.count == lines.count ? names : nil
  }

  /// The names without the outputs behind them; nil unless every line ends with its own.
  ///
  /// Names such as `type 1`, `type 2` are names, not numbered ones.
  static func withoutNumbersBehind(_ lines: [String]) -> [String]? {
    var pairs: [(Int, String)] = []
    for line in lines {
      let digits = String(line.reversed().prefix { ("0"..."9").contains($0) }.reversed())
      let rest = line.dropLast(digits.count)
      guard let number = Int(digits), let separator = rest.last,
        separator.isWhitespace || ":,;=|".contains(separator)
      else { return nil }
      let name = rest.reversed().drop { $0.isWhitespace || ":,;=|".contains($0) }.reversed()
      guard !name.isEmpty else { return nil }
      pairs.append((number, String(name)))
    }
    guard Set(pairs.map(\.1)).count == pairs.count else { return nil }
    return ordered(pairs)
  }

  /// A file of class names in the folder that a model's file is in.
  package static func beside(file: FilePath) -> ClassList? {
    let folder = file.removingLastComponent()
    return beside(folder.isEmpty ? FilePath(".") : folder)
  }

  /// A file of class names in the folder of a model.
  static func beside(_ folder: FilePath) -> ClassList? {
    for name in ["labels.txt", "classes.txt", "class_names.txt", "class_names.json"] {
      let path = folder.appending(name)
      guard FileSystem.exists(path), let bytes = try? FileSystem.read(path, limit: 1 << 20),
        let text = String(validating: bytes, as: UTF8.self),
        let list = ClassList(text: text, origin: "\(name) beside it")
      else { continue }
      return list
    }
    return nil
  }

  // MARK: In data

  /// Names that are numbers, `[3, 7, 5]`, where the key can stand for nothing but classes.
  private static func numbers(_ key: String, _ json: JSONValue) -> [String]? {
    guard ["classes", "class_names", "classnames", "label_names", "target_names"].contains(key),
      let all = json.integers, all.count >= 2, Set(all).count == all.count
    else { return nil }
    return all.map(String.init)
  }

  /// Places in plain data, four levels deep, whose key is one for names of classes and that hold none that
  /// can be read; a number is one of classes.
  static func unreadable(in data: JSONValue, place: String) -> [String] {
    var found: [String] = []
    var level: [JSONValue] = [data]
    for _ in 0..<4 {
      var next: [JSONValue] = []
      for case .object(let members) in level where members.count < 10_000 {
        for member in members {
          switch member.value {
          case .null, .boolean, .integer, .number: continue
          // A single word is the name of a file or of a run.
          case .string(let text) where !text.contains(where: { "[{,".contains($0) }): continue
          default: break
          }
          if isKey(member.name) {
            // Numbers are the labels of the photos, or were read as names.
            if names(member.value) == nil, member.value.integers == nil {
              found.append("'\(member.name)' in \(place)")
            }
          } else if case .object = member.value {
            next.append(member.value)
          }
        }
      }
      level = Array(next.prefix(200))
    }
    return found
  }

  /// Whether programs keep names of classes under this key.
  static func isKey(_ name: String) -> Bool { keys.contains(name.lowercased()) }

  /// Keys under which programs keep names of classes.
  private static let keys: Set = [
    "class_to_idx", "class_to_index", "classes_to_idx", "class2idx", "class_to_id", "label2id",
    "label_to_idx", "label_to_id", "label2idx", "cat_to_idx", "name_to_idx", "class_indices",
    "label_map", "labels_map", "idx_to_class", "index_to_class", "idx2class", "id2label",
    "idx_to_label", "id_to_label", "idx2label", "id2class", "classes", "class_names", "classnames",
    "names", "label_names", "labels", "categories", "vocab", "target_names",
  ]

  /// The lists in plain data, four levels deep, those nearest to the top first.
  ///
  /// - Parameter place: for people, where the data is from.
  package static func all(in data: JSONValue, place: String) -> [ClassList] {
    var found: [ClassList] = []
    var level: [JSONValue] = [data]
    for _ in 0..<4 {
      var next: [JSONValue] = []
      for case .object(let members) in level where members.count < 10_000 {
        for member in members {
          let key = member.name.lowercased()
          let names = keys.contains(key) ? names(member.value) ?? numbers(key, member.value) : nil
          if let names, isTelling(names) {
            found.append(ClassList(names: names, origin: "'\(member.name)' in \(place)"))
          } else if case .object = member.value {
            next.append(member.value)
          }
        }
      }
      level = Array(next.prefix(200))
    }
    return found
  }

  /// `LABEL_0`, `LABEL_1`: transformers' way to say that nobody named them.
  private static func isTelling(_ names: [String]) -> Bool {
    !names.enumerated().allSatisfy { $0.element == "LABEL_\($0.offset)" }
  }

  /// Names in a list, in a mapping from names to outputs or in one from outputs to names.
  static func names(_ json: JSONValue) -> [String]? {
    let names: [String]?
    switch json {
    case .array(let elements):
      // `[{"id": 0, "name": "cat"}, …]`, as detectors' files have categories.
      let pairs = elements.compactMap { element -> (Int, String)? in
        guard let id = element["id"]?.integer, let name = element["name"]?.text else { return nil }
        return (id, name)
      }
      names = !elements.isEmpty && pairs.count == elements.count ? ordered(pairs) : json.texts
    case .string(let text):
      guard let json = (try? JSONValue(parsing: text)) ?? PythonNames.json(text) else { return nil }
      if case .string = json { return nil }
      return self.names(json)
    case .object(let members):
      let outputs = members.compactMap(\.value.integer)
      if outputs.count == members.count {
        names = ordered(zip(outputs, members.map(\.name)))
      } else {
        let keys = members.compactMap { Int($0.name) }
        // Keras's list of ImageNet says a synset and a name.
        let values = members.compactMap { $0.value.text ?? $0.value.texts?.last }
        guard keys.count == members.count, values.count == members.count else { return nil }
        names = ordered(zip(keys, values))
      }
    default: return nil
    }
    guard let names, names.count >= 2, Set(names).count == names.count,
      names.allSatisfy({ !$0.isEmpty })
    else { return nil }
    return names
  }

  /// Names by their outputs; nil unless those are 0, 1, 2, …, or 1, 2, 3, …, which count the same outputs
  /// from 1.
  private static func ordered(_ pairs: some Sequence<(Int, String)>) -> [String]? {
    let sorted = pairs.sorted { $0.0 < $1.0 }
    guard let first = sorted.first?.0, first == 0 || first == 1,
      sorted.enumerated().allSatisfy({ $0.element.0 == $0.offset + first })
    else { return nil }
    return sorted.map(\.1)
  }
}

extension String {
  /// Without white space at either end.
  fileprivate var withoutOuterBlanks: String {
    let start = drop(while: \.isWhitespace)
    return String(start.reversed().drop(while: \.isWhitespace).reversed())
  }
}
