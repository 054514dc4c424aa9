// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The report's colours, light and dark, as CSS custom properties.
///
/// Series colours differ in lightness as well as hue (after Okabe and Ito), so they can be told
/// apart with any colour vision and in grey print; lines differ in dashes too. Text reaches a
/// contrast of 4.5:1 with its background and lines 3:1 (WCAG 2.2, 1.4.3 and 1.4.11).
package enum ChartPalette {
  /// One custom property with its two values.
  package struct Entry: Sendable {
    package let name: String
    package let light: String
    package let dark: String
  }

  /// All of them; `s0`... are the series.
  package static let entries: [Entry] = [
    Entry(name: "bg", light: "#ffffff", dark: "#14171b"),
    Entry(name: "panel", light: "#f5f6f7", dark: "#1d2126"),
    Entry(name: "ink", light: "#1b1f23", dark: "#e8eaed"),
    Entry(name: "soft", light: "#565e67", dark: "#a3abb5"),
    Entry(name: "rule", light: "#d9dde1", dark: "#363c44"),
    Entry(name: "s0", light: "#0b62a3", dark: "#6cb6ff"),
    Entry(name: "s1", light: "#c2500a", dark: "#ffa566"),
    Entry(name: "s2", light: "#006b54", dark: "#45d1a8"),
    Entry(name: "s3", light: "#8d3c7c", dark: "#e6a0d6"),
    Entry(name: "s4", light: "#7a6200", dark: "#e3ca54"),
    Entry(name: "good", light: "#006b54", dark: "#45d1a8"),
    Entry(name: "warn", light: "#8a5a00", dark: "#f0bd4e"),
    Entry(name: "bad", light: "#b3261e", dark: "#ff9a90"),
    Entry(name: "right", light: "#0b4f8a", dark: "#7cc0ff"),
    Entry(name: "wrong", light: "#a83a00", dark: "#ffa566"),
  ]

  /// Series colours before they repeat (with other dashes).
  package static let seriesCount = 5

  /// The style sheet that declares the properties.
  package static var css: String {
    func block(_ value: (Entry) -> String) -> String {
      entries.map { "--\($0.name):\(value($0))" }.joined(separator: ";")
    }
    return """
      :root{color-scheme:light dark;\(block(\.light))}
      @media (prefers-color-scheme:dark){:root{\(block(\.dark))}}
      @media print{:root{color-scheme:light;\(block(\.light))}}
      """
  }

  /// The value of a property.
  package static func color(_ name: String, dark: Bool) -> String {
    entries.first { $0.name == name }.map { dark ? $0.dark : $0.light } ?? "#808080"
  }

  /// Ratio of the lighter to the darker of two `#rrggbb` colours, 1 to 21.
  ///
  /// - Source: WCAG 2.2, "relative luminance" and "contrast ratio".
  package static func contrast(_ first: String, _ second: String) -> Double {
    ratio(luminance(channels(first)), luminance(channels(second)))
  }

  /// Whether black text reads better than white on `color` laid over the background with `opacity`.
  package static func prefersBlackText(on color: String, opacity: Double, dark: Bool) -> Bool {
    let top = channels(self.color(color, dark: dark))
    let under = channels(self.color("bg", dark: dark))
    let mixed = zip(top, under).map { $0 * opacity + $1 * (1 - opacity) }
    let light = luminance(mixed)
    return ratio(light, 0) >= ratio(1, light)
  }

  private static func ratio(_ first: Double, _ second: Double) -> Double {
    (max(first, second) + 0.05) / (min(first, second) + 0.05)
  }

  /// The three channels, 0 to 1.
  private static func channels(_ hex: String) -> [Double] {
    let value = Int(hex.dropFirst(), radix: 16) ?? 0
    return [value >> 16 & 255, value >> 8 & 255, value & 255].map { Double($0) / 255 }
  }

  private static func luminance(_ channels: [Double]) -> Double {
    let linear = channels.map { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
}
