// SPDX-License-Identifier: Apache-2.0

/// A multipart form: RFC 7578, what browsers and `curl -F` send.
struct FormData {
  struct Part {
    let name: String
    /// The name of a file; nil for a plain field.
    let fileName: String?
    let bytes: ArraySlice<UInt8>
  }

  let parts: [Part]

  private static let maximumParts = 16
  private static let maximumHead = 4096

  /// Takes a body apart; nothing is copied.
  ///
  /// - Throws: ``Refusal``, 400.
  init(_ body: [UInt8], contentType: String) throws {
    guard let boundary = HeaderParameters(contentType)["boundary"],
      (1...70).contains(boundary.utf8.count)
    else { throw Refusal.bad("The form's Content-Type names no boundary.") }
    let delimiter = Array("--\(boundary)".utf8)
    guard body.starts(with: delimiter) else {
      throw Refusal.bad("The form does not begin with the boundary that its Content-Type names.")
    }
    let between = Array("\r\n".utf8) + delimiter
    var parts: [Part] = []
    var place = delimiter.count
    while true {
      if body[place...].starts(with: "--".utf8) { break }
      guard body[place...].starts(with: "\r\n".utf8) else {
        throw Refusal.bad("The form has bytes behind a boundary.")
      }
      // The blank line may follow at once: a part without a head.
      let headLimit = min(place + Self.maximumHead, body.count)
      guard let head = Self.find(Array("\r\n\r\n".utf8), in: body[place..<headLimit]) else {
        throw Refusal.bad(
          "A part of the form has no head, or one of more than \(Self.maximumHead) bytes.")
      }
      let start = head + 4
      guard let end = Self.find(between, in: body[start...]) else {
        throw Refusal.bad("The form ends in the middle of a part.")
      }
      guard parts.count < Self.maximumParts else {
        throw Refusal.bad("The form has more than \(Self.maximumParts) parts.")
      }
      parts.append(try Self.part(head: body[place..<head], body[start..<end]))
      place = end + between.count
    }
    self.parts = parts
  }

  private static func part(head: ArraySlice<UInt8>, _ bytes: ArraySlice<UInt8>) throws -> Part {
    let lines = String(decoding: head, as: UTF8.self).split(whereSeparator: \.isNewline)
    for line in lines where line.lowercased().hasPrefix("content-disposition:") {
      let parameters = HeaderParameters(String(line.drop { $0 != ":" }.dropFirst()))
      guard let name = parameters["name"] else { break }
      return Part(name: name, fileName: parameters["filename"], bytes: bytes)
    }
    throw Refusal.bad("A part of the form has no name.")
  }

  /// Where `pattern` begins in `bytes`.
  static func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard let first = pattern.first, bytes.count >= pattern.count else { return nil }
    var place = bytes.startIndex
    let last = bytes.endIndex - pattern.count
    while place <= last {
      guard let next = bytes[place...last].firstIndex(of: first) else { return nil }
      if bytes[next..<(next + pattern.count)].elementsEqual(pattern) { return next }
      place = next + 1
    }
    return nil
  }
}

/// `value; name=text; name="text"`: what stands behind a header's first semicolon.
struct HeaderParameters {
  /// What stands in front of it, in lower case.
  let value: String
  private var parameters: [String: String] = [:]

  subscript(name: String) -> String? { parameters[name] }

  init(_ text: String) {
    var rest = text[...]
    let first = rest.prefix { $0 != ";" }
    value = first.trimmed.lowercased()
    rest = rest.dropFirst(first.count)
    while rest.first == ";" {
      rest = rest.dropFirst()
      let name = rest.prefix { $0 != "=" && $0 != ";" }
      rest = rest.dropFirst(name.count)
      guard rest.first == "=" else { continue }
      rest = rest.dropFirst()
      var found = ""
      if rest.first == "\"" {
        rest = rest.dropFirst()
        while let character = rest.first, character != "\"" {
          rest = rest.dropFirst()
          // Browsers write a quotation mark as %22; others with a backslash in front.
          if character == "\\", let next = rest.first, next == "\"" || next == "\\" {
            found.append(next)
            rest = rest.dropFirst()
          } else {
            found.append(character)
          }
        }
        rest = rest.drop { $0 != ";" }
      } else {
        let plain = rest.prefix { $0 != ";" }
        found = plain.trimmed
        rest = rest.dropFirst(plain.count)
      }
      parameters[name.trimmed.lowercased()] = found
    }
  }
}

extension Substring {
  /// Without blanks at either end.
  var trimmed: String {
    var text = drop { $0 == " " || $0 == "\t" }
    while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
    return String(text)
  }
}
