// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A web server on the loopback interface that serves one file and misbehaves on request.
package final class LoopbackServer: Sendable {
  /// What it does.
  package struct Behaviour: Sendable {
    /// The file's contents.
    package var contents: [UInt8]
    /// Whether `Range: bytes=N-` is answered with the rest of the file.
    package var honoursRange = true
    /// Bytes of the body after which the connection is closed, request by request; then whole bodies.
    package var cuts: [Int] = []
    /// Whether the connection stays open in silence after a cut.
    package var stalls = false
    /// Status of every answer, when not that of success.
    package var status: Int?
    /// Where requests are sent on to, one after the other, before the file is served; an empty text
    /// stands for this server. The last one goes on for ever with ``redirectsForever``.
    package var redirects: [String] = []
    /// Whether the last of ``redirects`` is never used up.
    package var redirectsForever = false

    /// Serves `contents` as a server should.
    package init(_ contents: [UInt8]) { self.contents = contents }
  }

  /// The port could not be opened.
  package struct Failure: Error {}

  private let socket: Int32
  private let port: UInt16
  private let state: Mutex<(behaviour: Behaviour, starts: [Int])>

  /// Where the file is.
  package var address: String { "http://127.0.0.1:\(port)/weights" }
  /// First byte asked for, request by request.
  package var starts: [Int] { state.withLock { $0.starts } }

  /// Changes what is served from now on.
  package func change(_ body: (inout Behaviour) -> Void) { state.withLock { body(&$0.behaviour) } }

  /// Serves until the value goes away.
  package init(_ behaviour: Behaviour) throws {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = socket
    let status = withUnsafeMutablePointer(to: &place) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) | listen(listener, 8) | getsockname(listener, $0, &size)
      }
    }
    guard socket >= 0, status == 0 else { throw Failure() }
    port = UInt16(bigEndian: place.sin_port)
    state = Mutex((behaviour, []))
    Thread.detachNewThread { [weak self] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0, let server = self else { return }
        server.answer(client)
      }
    }
  }

  deinit {
    shutdown(socket, Int32(SHUT_RDWR))
    close(socket)
  }

  private func answer(_ client: Int32) {
    var request = ""
    var piece = [UInt8](repeating: 0, count: 4096)
    while !request.contains("\r\n\r\n") {
      let count = recv(client, &piece, piece.count, 0)
      guard count > 0 else { return _ = close(client) }
      request += String(decoding: piece[..<count], as: UTF8.self)
    }
    let (header, body, stalls) = response(to: request)
    for bytes in [Array(header.utf8), body] {
      var sent = 0
      while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes {
          send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { break }
        sent += count
      }
    }
    // A stalled connection is left open; it closes with the process.
    if !stalls { close(client) }
  }

  private func response(to request: String) -> (header: String, body: [UInt8], stalls: Bool) {
    let range = request.split(separator: "\r\n").first { $0.lowercased().hasPrefix("range:") }
    let asked = range.flatMap { Int($0.split(separator: "=").last?.dropLast() ?? "") } ?? 0
    return state.withLock { state in
      if let target = state.behaviour.redirects.first {
        if state.behaviour.redirects.count > 1 || !state.behaviour.redirectsForever {
          state.behaviour.redirects.removeFirst()
        }
        let header =
          "HTTP/1.1 302 Found\r\nLocation: \(target.isEmpty ? address : target)\r\n"
          + "Content-Length: 0\r\nConnection: close\r\n\r\n"
        return (header, [], false)
      }
      state.starts.append(asked)
      if let status = state.behaviour.status {
        return (
          "HTTP/1.1 \(status) No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", [], false
        )
      }
      let total = state.behaviour.contents.count
      let start = state.behaviour.honoursRange ? asked : 0
      guard start < total else {
        return (
          "HTTP/1.1 416 Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", [], false
        )
      }
      var body = Array(state.behaviour.contents[start...])
      let first = start > 0 ? "206 Partial Content" : "200 OK"
      let header =
        "HTTP/1.1 \(first)\r\nContent-Length: \(body.count)\r\nConnection: close\r\n"
        + (start > 0 ? "Content-Range: bytes \(start)-\(total - 1)/\(total)\r\n" : "") + "\r\n"
      let isCut = !state.behaviour.cuts.isEmpty
      if isCut { body = Array(body.prefix(state.behaviour.cuts.removeFirst())) }
      return (header, body, isCut && state.behaviour.stalls)
    }
  }
}
