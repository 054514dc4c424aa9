// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports
import ThawTraining

@Suite struct HTMLReportTests {
  private static let hostile =
    "</title></style><script>alert(1)</script><img src=x onerror=\"alert('1')\">\u{202E}\n"
    + String(repeating: "n", count: 180)

  private static let matrix = ConfusionMatrix(
    classNames: [hostile, "bee"], counts: [[20, 3], [1, 30]])

  /// A report with every section, each text hostile.
  private static func full() -> ReportContent {
    let h = hostile
    var content = ReportContent(title: h, subtitle: h)
    content.headline = .init(correct: 50, count: 54, what: h, verdict: h)
    content.warnings = [h]
    content.data = .init(
      root: h, splits: [h, "test"], classes: [.init(h, [20, 5]), .init("bee", [30, 7])],
      badFiles: [.init(path: h, reason: h)],
      duplicates: [.init(paths: [h, h], isLeak: true, note: h)])
    content.model = .init(
      name: h, parameters: 4_652_008, trainableParameters: 2562, licence: h, source: h,
      preprocessing: h, details: [(h, h)])
    content.freezePlan = .init(
      rows: [
        .init(group: h, parameters: 100, isTrainable: false, batchNorm: h),
        .init(group: "head", parameters: 2562, isTrainable: true, learningRate: 3e-3),
      ], note: h)
    content.augmentation = .init(isActive: false, statement: h, operations: [(h, h)])
    content.training = .init(
      trainLoss: [2, 1, .nan, 0.5], validLoss: [2, 1.2, 0.9, 0.8], trainAccuracy: [],
      validAccuracy: [0.5, 0.7, 0.8, 0.9], bestEpoch: 4, marks: [(2, h), (3, nil)], note: h)
    content.learningRate = .init(groups: [(h, [0.1, 0.01])], restarts: [1], schedule: h)
    content.learningRateFinder = .init(
      rates: [1e-4, 1e-3, 1e-2], losses: [2, 1, 50], smoothedLosses: [2, 1.4, 30],
      suggestions: [(h, 1e-3)], chosen: 1e-3)
    content.evaluation = .init(
      split: h, variants: [.init(name: h, count: 54, accuracy: 0.93, loss: 0.2, auc: .nan)],
      classes: matrix.classMetrics)
    content.confusion = matrix
    content.calibration = [.init(confidence: 0.9, accuracy: 0.8, count: 54)]
    content.mistakes = [
      .init(
        path: h, predicted: h, truth: h, probability: 0.99, truthProbability: 0.01,
        thumbnail: [0x89, 0x50, 0x4E, 0x47, 1]),
      .init(path: h, predicted: "bee", truth: h, probability: 0.7, thumbnail: Array(h.utf8)),
    ]
    content.diagnoses = [
      .init(
        title: h, status: .problem, verdict: h, recommendation: h,
        table: .init(columns: [h, "b"], rows: [[h, "1"]], numericColumns: [1]))
    ]
    content.reproduction = .init(command: h, facts: [(h, h)])
    return content
  }

  private static let ids = [
    "evaluation", "confusion", "mistakes", "calibration", "diagnosis", "data", "augmentation",
    "model", "freeze-plan", "training", "learning-rate", "finder", "reproduce",
  ]

  @Test func everySectionGivenIsWrittenAndWellFormed() {
    let html = HTMLReport(Self.full()).html
    for id in Self.ids {
      #expect(html.contains("<section id=\"\(id)\""))
      #expect(html.contains("href=\"#\(id)\""))
    }
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("92.6\u{A0}%") && html.contains("Augmentation was <strong>off"))
    #expect(html.contains("4\u{202F}652\u{202F}008"))
  }

  @Test func sectionsNotGivenAreLeftOut() {
    let html = HTMLReport(ReportContent(title: "run")).html
    #expect(!html.contains("<section") && !html.contains("<nav") && !html.contains("headline\""))
    #expect(TagBalance.firstProblem(in: html) == nil)
    var content = ReportContent(title: "run")
    content.augmentation = .init(isActive: true, statement: "flips")
    let one = HTMLReport(content).html
    #expect(one.contains("Augmentation was on"))
    #expect(Self.ids.filter { one.contains("<section id=\"\($0)\"") } == ["augmentation"])
  }

  @Test func hostileNamesAreOnlyText() {
    let html = HTMLReport(Self.full()).html
    #expect(!html.contains("<script") && !html.contains("<img src=x"))
    #expect(!html.contains("\u{202E}"))
    #expect(html.contains("&lt;script&gt;alert(1)"))
    let tags = TagBalance.tags(in: html)
    #expect(!tags.contains { $0.contains("onerror=\"") || $0.contains("onerror='") })
    #expect(tags.count { $0.hasPrefix("img ") } == 1)
    #expect(html.components("</title>") == 1 + tags.count { $0 == "title" })
  }

  @Test func thePageLoadsNothing() {
    let html = HTMLReport(Self.full()).html
    #expect(
      html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""))
    for word in ["http:", "https:", "url(", "@import", "<link", "<iframe"] {
      #expect(!html.contains(word), "\(word)")
    }
    #expect(html.contains("src=\"data:image/png;base64,iVBORwE=\""))
    #expect(html.contains("no preview"))
  }

  @Test func theSameContentGivesTheSameBytes() {
    #expect(HTMLReport(Self.full()).html == HTMLReport(Self.full()).html)
  }

  @Test(arguments: [1, 2, 7, 31, 200])
  func anyNumberOfClassesGivesAWellFormedPage(count: Int) {
    let names = (0..<count).map { "class \($0)" }
    let matrix = ConfusionMatrix(
      classNames: names,
      counts: (0..<count).map { i in (0..<count).map { $0 == i ? 9 : $0 == i / 2 ? 1 : 0 } })
    var content = ReportContent(title: "many")
    content.confusion = matrix
    content.evaluation = .init(
      split: "test", variants: [.init(name: "one view", count: 10 * count, accuracy: 0.9)],
      classes: matrix.classMetrics)
    content.data = .init(splits: ["train"], classes: names.map { .init($0, [10]) })
    let html = HTMLReport(content).html
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("All \(count) classes as a table") == (count > 30))
    #expect(html.contains(">class \(count - 1)<"))
  }

  @Test func emptyAndOddValuesDoNotBreakThePage() {
    var content = ReportContent(title: "")
    content.headline = .init(correct: 0, count: 0, what: "photos", verdict: "")
    content.data = .init(splits: [], classes: [])
    content.training = .init()
    content.learningRate = .init(groups: [("head", [])])
    content.learningRateFinder = .init(rates: [], losses: [])
    content.evaluation = .init(split: "test", variants: [])
    content.confusion = ConfusionMatrix(classNames: ["only"], counts: [[0]])
    let html = HTMLReport(content).html
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("n/a") && !html.contains("nan"))
  }
}

/// Checks that tags nest, attributes are quoted and bare brackets do not occur.
enum TagBalance {
  private static let void: Set<String> = ["meta", "img", "br"]

  /// The inside of every tag, in order; style sheets are skipped.
  static func tags(in html: String) -> [String] {
    var tags: [String] = []
    var (current, quote): (String?, Bool) = (nil, false)
    for character in html {
      if let open = current {
        if character == "\"" { quote.toggle() }
        if character == ">" && !quote {
          tags.append(open)
          current = nil
        } else {
          current = open + String(character)
        }
      } else if character == "<" {
        current = ""
      }
    }
    if let current { tags.append("unfinished \(current.prefix(60))") }
    return tags
  }

  /// The first tag that does not fit, or nil when all do.
  static func firstProblem(in html: String) -> String? {
    var open: [String] = []
    for tag in tags(in: html) where !tag.hasPrefix("!") {
      let name = String(tag.drop { $0 == "/" }.prefix { !$0.isWhitespace && $0 != "/" })
      if tag.contains("<") { return "'<' inside <\(tag.prefix(60))>" }
      if tag.hasPrefix("/") {
        guard open.popLast() == name else { return "</\(name)> closes nothing" }
      } else if !tag.hasSuffix("/") && !void.contains(name) {
        open.append(name)
      }
    }
    return open.last.map { "<\($0)> is never closed" }
  }
}

extension String {
  /// How often `part` occurs, plus one.
  fileprivate func components(_ part: String) -> Int {
    split(separator: part, omittingEmptySubsequences: false).count
  }
}
