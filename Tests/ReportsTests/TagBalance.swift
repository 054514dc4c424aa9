// SPDX-License-Identifier: Apache-2.0

/// Checks that tags nest, attributes are quoted and bare brackets do not occur.
enum TagBalance {
  private static let void: Set<String> = ["meta", "img", "br", "input"]

  /// The inside of every tag, in order; style sheets are skipped.
  static func tags(in html: String) -> [String] {
    var tags: [String] = []
    var (current, quote): (String?, Bool) = (nil, false)
    for character in html {
      if let open = current {
        if character == "\"" { quote.toggle() }
        if character == ">" && !quote {
          tags.append(open)
          current = nil
        } else {
          current = open + String(character)
        }
      } else if character == "<" {
        current = ""
      }
    }
    if let current { tags.append("unfinished \(current.prefix(60))") }
    return tags
  }

  /// The first tag that does not fit, or nil when all do.
  static func firstProblem(in html: String) -> String? {
    var open: [String] = []
    for tag in tags(in: html) where !tag.hasPrefix("!") {
      let name = String(tag.drop { $0 == "/" }.prefix { !$0.isWhitespace && $0 != "/" })
      if tag.contains("<") { return "'<' inside <\(tag.prefix(60))>" }
      if tag.hasPrefix("/") {
        guard open.popLast() == name else { return "</\(name)> closes nothing" }
      } else if !tag.hasSuffix("/") && !void.contains(name) {
        open.append(name)
      }
    }
    return open.last.map { "<\($0)> is never closed" }
  }
}
