// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Synchronization

/// Writes what happens to stderr, a JSON document a line.
struct JSONLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level
  private let label: String
  private static let lock = Mutex(())

  init(label: String, level: Logger.Level) {
    self.label = label
    logLevel = level
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    write(event.level, "\(event.message)", event.metadata)
  }

  private func write(_ level: Logger.Level, _ message: String, _ more: Logger.Metadata?) {
    var fields: [(String, String)] = [
      (
        "time",
        Self.quoted(Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
      ),
      ("level", Self.quoted(level.rawValue)), ("message", Self.quoted(message)),
    ]
    for (key, value) in metadata.merging(more ?? [:], uniquingKeysWith: { $1 }).sorted(by: {
      $0.key < $1.key
    }) {
      fields.append((key, Self.text(of: value)))
    }
    let line = "{" + fields.map { "\(Self.quoted($0.0)):\($0.1)" }.joined(separator: ",") + "}\n"
    Self.lock.withLock { _ in FileHandle.standardError.write(Data(line.utf8)) }
  }

  /// Numbers stay numbers.
  private static func text(of value: Logger.Metadata.Value) -> String {
    if case .stringConvertible(let number) = value, number is any Numeric { return "\(number)" }
    return quoted("\(value)")
  }

  /// What would act on a terminal is written out, whoever sent it.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case " "..."~": result.unicodeScalars.append(scalar)
      case _ where scalar.properties.isAlphabetic: result.unicodeScalars.append(scalar)
      default:
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      }
    }
    return result + "\""
  }
}
