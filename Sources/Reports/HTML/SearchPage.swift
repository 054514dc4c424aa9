// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// The result of a search as one self-contained HTML page: what won, each parameter against the metric, all of
/// them side by side, and accuracy against latency.
package struct SearchPage: Sendable {
  /// One parameter.
  package struct Axis: Sendable {
    /// A key of recipes.
    package let name: String
    /// Whether equal factors are equal steps.
    package let isLogarithmic: Bool
    /// The words of a choice; a value is then one's index. Empty for numbers.
    package let words: [String]
    /// How much of the differences it explains, 0...1.
    package let importance: Double?

    /// An axis.
    package init(name: String, isLogarithmic: Bool, words: [String], importance: Double?) {
      self.name = name
      self.isLogarithmic = isLogarithmic
      self.words = words
      self.importance = importance
    }
  }

  /// One trial that was measured.
  package struct Trial: Sendable {
    /// Its number.
    package let id: Int
    /// How good it was.
    package let metric: Double
    /// Milliseconds a photo; nil when that is not known.
    package let latency: Double?
    /// Whether it won.
    package let isBest: Bool
    /// Whether it is the recipe as it was.
    package let isStart: Bool
    /// One an axis; nil where the parameter did not matter.
    package let values: [Double?]

    /// A trial.
    package init(
      id: Int, metric: Double, latency: Double?, isBest: Bool, isStart: Bool, values: [Double?]
    ) {
      self.id = id
      self.metric = metric
      self.latency = latency
      self.isBest = isBest
      self.isStart = isStart
      self.values = values
    }
  }

  /// All that is shown.
  package struct Content: Sendable {
    package let title: String
    package let metric: String
    package let isSmallBest: Bool
    package let axes: [Axis]
    package let trials: [Trial]
    package let sentences: [String]
    package let settings: [(name: String, value: String)]

    /// - Parameters:
    ///   - sentences: what was found, the most important first.
    ///   - settings: the winner's.
    package init(
      title: String, metric: String, isSmallBest: Bool, axes: [Axis], trials: [Trial],
      sentences: [String], settings: [(name: String, value: String)]
    ) {
      self.title = title
      self.metric = metric
      self.isSmallBest = isSmallBest
      self.axes = axes
      self.trials = trials
      self.sentences = sentences
      self.settings = settings
    }
  }

  package let content: Content
  private let elements: HTMLReport

  /// A page.
  package init(_ content: Content) {
    self.content = content
    elements = HTMLReport(ReportContent(title: "Search"))
  }

  /// The whole file, UTF-8.
  package var html: String {
    let lead = content.sentences.first ?? ""
    let rest = content.sentences.dropFirst().map { "<p>\($0)</p>" as Markup }
    return HTMLReport.document(
      "Search: \(content.title)",
      """
      <header><h1>Search: \(content.title)</h1></header>
      <main id="main" tabindex="-1">
      <section id="found" aria-labelledby="found-title"><h2 id="found-title">What was found</h2>
      <p>\(lead)</p>\(Markup.joined(rest))\(settings)</section>
      \(together)\(each)\(front)</main>
      """
    ).text
  }

  private var settings: Markup {
    elements.table(
      [HTMLReport.Column("Setting"), HTMLReport.Column("Value")],
      content.settings.map { ["<code>\($0.name)</code>", "\($0.value)"] },
      caption: "The winner's settings", stacks: false)
  }

  private var together: Markup {
    guard content.trials.count > 1, !content.axes.isEmpty else { return "" }
    return """
      <section id="together" aria-labelledby="together-title">
      <h2 id="together-title">All settings side by side</h2>
      <p>A line is a trial, from setting to setting; the better, the stronger. It passes over a \
      setting that had no effect. The winner is thick.</p>
      <div class="scroll">\(parallelCoordinates)</div></section>

      """
  }

  private var each: Markup {
    guard !content.trials.isEmpty else { return "" }
    let charts = content.axes.indices.map { index -> Markup in
      let axis = content.axes[index]
      let share = axis.importance.map { ", explains \(Format.percent($0)) of the differences" }
      return """
        <h3><code>\(axis.name)</code>\(share ?? "")</h3>
        <div class="scroll">\(scatter(of: axis, index))</div>

        """
    }
    return """
      <section id="each" aria-labelledby="each-title"><h2 id="each-title">Each setting</h2>
      \(Markup.joined(charts))</section>

      """
  }

  private var front: Markup {
    let measured = content.trials.filter { $0.latency != nil }
    guard Set(measured.compactMap(\.latency)).count > 1 else { return "" }
    return """
      <section id="front" aria-labelledby="front-title">
      <h2 id="front-title">What it costs</h2>
      <p>Nothing that was tried is both faster and better than the trials on the line.</p>
      <div class="scroll">\(paretoFront(measured))</div></section>

      """
  }
}
