// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// What an address asks for.
enum Route: Equatable {
  case page(PageFile)
  case openAPI
  case metrics
  case models
  /// A photo of the folder that others are compared with.
  case similar(Int)
  case live
  case ready
  case server
  /// Of a model, and of its version when one is named.
  case metadata(String, String?)
  case modelReady(String, String?)
  case infer(String, String?)
  /// Nil where there is one model alone.
  case predict(String?)

  /// - Parameter path: as it was sent, without the query.
  /// - Throws: ``Refusal``, 400 or 404.
  init(path: String) throws {
    guard path.hasPrefix("/"), path.utf8.count <= 1024 else { throw Self.unknown }
    let parts = try path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map {
      guard let part = PercentDecoding.decoded($0) else {
        throw Refusal.bad("The address is not encoded as addresses are.")
      }
      return part
    }
    switch parts {
    case ["openapi.json"]: self = .openAPI
    case ["metrics"]: self = .metrics
    case ["models"]: self = .models
    case ["predict"]: self = .predict(nil)
    case _ where parts.count == 2 && parts[0] == "predict": self = .predict(parts[1])
    case _ where parts.count == 2 && parts[0] == "similar":
      guard let index = Int(parts[1]), "\(index)" == parts[1] else { throw Self.unknown }
      self = .similar(index)
    case ["v2", "health", "live"]: self = .live
    case ["v2", "health", "ready"]: self = .ready
    case ["v2"]: self = .server
    case _ where parts.count >= 3 && parts[0] == "v2" && parts[1] == "models":
      self = try Self.ofModel(parts[2], Array(parts[3...]))
    default:
      guard parts.count == 1, let file = PageFile(name: parts[0]) else { throw Self.unknown }
      self = .page(file)
    }
  }

  private static var unknown: Refusal {
    .missing("There is nothing at this address. See /openapi.json for what there is.")
  }

  private static func ofModel(_ name: String, _ rest: [String]) throws -> Route {
    var (rest, version): ([String], String?) = (rest, nil)
    if rest.first == "versions" {
      guard rest.count >= 2 else { throw unknown }
      version = rest[1]
      rest.removeFirst(2)
    }
    switch rest {
    case []: return .metadata(name, version)
    case ["ready"]: return .modelReady(name, version)
    case ["infer"]: return .infer(name, version)
    default: throw unknown
    }
  }

  /// What logs and metrics call it: one of few, whatever was sent.
  var label: String {
    switch self {
    case .page: "/"
    case .openAPI: "/openapi.json"
    case .metrics: "/metrics"
    case .models: "/models"
    case .similar: "/similar/{index}"
    case .live: "/v2/health/live"
    case .ready: "/v2/health/ready"
    case .server: "/v2"
    case .metadata: "/v2/models/{model}"
    case .modelReady: "/v2/models/{model}/ready"
    case .infer: "/v2/models/{model}/infer"
    case .predict: "/predict"
    }
  }

  /// Whether it takes a body.
  var isPost: Bool {
    switch self {
    case .infer, .predict: true
    default: false
    }
  }

  /// Whether it is there for everyone: the page without its answers, and whether the server lives.
  var isOpen: Bool {
    switch self {
    case .page, .openAPI, .live, .ready: true
    default: false
    }
  }
}
