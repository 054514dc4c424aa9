// SPDX-License-Identifier: Apache-2.0

/// What a request asks besides the photo: `?top=3&coverage=0.9`, or fields of a form.
struct QueryOptions {
  /// What becomes of photos that are unlike anything the model was trained on; as `thaw predict` has it.
  enum Unknown: String, CaseIterable { case label, flag, off }

  /// How evidence is shown.
  enum HeatMap: String, CaseIterable {
    case none
    /// Its numbers.
    case map
    /// Its numbers, and a PNG file of it over the photo.
    case overlay
  }

  var top = 5
  var coverage: Double?
  var unknown: Unknown?
  var heatMap = HeatMap.none
  /// The class whose evidence is shown; nil for the most probable one.
  var className: String?
  var withLogits = false
  /// How many of the most similar photos are wanted.
  var similar = 0

  /// - Parameter query: names and values, decoded; each name once.
  /// - Throws: ``Refusal``, 400: what is not understood is never ignored.
  init(_ query: [(name: String, value: String)]) throws {
    var seen: Set<String> = []
    for (name, value) in query {
      guard seen.insert(name).inserted else {
        throw Refusal.bad("'\(name.prefix(40))' is there twice.")
      }
      switch name {
      case "top":
        guard let count = Int(value), count >= 1 else {
          throw Refusal.bad("top is '\(value.prefix(40))', expected a whole number of at least 1.")
        }
        top = count
      case "coverage":
        guard let share = Double(value), share > 0, share < 1 else {
          throw Refusal.bad(
            "coverage is '\(value.prefix(40))', expected above 0 and below 1, such as 0.9.")
        }
        coverage = share
      case "similar":
        guard let count = Int(value), (0...100).contains(count) else {
          throw Refusal.bad(
            "similar is '\(value.prefix(40))', expected a whole number from 0 to 100.")
        }
        similar = count
      case "unknown": unknown = try Self.choice(name, value)
      case "heat_map": heatMap = try Self.choice(name, value)
      case "class": className = value
      case "logits":
        guard let flag = ["0": false, "false": false, "1": true, "true": true][value] else {
          throw Refusal.bad("logits is '\(value.prefix(40))', expected 1 or 0.")
        }
        withLogits = flag
      default:
        throw Refusal.bad(
          "'\(name.prefix(40))' is no option. There are top, coverage, unknown, heat_map, class, logits and similar."
        )
      }
    }
    if className != nil, heatMap == .none {
      throw Refusal.bad("class has no effect without heat_map=map or heat_map=overlay.")
    }
  }

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, _ value: String
  ) throws -> Choice {
    guard let choice = Choice(rawValue: value) else {
      let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw Refusal.bad("\(name) is '\(value.prefix(40))', expected one of \(names).")
    }
    return choice
  }

  /// Takes `a=b&c=d` apart and decodes it.
  ///
  /// - Throws: ``Refusal``, 400.
  static func pairs(_ query: String?) throws -> [(name: String, value: String)] {
    try (query ?? "").split(separator: "&").map { pair in
      let name = pair.prefix { $0 != "=" }
      let value = pair.dropFirst(name.count + 1)
      return (try decoded(name), try decoded(value))
    }
  }

  private static func decoded(_ text: Substring) throws -> String {
    guard let result = PercentDecoding.decoded(text, plusIsBlank: true) else {
      throw Refusal.bad("'\(text.prefix(40))' in the query is not encoded as addresses are.")
    }
    return result
  }
}

/// `%41` is `A`.
enum PercentDecoding {
  /// Nil for a % without two hexadecimal digits, and for bytes that are no UTF-8.
  static func decoded(_ text: Substring, plusIsBlank: Bool = false) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit)
        else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsBlank: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
