// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The document at /openapi.json says what the server does.
struct OpenAPITests {
  private let server: TestServer
  private let document: [String: Any]
  private let version: String

  init() throws {
    let trained = try Trained.shared
    server = try TestServer(
      ["--similar", trained.folder.appendingPathComponent("photos/red").path, trained.model])
    document = try server.ask("/openapi.json").json()
    version = try #require(
      (try server.ask("/v2/models/run").json()["versions"] as? [String])?.first)
  }

  private var paths: [String: [String: [String: Any]]] {
    document["paths"] as? [String: [String: [String: Any]]] ?? [:]
  }

  private func schema(_ name: String) -> [String: Any]? {
    let components = document["components"] as? [String: Any]
    return (components?["schemas"] as? [String: [String: Any]])?[name]
  }

  @Test func everyAddressIsAnsweredAsItSays() throws {
    #expect(paths.count >= 16)
    for (path, methods) in paths {
      for (method, operation) in methods {
        let real = path.replacingOccurrences(of: "{model}", with: "run")
          .replacingOccurrences(of: "{version}", with: version)
          .replacingOccurrences(of: "{index}", with: "0")
        let answer =
          method == "get"
          ? try server.ask(real)
          : try server.ask(
            "POST", real, body: path.contains("infer") ? infer : Trained.shared.photo("red", 0))
        #expect(answer.status == 200, "\(method) \(path): \(answer.text)")
        let responses = try #require(operation["responses"] as? [String: [String: Any]])
        let content = try #require(
          responses["200"]?["content"] as? [String: [String: Any]], "\(path)")
        let type = try #require(answer.headers["content-type"]).prefix { $0 != ";" }
        #expect(content[String(type)] != nil, "\(path) answers \(type)")
        if let schema = content["application/json"]?["schema"] as? [String: Any],
          type == "application/json",
          path != "/openapi.json"
        {
          check(try JSONSerialization.jsonObject(with: Data(answer.body)), schema, path)
        }
      }
    }
  }

  @Test func predictionsWithEverythingAreAsItSays() throws {
    let answer = try server.ask(
      "POST", "/predict?logits=1&coverage=0.5&heat_map=overlay&unknown=flag&top=1&similar=2",
      body: Trained.shared.photo("red", 0))
    let json = try answer.json()
    check(json, try #require(schema("Prediction")), "/predict")
    for key in [
      "logits", "set", "heat_map", "unknown", "unknown_score", "label", "probability", "similar",
    ] {
      #expect(json[key] != nil, "\(key)")
    }
    check(try server.ask("/nothing").json(), try #require(schema("Error")), "/nothing")
  }

  @Test func whatItDoesNotSayIsNotThere() throws {
    #expect(try server.ask("/v2/models").status == 404)
    let operation = try #require(paths["/predict"]?["post"])
    let names = (operation["parameters"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
    #expect(names == ["top", "coverage", "unknown", "heat_map", "class", "logits", "similar"])
    let error = try server.ask("POST", "/predict?x=1", body: [1]).text
    for name in names ?? [] { #expect(error.contains(name), "\(name)") }
  }

  private var infer: [UInt8] {
    Array(
      #"{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,1,1,3],"data":[1,2,3]}]}"#.utf8)
  }

  /// A small part of JSON Schema: types, properties, whether others may be there, items.
  private func check(_ value: Any, _ schema: [String: Any], _ place: String) {
    var schema = schema
    if let reference = schema["$ref"] as? String {
      schema = self.schema(reference.split(separator: "/").last.map(String.init) ?? "") ?? [:]
      #expect(!schema.isEmpty, "\(place): \(reference)")
    }
    switch schema["type"] as? String {
    case "object":
      guard let object = value as? [String: Any] else {
        Issue.record("\(place) is no object")
        return
      }
      let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
      for name in schema["required"] as? [String] ?? [] where object[name] == nil {
        Issue.record("\(place) lacks \(name)")
      }
      for (name, inner) in object {
        if let own = properties[name] {
          check(inner, own, "\(place).\(name)")
        } else if schema["additionalProperties"] as? Bool == false {
          Issue.record("\(place) has \(name), which the document does not name")
        }
      }
    case "array":
      guard let array = value as? [Any] else {
        Issue.record("\(place) is no array")
        return
      }
      for inner in array { check(inner, schema["items"] as? [String: Any] ?? [:], "\(place)[]") }
    case "string": #expect(value is String, "\(place)")
    case "integer": #expect(value is Int, "\(place)")
    case "number": #expect(value is Double, "\(place)")
    case "boolean": #expect(value is Bool, "\(place)")
    default: break
    }
  }
}
