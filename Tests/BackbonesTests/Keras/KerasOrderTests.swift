// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawGraphs
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Along which dimension the numbers and the slices of a Keras configuration lie.
@Suite struct KerasOrderTests {
  private static func complaint(_ checkpoint: Checkpoint) -> String {
    do {
      _ = try KerasNetwork(checkpoint)
      return "none"
    } catch { return "\(error)" }
  }

  private static func slice(_ step: Int?) -> JSONValue {
    .object([
      JSONMember("class_name", .string("__slice__")),
      JSONMember(
        "config",
        .object([
          JSONMember("start", .null), JSONMember("stop", .null),
          JSONMember("step", step.map { .integer($0) } ?? .null),
        ])),
    ])
  }

  private static let ellipsis = JSONValue.object([
    JSONMember("class_name", .string("__ellipsis__")), JSONMember("config", .object([])),
  ])

  /// `flipped.keras` with another second argument of one of its operations.
  private static func calling(_ layer: String, _ argument: JSONValue) throws -> Checkpoint {
    try KerasFixture.changing("flipped.keras", layer: layer) { json in
      guard let call = json["inbound_nodes"]?.elements?.first,
        let photo = call["args"]?.elements?.first
      else { return json }
      return json.setting(
        "inbound_nodes", .array([call.setting("args", .array([photo, argument]))]))
    }
  }

  @Test func onlyTheLastDimensionIsThatOfTheChannels() throws {
    for parts in [
      [Self.ellipsis, Self.slice(-1)],
      [Self.slice(nil), Self.slice(nil), Self.slice(nil), Self.slice(-1)],
      [Self.ellipsis, Self.slice(nil), Self.slice(-1)],
    ] {
      let text = Self.complaint(try Self.calling("get_item", .array(parts)))
      #expect(text == "none", "\(text)")
    }
    for parts in [
      [Self.slice(nil), Self.slice(-1)], [Self.slice(nil), Self.slice(nil), Self.slice(-1)],
      [Self.slice(-1), Self.ellipsis],
      [Self.slice(-1)],
    ] {
      let text = Self.complaint(try Self.calling("get_item", .array(parts)))
      #expect(text.contains("only the channels in the other order"), "\(text)")
    }
  }

  private static func array(_ value: JSONValue) -> JSONValue {
    .object([
      JSONMember("class_name", .string("__numpy__")),
      JSONMember("config", .object([JSONMember("value", value)])),
    ])
  }

  @Test func constantsLieAlongTheChannels() throws {
    let three = [1.0, 2, 3].map { JSONValue.number($0) }
    for value in [JSONValue.array(three), .array([.array([.array(three)])]), .array([.number(4)])] {
      for constant in [value, Self.array(value)] {
        #expect(Self.complaint(try Self.calling("subtract", constant)) == "none")
      }
    }
    // [3, 1, 1]: one for each row.
    let rows = JSONValue.array(three.map { .array([.array([$0])]) })
    for constant in [rows, Self.array(rows)] {
      let text = Self.complaint(try Self.calling("subtract", constant))
      #expect(text.contains("along another dimension than the channels"), "\(text)")
    }
  }

  @Test func aNormalisationAlongRowsIsRefused() throws {
    func normalised(_ axis: JSONValue, _ numbers: JSONValue) throws -> String {
      Self.complaint(
        try KerasFixture.changing("nested.keras", layer: "rescale") {
          $0.setting("class_name", .string("Normalization")).configured("axis", axis)
            .configured("mean", numbers).configured("variance", numbers)
        })
    }
    let three = JSONValue.array([.number(1), .number(2), .number(3)])
    #expect(try normalised(.integer(-1), three) == "none")
    #expect(try normalised(.array([.integer(3)]), three) == "none")
    #expect(try normalised(.null, .number(2)) == "none")
    #expect(try normalised(.integer(1), three).contains("along another axis than the channels"))
    #expect(
      try normalised(.integer(-1), .array([.array([.number(1)]), .array([.number(2)])]))
        .contains("no list of channels"))
  }

  /// A layer of a functional model, with what goes into it.
  private static func layer(
    _ className: String, _ name: String, _ inputs: [String], _ settings: String = ""
  ) -> String {
    let places = inputs.map { "[\"\($0)\", 0, 0, {}]" }.joined(separator: ", ")
    return """
      {"class_name": "\(className)", "name": "\(name)",
       "config": {"name": "\(name)"\(settings.isEmpty ? "" : ", " + settings)},
       "inbound_nodes": \(inputs.isEmpty ? "[]" : "[[\(places)]]")}
      """
  }

  /// A model of 2 x 2 pixels of two channels, flattened, a row of as many features, and what joins them.
  private static func joined(_ className: String, _ inputs: [String]) throws -> Checkpoint {
    let layers = [
      layer("InputLayer", "photo", [], #""batch_input_shape": [null, 8, 8, 3]"#),
      layer("Conv2D", "conv", ["photo"], #""strides": 4, "use_bias": false"#),
      layer("Flatten", "flat", ["conv"]),
      layer("GlobalAveragePooling2D", "pool", ["conv"]),
      layer("Dense", "row", ["pool"], #""use_bias": false"#),
      layer(className, "join", inputs),
      layer("Dense", "answer", ["join"], #""use_bias": false"#),
    ]
    let text = """
      {"class_name": "Functional", "config": {"name": "m", "layers": [\(layers.joined(separator: ","))],
       "input_layers": [["photo", 0, 0]], "output_layers": [["answer", 0, 0]]}}
      """
    let shapes: [(String, Shape)] = [
      ("conv", [1, 1, 3, 2]), ("row", [2, 8]), ("answer", [8, 2]),
    ]
    let weights = KerasWeights(
      Dictionary(uniqueKeysWithValues: shapes.map { ([$0.0], ["kernel": $0.0]) }))
    return Checkpoint(
      tensors: shapes.map { StoredTensor($0.0, .procedural(ParameterPath($0.0), shape: $0.1)) },
      metadata: [:], format: .kerasArchive, path: "m.keras",
      kerasModel: KerasModel(configuration: try JSONValue(parsing: text), weights: weights))
  }

  /// Behind a flattened image features are in the order rows, columns, channels in Keras.
  @Test func aFlattenedImageAndARowAreNotAdded() throws {
    for inputs in [["flat", "row"], ["row", "flat"]] {
      let text = Self.complaint(try Self.joined("Add", inputs))
      #expect(text.contains("their order is not kept"), "\(text)")
    }
    #expect(Self.complaint(try Self.joined("Add", ["flat", "flat"])) == "none")
    #expect(Self.complaint(try Self.joined("Add", ["row", "row"])) == "none")
  }

  @Test func integersWithinTheModelAreRefused() throws {
    func cast(_ type: String) throws -> String {
      Self.complaint(
        try KerasFixture.changing("flipped.keras", layer: "subtract") { json in
          guard let call = json["inbound_nodes"]?.elements?.first,
            let photo = call["args"]?.elements?.first
          else { return json }
          return json.setting("class_name", .string("Cast")).configured("dtype", .string(type))
            .setting("inbound_nodes", .array([call.setting("args", .array([photo]))]))
        })
    }
    #expect(try cast("float32") == "none")
    #expect(try cast("float16") == "none")
    #expect(try cast("int32").contains("it makes int32 of numbers"))
    #expect(try cast("uint8").contains("it makes uint8 of numbers"))
  }

  @Test func modelsThatEndWithAnImageAreNone() throws {
    let segmenting = try KerasFixture.changed("flipped2.h5") { json in
      json.configured(
        "output_layers",
        .array([.array([.string("first"), .integer(0), .integer(0)])]))
    }
    // Its ReLU makes features of it, which are no classes.
    #expect(try #require(try KerasNetwork(segmenting)).outputActivation == nil)
    for activation in ["sigmoid", "linear"] {
      let text = Self.complaint(
        try Self.ending(segmenting, layer: "first", activation: activation))
      #expect(text.contains("ends with an image of 14 x 14 pixels and 6 numbers each"), "\(text)")
    }
  }

  @Test func modelsThatEndWithAFlattenedImageAreNone() throws {
    let flat = try KerasFixture.changed("flipped2.h5") { json in
      json.configured(
        "output_layers",
        .array([.array([.string("flatten"), .integer(0), .integer(0)])]))
    }
    let text = Self.complaint(try Self.ending(flat, layer: "first", activation: "linear"))
    #expect(text == "none", "Behind a maximum they are features: \(text)")
    let soft = Checkpoint(
      tensors: flat.tensors, metadata: flat.metadata, format: flat.format, path: flat.path,
      kerasModel: KerasModel(
        configuration: try #require(flat.kerasModel?.configuration).mapped { json in
          json["config"]?["name"]?.text == "hidden"
            ? json.setting("class_name", .string("Softmax")).setting(
              "config", .object([JSONMember("name", .string("hidden"))])) : json
        }.configured(
          "output_layers", .array([.array([.string("hidden"), .integer(0), .integer(0)])])),
        weights: try #require(flat.kerasModel?.weights)))
    #expect(Self.complaint(soft).contains("pixels that was flattened"), "\(Self.complaint(soft))")
  }

  private static func ending(
    _ model: Checkpoint, layer: String, activation: String
  ) throws -> Checkpoint {
    Checkpoint(
      tensors: model.tensors, metadata: model.metadata, format: model.format, path: model.path,
      kerasModel: KerasModel(
        configuration: try #require(model.kerasModel?.configuration).mapped { json in
          json["config"]?["name"]?.text == layer
            ? json.configured("activation", .string(activation)) : json
        }, weights: try #require(model.kerasModel?.weights)))
  }
}
