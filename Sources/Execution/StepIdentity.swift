// SPDX-License-Identifier: Apache-2.0

/// Which training pass of which run: the key of its dropout masks and of the mixing of its samples.
package struct StepIdentity: Hashable, Sendable {
  /// The run's seed.
  package var seed: UInt64
  /// Number of the optimizer step since the start of the run, 0-based, below 2^35.
  package var step: Int
  /// Number of the micro-batch within the step, 0-based, below 2^20.
  package var part: Int

  /// Names a pass.
  package init(seed: UInt64, step: Int, part: Int = 0) {
    self.seed = seed
    self.step = step
    self.part = part
  }
}

extension StepIdentity {
  /// Step and part in the 24 bits that a random stream has for its epoch: all of the first 2^20 steps
  /// with 16 parts.
  var epochBits: UInt32 {
    UInt32(truncatingIfNeeded: step) & 0xF_FFFF | (UInt32(truncatingIfNeeded: part) & 0xF) << 20
  }

  /// What ``epochBits`` has no room for, 31 bits: 0 for those first steps.
  var era: UInt32 {
    UInt32(truncatingIfNeeded: part >> 4) & 0xFFFF
      | (UInt32(truncatingIfNeeded: step >> 20) & 0x7FFF) << 16
  }
}
