// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints

struct JSONTests {
  @Test func valuesAreReadAndWrittenBack() throws {
    let text = #"{"a":[1,-2,0,3.5,1e+20,true,false,null],"b":{"":"x\"\\\u001f\n"},"c":[],"d":{}}"#
    let value = try JSONValue(parsing: text)
    #expect(value.serialized == text)
    #expect(value["a"]?.elements?.first == .integer(1))
    #expect(value["b"]?[""]?.text == "x\"\\\u{1F}\n")
    #expect(value["missing"] == nil)
  }

  @Test func escapesAreUnderstood() throws {
    let value = try JSONValue(parsing: #" [ "\u00e9\ud83d\ude00\/\b\f\t\r" ] "#)
    #expect(value.texts == ["\u{E9}\u{1F600}/\u{8}\u{C}\t\r"])
  }

  @Test func onlyIntegersAreIntegers() throws {
    let value = try JSONValue(parsing: "[1e2,2.0,-0,9223372036854775807,9223372036854775808]")
    #expect(value.elements?.map(\.integer) == [nil, nil, nil, .max, nil])
  }

  @Test(arguments: [
    "", " ", "01", "-", "1.", ".5", "1e", "+1", "nul", "tru", "[1,]", "[1 2]", "{\"a\"}",
    "{\"a\":1,}", "{a:1}", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
    "\"\\udc00\"", "\"\n\"", "1 1", "{\"a\":1,\"a\":2}", "1e999", "NaN", "'a'", "\u{FEFF}1", "[",
  ])
  func anythingElseIsRefused(_ text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test func depthIsLimited() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(try JSONValue(parsing: nested(128)).elements?.count == 1)
    #expect(throws: JSONError.self) { try JSONValue(parsing: nested(129)) }
  }

  @Test func duplicatesAreFoundInObjectsOfAnySize() {
    for count in 1..<20 {
      for repeated in 0..<count {
        let members = (Array(0..<count) + [repeated]).map { "\"\($0)\":0" }
        let text = "{" + members.joined(separator: ",") + "}"
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
      }
    }
  }
}
