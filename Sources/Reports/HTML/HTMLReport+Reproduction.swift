// SPDX-License-Identifier: Apache-2.0

/// How to get the same numbers again.
extension HTMLReport {
  var reproductionPart: Part? {
    guard let reproduction = content.reproduction else { return nil }
    return Part(
      id: "reproduce", title: "Get the same numbers again",
      body: paragraph(
        "The same photos, weights and kind of machine give the same model to the last bit:")
        + command(reproduction.command) + paragraph(reproduction.caveat)
        + facts(reproduction.facts))
  }
}
