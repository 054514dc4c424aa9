// SPDX-License-Identifier: Apache-2.0

import Logging
import ThawConsole

extension Console {
  /// Hands remarks to a logger: what happens as info, what deserves a look as warning.
  init(logger: Logger, progress: @escaping @Sendable (Event) -> Void = { _ in }) {
    self.init { event in
      switch event {
      case .note(let text): logger.info("\(text)")
      case .warning(let text): logger.warning("\(text)")
      case .progress: break
      }
      progress(event)
    }
  }
}
