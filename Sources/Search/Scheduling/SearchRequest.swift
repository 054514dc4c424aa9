// SPDX-License-Identifier: Apache-2.0

/// A measurement that is asked for, with all that it depends on: any rank can make it.
package struct SearchRequest: Sendable, Equatable, Codable {
  /// What is tried: the parameters that matter.
  package let parameters: [String: SearchValue]
  /// How thoroughly, from 0.
  package let rung: Int
  /// What the rungs below measured; nothing for a repetition.
  package let earlier: [SearchMeasurement]
  /// 0 for the trial itself; other numbers are other seeds, and the last rung.
  package let repetition: Int

  /// A measurement.
  package init(
    _ parameters: [String: SearchValue], rung: Int, earlier: [SearchMeasurement] = [],
    repetition: Int = 0
  ) {
    self.parameters = parameters
    self.rung = rung
    self.earlier = earlier
    self.repetition = repetition
  }
}
