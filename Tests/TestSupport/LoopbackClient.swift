// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Sends bytes to a port of this machine and reads what comes back: a browser that need not behave.
package enum LoopbackClient {
  /// The connection failed.
  package struct Failure: Error {}

  /// What came back until the other side closed; empty when it said nothing for `seconds`.
  package static func send(_ bytes: [UInt8], to port: Int, seconds: Int = 20) throws -> [UInt8] {
    let connection = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard connection >= 0 else { throw Failure() }
    defer { close(connection) }
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(
      connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_port = in_port_t(UInt16(port)).bigEndian
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Failure() }
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { break }
      sent += count
    }
    var (answer, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 65536))
    while true {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return answer }
      answer += buffer[..<count]
    }
  }
}
