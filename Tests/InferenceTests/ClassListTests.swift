// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawInference

/// Names of classes as programs leave them behind.
struct ClassListTests {
  private func names(_ text: String) -> [String]? { ClassList(text: text, origin: "here")?.names }

  @Test func linesAreNamesAndNumbersBeforeThemAreTheirOutputs() {
    #expect(names("cat\ndog\n\n# a remark\nemu\n") == ["cat", "dog", "emu"])
    #expect(names("0 cat\n1 big dog\n") == ["cat", "big dog"])
    #expect(names("1: cat\n2: dog\n") == ["cat", "dog"])
    #expect(names("1 dog\r\n0 cat\r\n") == ["cat", "dog"])
    // Not every line has one, or one is missing: then they belong to the names.
    #expect(names("0 cat\ndog\n") == ["0 cat", "dog"])
    #expect(names("3 cats\n7 dogs\n") == ["3 cats", "7 dogs"])
    #expect(names("\n\n") == nil)
  }

  @Test func numbersBehindNamesAreTheirOutputs() {
    #expect(names("plane 2\ncat 1\ntruck 0\n") == ["truck", "cat", "plane"])
    #expect(names("cat,1\ndog,2\n") == ["cat", "dog"])
    #expect(names("big dog\t1\ncat=0\n") == ["cat", "big dog"])
    // These are their names.
    #expect(names("type 1\ntype 2\n") == ["type 1", "type 2"])
    #expect(names("cat 3\ndog 7\n") == ["cat 3", "dog 7"])
  }

  @Test func blanksAndMarksOfEditorsAreNoPartOfNames() {
    #expect(names("\u{FEFF}cat\n dog \n") == ["cat", "dog"])
    #expect(names("\u{FEFF}[\"cat\", \"dog\"]") == ["cat", "dog"])
  }

  @Test func listsInsideDocumentsAreFound() {
    #expect(names(#"{"id2label": {"0": "cat", "1": "dog"}}"#) == ["cat", "dog"])
    #expect(names(#"{"0": ["n02", "cat"], "1": ["n01", "dog"]}"#) == ["cat", "dog"])
    #expect(names(#"[{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]"#) == ["cat", "dog"])
    #expect(names(#"{"cat": 1, "dog": 2}"#) == ["cat", "dog"], "counted from 1")
  }

  @Test func listsAndMappingsInEitherDirectionAreRead() {
    #expect(names(#"["cat", "dog"]"#) == ["cat", "dog"])
    #expect(names(#"{"dog": 1, "cat": 0}"#) == ["cat", "dog"])
    #expect(names(#"{"1": "dog", "0": "cat"}"#) == ["cat", "dog"])
    #expect(names(#"{"cat": 0, "dog": 2}"#) == nil)
    #expect(names(#"["cat", "cat"]"#) == nil)
  }

  @Test func dataIsSearchedForTheUsualKeys() throws {
    let data = try JSONValue(
      parsing: """
        {"epoch": 3, "args": {"class_to_idx": {"b": 1, "a": 0}}, "names": {"0": "x", "1": "y"},
         "labels": [0, 1], "meta": {"dataset_meta": {"classes": ["p", "q"]}},
         "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
        """)
    let lists = ClassList.all(in: data, place: "the file")
    #expect(lists.map(\.names) == [["x", "y"], ["a", "b"], ["p", "q"]])
    #expect(lists[1].origin == "'class_to_idx' in the file")
  }

  @Test func whatPythonPrintsIsRead() throws {
    func found(_ text: String) throws -> [String]? {
      ClassList.all(in: .object([JSONMember("names", .string(text))]), place: "here").first?.names
    }
    #expect(
      try found("{0: 'zebra', 1: 'ant', 2: \"queen's bee\"}") == ["zebra", "ant", "queen's bee"])
    #expect(try found("{2: 'bee', 0: 'zebra', 1: 'ant'}") == ["zebra", "ant", "bee"])
    #expect(try found("['zebra', 'it\\'s',]") == ["zebra", "it's"])
    #expect(try found("{'zebra': 1, 'ant': 0}") == ["ant", "zebra"])
    #expect(try found(#"["zebra", "ant"]"#) == ["zebra", "ant"])
    for text in ["{0: 'a', 3: 'b'}", "{0: 'a'", "{0: open('x')}", "[a, b]", "['a'] + ['b']", "x"] {
      #expect(try found(text) == nil, "\(text)")
    }
  }

  @Test func classesThatAreNumbersHaveTheseNames() throws {
    let data = try JSONValue(parsing: #"{"classes": [3, 7, 5], "labels": [4, 2]}"#)
    #expect(ClassList.all(in: data, place: "the file").map(\.names) == [["3", "7", "5"]])
  }

  private func unreadable(_ data: String, leftOut: [String] = []) throws -> [String] {
    var around = CheckpointSurroundings()
    around.data = try JSONValue(parsing: data)
    around.leftOut = leftOut
    return ForeignFile(
      Checkpoint(
        tensors: [], metadata: ["names": "zebra;ant"], format: .torchZip, path: "m.pth",
        surroundings: around)
    ).unreadableClassLists
  }

  @Test func listsThatCannotBeReadAreNotPassedOver() throws {
    #expect(
      try unreadable(#"{"class_to_idx": {"zebra": 0, "ant": 3}}"#) == ["'class_to_idx' in the file"]
    )
    #expect(try unreadable(#"{"a": {"classes": "zebra,ant"}}"#) == ["'classes' in the file"])
    #expect(try unreadable(#"{"classes": ["ant", "ant"]}"#) == ["'classes' in the file"])
    #expect(
      try unreadable("null", leftOut: ["'classes' (numpy._core.multiarray._reconstruct)"]) == [
        "'classes' (numpy._core.multiarray._reconstruct) in the file"
      ])
    // A number of classes, labels of photos, a name of a run, what is read.
    for data in [
      #"{"classes": 3}"#, #"{"labels": [0, 0, 1]}"#, #"{"names": "run 1"}"#,
      #"{"class_to_idx": {"zebra": 0, "ant": 1}}"#,
      #"{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}"#,
    ] {
      #expect(try unreadable(data).isEmpty, "\(data)")
    }
    #expect(try unreadable("null", leftOut: ["'optimizer' (numpy.ndarray)"]).isEmpty)
  }
}
