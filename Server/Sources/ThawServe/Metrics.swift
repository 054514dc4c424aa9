// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// What `/metrics` tells, in Prometheus's text format.
final class Metrics: Sendable {
  private struct Answer: Hashable {
    let route: String
    let method: String
    let status: Int
  }

  private struct Times {
    var buckets = [Int](repeating: 0, count: Metrics.limits.count)
    var sum = 0.0
    var count = 0
  }

  private struct State {
    var answers: [Answer: Int] = [:]
    var times: [String: Times] = [:]
    var photos: [String: Int] = [:]
    var unknown: [String: Int] = [:]
    var reloads: [String: Int] = [:]
    var failures: [String: Int] = [:]
    var inFlight = 0
  }

  /// Seconds.
  private static let limits = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  private let state = Mutex(State())
  private let started = Date.now.timeIntervalSince1970

  func begin() { state.withLock { $0.inFlight += 1 } }

  /// - Parameter route: one of few, never what a client sent.
  func end(route: String, method: String, status: Int, seconds: Double) {
    state.withLock { state in
      state.inFlight -= 1
      state.answers[Answer(route: route, method: method, status: status), default: 0] += 1
      var times = state.times[route] ?? Times()
      for (index, limit) in Self.limits.enumerated() where seconds <= limit {
        times.buckets[index] += 1
      }
      times.sum += seconds
      times.count += 1
      state.times[route] = times
    }
  }

  func answered(model: String, photos: Int, unknown: Int) {
    state.withLock { state in
      state.photos[model, default: 0] += photos
      state.unknown[model, default: 0] += unknown
    }
  }

  func reloaded(model: String, succeeded: Bool) {
    state.withLock { state in
      if succeeded {
        state.reloads[model, default: 0] += 1
      } else {
        state.failures[model, default: 0] += 1
      }
    }
  }

  /// The document.
  func text(models: [ServedModel], bytesHeld: Int) -> String {
    var page = MetricsPage()
    let state = state.withLock { $0 }
    page.family("thaw_http_requests_total", "counter", "Answers by route, method and status.")
    for (answer, count) in state.answers.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      page.sample(
        [("route", answer.route), ("method", answer.method), ("status", "\(answer.status)")],
        "\(count)")
    }
    page.family(
      "thaw_http_request_duration_seconds", "histogram", "From a request's head to its answer.")
    for (route, times) in state.times.sorted(by: { $0.key < $1.key }) {
      for (limit, count) in zip(Self.limits, times.buckets) {
        page.sample([("route", route), ("le", "\(limit)")], "\(count)", suffix: "_bucket")
      }
      page.sample([("route", route), ("le", "+Inf")], "\(times.count)", suffix: "_bucket")
      page.sample([("route", route)], "\(times.sum)", suffix: "_sum")
      page.sample([("route", route)], "\(times.count)", suffix: "_count")
    }
    page.family("thaw_http_requests_in_flight", "gauge", "Requests whose answer is not ready.")
    page.sample([], "\(state.inFlight)")
    page.family("thaw_body_bytes", "gauge", "Bytes of bodies that are held.")
    page.sample([], "\(bytesHeld)")
    page.counter("thaw_photos_total", "Photos answered.", state.photos, models)
    page.counter(
      "thaw_unknown_photos_total", "Photos unlike anything the model was trained on.",
      state.unknown, models)
    page.counter(
      "thaw_model_reloads_total", "Times that a changed file was taken.", state.reloads, models)
    page.counter(
      "thaw_model_reload_failures_total", "Times that a changed file could not be used.",
      state.failures,
      models)
    let loaded = models.map { ($0.name, $0.current) }
    page.family("thaw_model_stale", "gauge", "1 while the file has changed and cannot be used.")
    for (name, model) in loaded { page.sample([("model", name)], model.problem == nil ? "0" : "1") }
    page.family("thaw_queue_photos", "gauge", "Photos that wait for a worker.")
    for (name, model) in loaded {
      page.sample([("model", name)], "\(model.classifier.statistics.waiting)")
    }
    page.family(
      "thaw_batches_total", "counter", "Batches that workers took, since the model was loaded.")
    for (name, model) in loaded {
      page.sample([("model", name)], "\(model.classifier.statistics.batches)")
    }
    page.family(
      "thaw_batched_photos_total", "counter", "Photos in them; by batches, the mean size of one.")
    for (name, model) in loaded {
      page.sample([("model", name)], "\(model.classifier.statistics.photos)")
    }
    page.family("thaw_model_info", "gauge", "Which file answers.")
    for (name, model) in loaded {
      page.sample([("model", name), ("version", model.version)], "1")
    }
    page.family("process_start_time_seconds", "gauge", "Seconds since 1970.")
    page.sample([], "\(started)")
    if let bytes = Self.residentBytes {
      page.family("process_resident_memory_bytes", "gauge", "Memory in use.")
      page.sample([], "\(bytes)")
    }
    return page.text
  }

  private static var residentBytes: Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
      return nil
    }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// Prometheus's text, growing.
private struct MetricsPage {
  private(set) var text = ""
  private var name = ""

  mutating func family(_ name: String, _ kind: String, _ help: String) {
    self.name = name
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
  }

  mutating func sample(_ labels: [(String, String)], _ value: String, suffix: String = "") {
    let inside = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
    text += "\(name)\(suffix)\(labels.isEmpty ? "" : "{\(inside)}") \(value)\n"
  }

  mutating func counter(
    _ name: String, _ help: String, _ counts: [String: Int], _ models: [ServedModel]
  ) {
    family(name, "counter", help)
    for model in models { sample([("model", model.name)], "\(counts[model.name] ?? 0)") }
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
