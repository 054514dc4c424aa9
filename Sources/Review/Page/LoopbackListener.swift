// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import ThawConsole
import ThawDatasets

/// Answers browsers on this machine, and nobody else: a socket of 127.0.0.1, a bounded number of threads, and
/// for everything that comes a limit in bytes and in seconds.
///
/// One connection is one request. A library would bring a server that this page does not need: its one user
/// sits at this machine, and every request has the page's own form.
final class LoopbackListener: Sendable {
  /// What the system gave.
  let port: Int
  private let descriptor: Int32
  private static let threads = 16
  /// A browser opens connections that it may never use.
  private static let firstByteSeconds = 1
  private static let silenceSeconds = 3
  private static let wholeRequestSeconds = 10.0

  /// - Parameter port: 0 for any free one.
  /// - Throws: ``PipelineError/usage(_:)`` when it is taken.
  init(port: Int) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else {
      throw PipelineError.data("no socket can be opened: \(String(cString: strerror(errno)))")
    }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, address, &length) == 0
      }
    }
    guard isBound else {
      let reason = String(cString: strerror(errno))
      close(descriptor)
      throw PipelineError.usage(
        "port \(port) of this machine cannot be used: \(reason). Leave --port out for a free one.")
    }
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    self.port = Int(UInt16(bigEndian: address.sin_port))
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Answers until `isDone`; requests that have begun are answered.
  func run(
    until isDone: @escaping @Sendable () -> Bool,
    _ answer: @escaping @Sendable (HTTPRequest, [UInt8]) -> HTTPResponse
  ) throws {
    let workers = try WorkerThreads(count: Self.threads) { [self] _ in
      while !isDone() {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 200) > 0 else { continue }
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { continue }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        Self.serve(connection, answer)
        close(connection)
      }
    }
    workers.join()
  }

  private static func serve(
    _ connection: Int32, _ answer: (HTTPRequest, [UInt8]) -> HTTPResponse
  ) {
    setLimit(SO_RCVTIMEO, firstByteSeconds, of: connection)
    setLimit(SO_SNDTIMEO, 10, of: connection)
    let response: HTTPResponse
    do throws(HTTPRequest.Refusal) {
      guard let (request, body) = try read(connection) else { return }
      response = answer(request, body)
    } catch {
      response = .text(error.status, error.reason)
    }
    send(response.bytes, to: connection)
    // What is still on its way in would make the system reset the connection, and the answer with it.
    shutdown(connection, Int32(SHUT_WR))
    var rest = [UInt8](repeating: 0, count: 4096)
    for _ in 0..<32 where recv(connection, &rest, rest.count, 0) > 0 {}
  }

  private static func setLimit(_ option: Int32, _ seconds: Int, of connection: Int32) {
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(
      connection, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Nil for a connection that was never used.
  private static func read(
    _ connection: Int32
  ) throws(HTTPRequest.Refusal) -> (HTTPRequest, [UInt8])? {
    let start = ContinuousClock.now
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 8192)
    func more() throws(HTTPRequest.Refusal) -> Bool {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return false }
      if bytes.isEmpty { setLimit(SO_RCVTIMEO, silenceSeconds, of: connection) }
      bytes += buffer[..<count]
      guard start.duration(to: .now) < .seconds(wholeRequestSeconds) else {
        throw HTTPRequest.Refusal(status: 408, reason: "the request came too slowly")
      }
      return true
    }
    var end = endOfHead(bytes, from: 0)
    while end == nil {
      let known = bytes.count
      guard try more() else {
        if bytes.isEmpty { return nil }
        throw HTTPRequest.Refusal(status: 408, reason: "the request has no end")
      }
      end = endOfHead(bytes, from: max(known - 3, 0))
      guard (end ?? bytes.count) <= HTTPRequest.mostHeaderBytes else {
        throw HTTPRequest.Refusal(status: 431, reason: "the headers are too long")
      }
    }
    let head = end ?? 0
    let request = try HTTPRequest(head: Array(bytes[..<head]))
    while bytes.count < head + 4 + request.bodyLength {
      guard try more() else {
        throw HTTPRequest.Refusal(status: 408, reason: "the body is not complete")
      }
    }
    return (request, Array(bytes[(head + 4)..<(head + 4 + request.bodyLength)]))
  }

  private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
    guard bytes.count >= 4, start <= bytes.count - 4 else { return nil }
    return (start...(bytes.count - 4)).first {
      bytes[$0] == 0x0D && bytes[$0 + 1] == 0x0A && bytes[$0 + 2] == 0x0D && bytes[$0 + 3] == 0x0A
    }
  }

  private static func send(_ bytes: [UInt8], to connection: Int32) {
    bytes.withUnsafeBytes { raw in
      var sent = 0
      while sent < raw.count, let base = raw.baseAddress {
        let count = Glibc.send(connection, base + sent, raw.count - sent, Int32(MSG_NOSIGNAL))
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        sent += count
      }
    }
  }
}
