// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A prediction through the server is that of `thaw predict`, to the bit.
struct AnswerTests {
  private struct Prediction: Decodable, Equatable {
    struct Ranked: Decodable, Equatable {
      let label: String
      let probability: Float
    }
    let label: String
    let probability: Float
    let top: [Ranked]
    let logits: [Float]
    let unknown: Bool
    let unknownScore: Float
    let unknownThreshold: Float
    let set: [String]
  }

  private static func expected(_ photos: [URL], _ trained: Trained) throws -> [Prediction] {
    let predicted = try Built.run(
      Built.thaw,
      [
        "predict", "--model", trained.model, "--json", "--logits", "--coverage", "0.7", "--top",
        "2",
      ] + photos.map(\.path))
    #expect(predicted.status == 0, "\(predicted.stderr)")
    return try JSONDecoder.ofAnswers.decode([Prediction].self, from: predicted.stdout)
  }

  private static let photos: [(String, Int)] = (0..<6).flatMap { [("blue", $0), ("red", $0)] }

  @Test(arguments: [
    [], ["--latency-ms", "20", "--batch", "5", "--threads", "2"], ["--threads", "1"],
  ])
  func answersHaveTheBitsOfThePredictCommand(_ options: [String]) async throws {
    let trained = try Trained.shared
    let server = try TestServer(options + ["--queue", "1000", trained.model])
    let expected = try Self.expected(Self.photos.map { trained.url($0.0, $0.1) }, trained)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for client in 0..<8 {
        let port = server.port
        group.addTask {
          try await onThread {
            let socket = try Socket(port: port)
            // Each client in an order of its own, all on one connection.
            for step in 0..<24 {
              let index = (step * 5 + client) % Self.photos.count
              let photo = try trained.photo(Self.photos[index].0, Self.photos[index].1)
              let id = "client-\(client)-\(step)"
              socket.send(
                Array(
                  ("POST /predict?logits=1&coverage=0.7&top=2 HTTP/1.1\r\nHost: localhost\r\n"
                    + "X-Request-ID: \(id)\r\nContent-Length: \(photo.count)\r\n\r\n").utf8) + photo
              )
              let answer = try Answer(from: socket)
              #expect(
                answer.status == 200 && answer.headers["x-request-id"] == id, "\(answer.text)")
              let got = try JSONDecoder.ofAnswers.decode(Prediction.self, from: Data(answer.body))
              #expect(got == expected[index])
            }
          }
        }
      }
      try await group.waitForAll()
    }
    if options.contains("--latency-ms") {
      let batches = try #require(try server.metric("thaw_batches_total{model=\"run\"}"))
      #expect(batches < 150, "192 photos came in \(batches) batches: nothing was computed together")
    }
    #expect(try server.metric("thaw_photos_total{model=\"run\"}") == 192)
  }

  @Test func tensorsHaveTheBitsOfThePredictCommand() throws {
    let trained = try Trained.shared
    let server = try TestServer(["net=\(trained.model)"])
    let expected = try Self.expected(Self.photos.map { trained.url($0.0, $0.1) }, trained)
    let photos = try Self.photos.map { try trained.photo($0.0, $0.1) }
    let version = try #require(
      (try server.ask("/v2/models/net").json()["versions"] as? [String])?.first)
    // As JSON.
    let document: [String: Any] = [
      "id": "seven",
      "inputs": [
        [
          "name": "image", "datatype": "BYTES", "shape": [photos.count],
          "data": photos.map { Data($0).base64EncodedString() },
        ]
      ],
      "outputs": [
        ["name": "logits"], ["name": "label"], ["name": "unknown_score"], ["name": "probabilities"],
      ],
    ]
    struct Reply: Decodable {
      struct Output: Decodable {
        let name: String
        let shape: [Int]
        let data: [Element]
      }
      enum Element: Decodable, Equatable {
        case number(Float)
        case text(String)
        init(from decoder: any Decoder) throws {
          let container = try decoder.singleValueContainer()
          if let number = try? container.decode(Float.self) {
            self = .number(number)
          } else {
            self = .text(try container.decode(String.self))
          }
        }
      }
      let id: String
      let modelName: String
      let modelVersion: String
      let outputs: [Output]
    }
    let plain = try server.ask(
      "POST", "/v2/models/net/versions/\(version)/infer",
      headers: [("Content-Type", "application/json")],
      body: Array(try JSONSerialization.data(withJSONObject: document)))
    #expect(plain.status == 200, "\(plain.text)")
    let reply = try JSONDecoder.ofAnswers.decode(Reply.self, from: Data(plain.body))
    #expect(reply.id == "seven" && reply.modelName == "net" && reply.modelVersion == version)
    #expect(reply.outputs.map(\.name) == ["logits", "label", "unknown_score", "probabilities"])
    #expect(reply.outputs[0].data == expected.flatMap { $0.logits.map(Reply.Element.number) })
    #expect(reply.outputs[1].data == expected.map { .text($0.label) })
    #expect(reply.outputs[2].data == expected.map { .number($0.unknownScore) })
    #expect(reply.outputs[3].shape == [photos.count, 2])

    // As binary tensors, both ways.
    var binary: [UInt8] = []
    for photo in photos { binary += little(UInt32(photo.count)) + photo }
    let header = Array(
      """
      {"inputs":[{"name":"image","datatype":"BYTES","shape":[\(photos.count)],
      "parameters":{"binary_data_size":\(binary.count)}}],
      "outputs":[{"name":"logits","parameters":{"binary_data":true}},{"name":"label"}]}
      """.utf8)
    let packed = try server.ask(
      "POST", "/v2/models/net/infer",
      headers: [("Inference-Header-Content-Length", "\(header.count)")], body: header + binary)
    #expect(packed.status == 200, "\(packed.text)")
    let length = try #require(packed.headers["inference-header-content-length"].flatMap { Int($0) })
    let numbers = Array(packed.body[length...])
    #expect(numbers == expected.flatMap { $0.logits.flatMap { little($0.bitPattern) } })
  }

  @Test func pixelsAreAnsweredAsAFileOfTheSamePixels() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let (width, height) = (40, 50)
    let pixels = (0..<(width * height * 3)).map { UInt8(truncatingIfNeeded: $0 * 7 % 251) }
    let file = try server.ask(
      "POST", "/predict?logits=1", body: Bitmap.bytes(pixels, width, height))
    #expect(file.status == 200, "\(file.text)")
    let json = """
      {"inputs":[{"name":"pixels","datatype":"UINT8","shape":[2,\(height),\(width),3],
      "data":[\((pixels + pixels).map { "\($0)" }.joined(separator: ","))]}],"outputs":[{"name":"logits"}]}
      """
    let tensor = try server.ask("POST", "/v2/models/run/infer", body: Array(json.utf8))
    #expect(tensor.status == 200, "\(tensor.text)")
    let outputs = try #require(try tensor.json()["outputs"] as? [[String: Any]])
    let logits = try #require(outputs[0]["data"] as? [Double])
    let one = try #require(try file.json()["logits"] as? [Double])
    #expect(logits == one + one)
  }

  @Test func heatMapsAreThoseOfTheExplainCommand() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let output = trained.folder.appendingPathComponent("heat-\(UUID())")
    let explained = try Built.run(
      Built.thaw,
      [
        "explain", "--model", trained.model, trained.url("blue", 3).path, "--class", "red",
        "--output",
        output.path, "--json",
      ])
    #expect(explained.status == 0, "\(explained.stderr)")
    let document = try #require(
      try JSONSerialization.jsonObject(with: explained.stdout) as? [String: Any])
    let expected = try #require((document["explanations"] as? [[String: Any]])?.first)
    let answer = try server.ask(
      "POST", "/predict?heat_map=overlay&class=red", body: trained.photo("blue", 3))
    let heat = try #require(try answer.json()["heat_map"] as? [String: Any])
    #expect(heat["map"] as? [[Double]] == expected["map"] as? [[Double]])
    #expect(
      heat["label"] as? String == "red" && heat["layer"] as? String == document["layer"] as? String)
    #expect(heat["probability"] as? Double == expected["probability"] as? Double)
    let overlay = try Data(
      contentsOf: URL(fileURLWithPath: try #require(expected["overlay"] as? String)))
    #expect(heat["overlay"] as? String == overlay.base64EncodedString())
    let plain = try server.ask("POST", "/predict", body: trained.photo("blue", 3)).json()
    #expect(plain["heat_map"] == nil && plain["label"] as? String == "blue")
  }

  @Test func similarPhotosAreThoseOfTheSimilarCommand() throws {
    let trained = try Trained.shared
    let folder = trained.folder.appendingPathComponent("photos")
    let broken = trained.folder.appendingPathComponent("with-broken")
    try FileManager.default.copyItem(at: folder, to: broken)
    try Data("no photo".utf8).write(to: broken.appendingPathComponent("a.jpg"))
    let server = try TestServer(["--similar", broken.path, trained.model])
    #expect(server.logged.contains("photos that cannot be used"))
    let found = try Built.run(
      Built.thaw,
      [
        "similar", "--model", trained.model, trained.url("red", 4).path, "--in", folder.path,
        "--top", "3",
        "--json",
      ])
    #expect(found.status == 0, "\(found.stderr)")
    let document = try JSONSerialization.jsonObject(with: found.stdout) as? [String: Any]
    let answers = try #require(document?["answers"] as? [[String: Any]])
    let expected = try #require(answers[0]["matches"] as? [[String: Any]])
    let photo = try trained.photo("red", 4)
    let own = try #require(
      try server.ask("POST", "/predict?similar=3", body: photo).json()["similar"]
        as? [[String: Any]])
    #expect(own.count == 3)
    for (one, other) in zip(own, expected) {
      let path = try #require(one["path"] as? String)
      #expect((other["path"] as? String)?.hasSuffix(path) == true, "\(path)")
      let (mine, its) = (one["similarity"] as? Double ?? 0, other["similarity"] as? Double ?? 1)
      #expect(abs(mine - its) < 1e-6)
      let file = try server.ask("/similar/\(try #require(one["index"] as? Int))")
      #expect(file.status == 200 && file.headers["content-type"] == "image/jpeg")
      #expect(file.body == Array(try Data(contentsOf: broken.appendingPathComponent(path))))
    }
    // What is no photo has no vector, and is not handed out.
    for path in [
      "/similar/0", "/similar/-1", "/similar/999", "/similar/x", "/similar/+1",
      "/similar/..%2f..%2fetc",
    ] {
      #expect(try server.ask(path).status == 404, "\(path)")
    }
    for folder in ["/nowhere", trained.folder.appendingPathComponent("run/cache").path] {
      let outcome = try Built.run(Built.server, ["--similar", folder, trained.model])
      #expect(outcome.status == 65 && outcome.stderr.contains("--similar"), "\(outcome.stderr)")
    }
  }

  /// No probability goes with a label that is none, and the model's thresholds decide here too.
  @Test func thresholdsOfTheModelDecideAsInThePredictCommand() throws {
    let trained = try Trained.shared
    let model = try trained.copy(of: trained.model).path
    let photos = trained.folder.appendingPathComponent("photos").path
    let stored = try Built.run(
      Built.thaw,
      [
        "evaluate", "--model", model, "--data", photos, "--threshold", "blue=1", "--threshold",
        "red=0.000001", "--store-thresholds",
      ])
    #expect(stored.status == 0, "\(stored.stderr)")
    let server = try TestServer([model])
    var seen: Set<String> = []
    for (label, number) in [("blue", 0), ("red", 0), ("blue", 1)] {
      let predicted = try Built.run(
        Built.thaw, ["predict", "--model", model, "--json", trained.url(label, number).path])
      let expected = try #require(
        (try JSONSerialization.jsonObject(with: predicted.stdout) as? [[String: Any]])?.first)
      let json = try server.ask("POST", "/predict", body: trained.photo(label, number)).json()
      #expect(json["label"] as? String == expected["label"] as? String)
      #expect(json["probability"] as? Double == expected["probability"] as? Double)
      #expect(json["undecided"] as? Bool == expected["undecided"] as? Bool)
      #expect(json["undecided"] is Bool)
      seen.insert(json["label"] as? String ?? "")
    }
    #expect(seen.contains("red"), "\(seen)")
  }

  @Test func aFormIsTheSamePhotoWithItsName() throws {
    let trained = try Trained.shared
    let server = try TestServer([trained.model])
    let photo = try trained.photo("red", 1)
    let form =
      Array(
        ("--cut\r\nContent-Disposition: form-data; name=\"top\"\r\n\r\n1\r\n--cut\r\n"
          + "content-disposition: form-data; name=\"photo\"; filename=\"a \\\"b\\\" ü.jpg\"\r\n"
          + "Content-Type: image/jpeg\r\n\r\n").utf8) + photo + Array("\r\n--cut--\r\n".utf8)
    let answer = try server.ask(
      "POST", "/predict/run", headers: [("Content-Type", "multipart/form-data; boundary=cut")],
      body: form)
    #expect(answer.status == 200, "\(answer.text)")
    let json = try answer.json()
    #expect(json["path"] as? String == "a \"b\" ü.jpg" && (json["top"] as? [Any])?.count == 1)
    let plain = try server.ask("POST", "/predict", body: photo).json()
    #expect(json["probability"] as? Double == plain["probability"] as? Double)
    #expect(plain["path"] == nil && plain["model"] as? String == "run")
  }
}

/// Runs what blocks on a thread of its own: a test's tasks are few.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
{
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}

/// Four bytes, the least first.
func little(_ number: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
}

/// Uncompressed photos, which need no library.
enum Bitmap {
  /// A BMP file of red, green and blue, rows from the top.
  static func bytes(_ pixels: [UInt8], _ width: Int, _ height: Int) -> [UInt8] {
    let row = (width * 3 + 3) / 4 * 4
    var rows = [UInt8](repeating: 0, count: row * height)
    for y in 0..<height {
      for x in 0..<width {
        for channel in 0..<3 {
          rows[(height - 1 - y) * row + 3 * x + channel] = pixels[(y * width + x) * 3 + 2 - channel]
        }
      }
    }
    return head(width, height, rows.count) + rows
  }

  /// Its head alone.
  static func head(_ width: Int, _ height: Int, _ count: Int) -> [UInt8] {
    Array("BM".utf8) + little(UInt32(54 + count)) + little(0) + little(54) + little(40)
      + little(UInt32(width)) + little(UInt32(height)) + [1, 0, 24, 0] + little(0)
      + little(UInt32(truncatingIfNeeded: count)) + little(2835) + little(2835) + little(0)
      + little(0)
  }
}

extension JSONDecoder {
  /// Reads keys in snake case.
  static var ofAnswers: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }
}
