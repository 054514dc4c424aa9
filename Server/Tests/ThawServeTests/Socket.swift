// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A connection to the server under test, byte by byte: what no HTTP client would send can be sent.
final class Socket {
  struct Failure: Error { let text: String }

  private let descriptor: Int32
  private var isOpen = true

  /// Connects to this machine.
  init(port: Int, timeoutSeconds: Int = 20) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(text: "no socket: \(errno)") }
    var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Failure(text: "no connection: \(errno)") }
  }

  deinit { close() }

  func close() {
    if isOpen { Glibc.close(descriptor) }
    isOpen = false
  }

  /// Ends sending; what comes can still be read.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Sends all; false when the other side takes no more.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var start = 0
    while start < bytes.count {
      let count = bytes[start...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      start += count
    }
    return true
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// Some bytes; nil at the end.
  func receive() throws -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    if count < 0, errno == EAGAIN { throw Failure(text: "nothing came for too long") }
    return count > 0 ? Array(buffer[..<count]) : nil
  }

  /// All until the other side closes.
  func receiveAll() throws -> [UInt8] {
    var all: [UInt8] = []
    while let bytes = try receive() { all += bytes }
    return all
  }
}

/// An answer of the server.
struct Answer {
  let status: Int
  /// By names in lower case.
  let headers: [String: String]
  let body: [UInt8]

  var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as JSON.
  func json() throws -> [String: Any] {
    guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
      throw Socket.Failure(text: "no JSON object: \(text.prefix(200))")
    }
    return object
  }

  /// Reads one answer, with the length that its head says; of HEAD the head alone.
  init(from socket: Socket, isHead: Bool = false) throws {
    var bytes: [UInt8] = []
    while true {
      if let end = Self.endOfHead(bytes) {
        let head = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        let words = head[0].split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else {
          throw Socket.Failure(text: "no status: \(head[0])")
        }
        if status == 100 {
          bytes.removeFirst(end + 4)
          continue
        }
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
          let name = line.prefix { $0 != ":" }
          headers[name.lowercased()] = line.dropFirst(name.count + 1)
            .trimmingCharacters(in: .whitespaces)
        }
        let length = isHead ? 0 : Int(headers["content-length"] ?? "0") ?? 0
        var body = Array(bytes[(end + 4)...])
        while body.count < length, let more = try socket.receive() { body += more }
        (self.status, self.headers, self.body) = (status, headers, body)
        return
      }
      guard let more = try socket.receive() else {
        throw Socket.Failure(
          text: "the connection ended: \(String(decoding: bytes, as: UTF8.self))")
      }
      bytes += more
    }
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    return (0...(bytes.count - 4)).first { bytes[$0..<($0 + 4)].elementsEqual([13, 10, 13, 10]) }
  }
}
