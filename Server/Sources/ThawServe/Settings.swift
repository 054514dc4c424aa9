// SPDX-License-Identifier: Apache-2.0

/// How the server works, from the command line.
struct Settings: Sendable {
  var models: [ModelShelf.Reference] = []
  var host = "127.0.0.1"
  /// 0 for one that is free.
  var port = 8080
  var token: String?
  /// Further names of this server.
  var allowedHosts: [String] = []
  /// Bytes of one body.
  var maximumBody = 32 << 20
  /// Of one photo.
  var maximumPixels = 89_478_485
  /// How long a photo waits for others.
  var latencyMilliseconds = 0.0
  /// Photos that a worker takes at once.
  var batch = 8
  /// Photos that may wait.
  var queue = 64
  /// Threads that compute.
  var threads = 1
  /// Seconds that a request may take to arrive, and again to be answered.
  var timeoutSeconds = 30
  /// A folder of photos that others are compared with.
  var similar: String?
  /// Connections at once.
  var connections = 2048
}
