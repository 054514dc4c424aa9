// SPDX-License-Identifier: Apache-2.0

import ThawReports

extension SearchResult {
  /// What the page of the search shows.
  func page(_ space: SearchSpace, title: String) -> SearchPage.Content {
    let axes = space.parameters.map { parameter in
      var words: [String] = []
      if case .choice(let known) = parameter.domain { words = known }
      return SearchPage.Axis(
        name: parameter.name, isLogarithmic: parameter.domain.isLogarithmic, words: words,
        importance: importance?[parameter.name])
    }
    let winner = best?.id
    let lines = trials.compactMap { trial -> SearchPage.Trial? in
      guard let value = trial.metric else { return nil }
      return SearchPage.Trial(
        id: trial.id, metric: value, latency: trial.limits[SearchLimit.latency.rawValue],
        isBest: trial.id == winner, isStart: trial.id == 0,
        values: axes.map { axis in
          switch trial.parameters[axis.name] {
          case nil: nil
          case .word(let word): axis.words.firstIndex(of: word).map(Double.init)
          case let value?: value.size
          }
        })
    }
    return SearchPage.Content(
      title: title, metric: metric.words, isSmallBest: metric.isSmallBest, axes: axes,
      trials: lines, sentences: [sentence] + remarks, settings: settings)
  }

  /// The winner's values, one a line.
  package var settings: [(name: String, value: String)] {
    (best?.parameters ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value.text) }
  }

  /// What was found, in a sentence.
  package var sentence: String {
    guard let best else { return "None of \(trials.count) trials could be measured." }
    let repeated = best.repeated.map {
      ", repeated with \($0.count) other seeds \(metric.text($0.mean)) (\(metric.text($0.lower)) to"
        + " \(metric.text($0.upper)))"
    }
    let test = best.test.flatMap { measurement in
      metric.value(of: measurement).map {
        "; on \(measurement.count) test photos \(metric.text($0))"
      }
    }
    return
      "Trial \(best.id) of \(trials.count) is best: \(metric.words) \(metric.text(best.metric))"
      + "\(repeated ?? "")\(test ?? "")."
  }
}
