// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import NIOCore

/// What hummingbird tells about a request's connection.
struct ServeContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Where it comes from.
  let client: String

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    client = source.channel.remoteAddress.map { $0.ipAddress ?? "\($0)" } ?? "unknown"
  }
}
