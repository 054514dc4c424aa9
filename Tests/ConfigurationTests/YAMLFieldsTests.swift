// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConfiguration

@Suite struct YAMLFieldsTests {
  private func fields(_ text: String) throws -> YAMLFields {
    try YAMLFields(file: "r.yml", text: text)
  }

  @Test func valuesThatAreThereReplaceTheDefaults() throws {
    var fields = try fields(
      "count: 3\nrate: 1e-3\nname: x\nlist: [1, 2.5]\nsection:\n  size: none\n")
    var (count, rate, name, list, size) = (1, 0.5, "", [0.0], Int?.some(4))
    try fields.read("count", into: &count, in: 1...10)
    try fields.read("rate", into: &rate, in: 0...1)
    try fields.read("name", into: &name)
    try fields.read("list", into: &list, count: 2)
    try fields.section("section") { try $0.read("size", into: &size, in: 1...9) }
    try fields.finish()
    #expect(count == 3 && rate == 1e-3 && name == "x" && list == [1, 2.5] && size == nil)
  }

  @Test(arguments: [
    ("count: three", "r.yml:1: 'count' is 'three', expected a whole number from 1 to 10."),
    ("\ncount: 11", "r.yml:2: 'count' is '11', expected a whole number from 1 to 10."),
    ("cuont: 3", "r.yml:1: unknown key 'cuont'. Known are count."),
    ("count: 1\ncount: 2", "'count' is there twice"),
    ("- 1", "must hold keys and values"),
    ("count: [", "not readable as YAML"),
  ])
  func mistakesNameTheLineAndWhatWouldBeRight(text: String, message: String) {
    let error = #expect(throws: ConfigurationError.self) {
      var fields = try fields(text)
      var count = 1
      try fields.read("count", into: &count, in: 1...10)
      try fields.finish()
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func anUnknownKeyInASectionIsFound() {
    let error = #expect(throws: ConfigurationError.self) {
      var fields = try fields("train:\n  epoch: 3\n")
      var epochs = 1
      try fields.section("train") { try $0.read("epochs", into: &epochs, in: 1...10) }
    }
    #expect(
      error?.description == "r.yml:2: unknown key 'epoch' in 'train'. Known are epochs.")
  }

  @Test func anEmptyFileIsAnEmptyMapping() throws { try fields("").finish() }
}
