// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports
import ThawTraining

@Suite struct HTMLReportTests {
  private static let ids = [
    "evaluation", "confusion", "mistakes", "batchnorm", "diagnosis", "suspects", "data",
    "augmentation", "model", "freeze-plan", "training", "learning-rate", "finder", "reproduce",
  ]

  @Test func everySectionGivenIsWrittenAndWellFormed() throws {
    let html = HTMLReport(try SampleReport.full()).html
    for id in Self.ids {
      #expect(html.contains("<section id=\"\(id)\""), "\(id)")
      #expect(html.contains("href=\"#\(id)\""), "\(id)")
    }
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("92.6\u{A0}%") && html.contains("Augmentation was <strong>off"))
    #expect(html.contains("4\u{202F}652\u{202F}008"))
    #expect(html.contains("best: epoch 3") && html.contains("Stopped early"))
    #expect(html.contains("frozen up to here") && html.contains("(recommended)"))
    #expect(html.contains("across splits") && html.contains("and 2 more"))
    #expect(html.contains("the head&#39;s model: fine-tuning did not lower"))
    #expect(html.contains("Training used 0.01."))
    #expect(html.contains("(3 photos)") && html.contains("Batch normalisation: problem"))
  }

  @Test func sectionsNotGivenAreLeftOut() throws {
    let html = HTMLReport(ReportContent(title: "run")).html
    #expect(!html.contains("<section") && !html.contains("<nav") && !html.contains("headline\""))
    #expect(TagBalance.firstProblem(in: html) == nil)
    var content = ReportContent(title: "run")
    content.search = try SampleReport.full().search
    let one = HTMLReport(content).html
    #expect(Self.ids.filter { one.contains("<section id=\"\($0)\"") } == ["finder"])
    #expect(!one.contains("Training used"))
  }

  @Test func augmentationIsSaidNextToTheResult() throws {
    var content = try SampleReport.full()
    let network = try SampleReport.network()
    var recipe = network.recipe
    recipe.train.augmentation = .photo
    content.network = ReportedNetwork(
      card: network.card, preprocessing: network.preprocessing, graph: network.graph,
      freezing: network.freezing, recipe: recipe, record: network.record,
      schedule: network.schedule)
    let html = HTMLReport(content).html
    #expect(html.contains("Augmentation was <strong>on") && html.contains("Augmentation was on"))
    #expect(html.contains("seen in 4 augmented views"))
  }

  @Test func groupsThatLearnAlikeAreOneLine() throws {
    var content = try SampleReport.full()
    let network = try SampleReport.network()
    content.network = ReportedNetwork(
      card: network.card, preprocessing: network.preprocessing, graph: network.graph,
      freezing: .freezing(to: 0, of: network.graph), recipe: network.recipe,
      record: network.record,
      schedule: FreezeSchedule([
        FreezePhase(
          epochs: 4, plan: .freezing(to: 0, of: network.graph),
          rates: network.graph.groups.map { _ in 0.01 })
      ]))
    let html = HTMLReport(content).html
    #expect(html.contains("<title>All layer groups, Step"))
    #expect(!html.contains("<title>head, Step"))
    #expect(HTMLReport(try SampleReport.full()).html.contains("<title>head, Step"))
  }

  @Test func hostileNamesAreOnlyText() throws {
    let html = HTMLReport(try SampleReport.full()).html
    #expect(!html.contains("<script") && !html.contains("<img src=x"))
    #expect(!html.contains("\u{202E}"))
    #expect(html.contains("&lt;script&gt;alert(1)"))
    let tags = TagBalance.tags(in: html)
    #expect(!tags.contains { $0.contains("onerror=\"") || $0.contains("onerror='") })
    // The first mistake and the suspect are the same photo.
    #expect(tags.count { $0.hasPrefix("img ") } == 2)
    #expect(html.components("</title>") == 1 + tags.count { $0 == "title" })
  }

  @Test func thePageLoadsNothing() throws {
    let html = HTMLReport(try SampleReport.full()).html
    #expect(
      html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""))
    for word in ["http:", "https:", "url(", "@import", "<link", "<iframe"] {
      #expect(!html.contains(word), "\(word)")
    }
    #expect(html.contains("src=\"data:image/png;base64,iVBORwE=\""))
    #expect(html.contains("no preview"))
  }

  @Test func theSameContentGivesTheSameBytes() throws {
    #expect(HTMLReport(try SampleReport.full()).html == HTMLReport(try SampleReport.full()).html)
  }

  @Test(arguments: [1, 2, 7, 31, 200])
  func anyNumberOfClassesGivesAWellFormedPage(count: Int) throws {
    let names = (0..<count).map { "class \($0)" }
    let evaluation = try SampleReport.evaluation(
      names, (0..<count).map { i in (0..<count).map { $0 == i ? 9 : $0 == i / 2 ? 1 : 0 } })
    var content = ReportContent(title: "many")
    content.evaluation = evaluation
    content.looks = [.init(name: "one view", evaluation: evaluation)]
    content.manifest = try SampleReport.manifest(names)
    let html = HTMLReport(content).html
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("All \(count) classes as a table") == (count > 30))
    #expect(html.contains(">class \(count - 1)<"))
  }

  @Test func emptyAndOddValuesDoNotBreakThePage() throws {
    var content = ReportContent(title: "")
    content.manifest = try SampleReport.manifest([], records: false)
    content.network = try SampleReport.network()
    content.history = [
      EpochRecord(
        epoch: 0, trainLoss: .nan, trainAccuracy: 0, validLoss: nil, validAccuracy: nil,
        learningRates: [], seconds: 0)
    ]
    content.evaluation = try SampleReport.evaluation(["only"], [[1]])
    let html = HTMLReport(content).html
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(!html.contains("nan"))
  }

  /// The page, `metrics.json` and the mean over classes follow one definition.
  @Test func undefinedIsADashAndZeroIsZero() throws {
    // The hen is predicted once and never occurs, the owl neither: F1 is 0 for one and nothing for
    // the other, precision and recall likewise by their own denominators.
    let evaluation = try SampleReport.evaluation(
      ["cat", "hen", "owl"], [[4, 1, 0], [0, 0, 0], [0, 0, 0]])
    var content = ReportContent(title: "t")
    content.evaluation = evaluation
    let html = HTMLReport(content).html
    func row(_ name: String, _ cells: String...) -> String {
      "<tr><th scope=\"row\"><bdi>\(name)</bdi></th>"
        + cells.map { "<td class=\"n\">\($0)</td>" }.joined() + "</tr>"
    }
    #expect(html.contains(row("hen", "0", "–", "0.0\u{A0}%", "0.0\u{A0}%")))
    #expect(html.contains(row("owl", "0", "–", "–", "–")))
    #expect(evaluation.perClass.map(\.f1) == [8.0 / 9, 0, 0])
    #expect(abs(evaluation.macroF1 - 4.0 / 9) < 1e-12)
  }
}

extension String {
  /// How often `part` occurs, plus one.
  fileprivate func components(_ part: String) -> Int {
    split(separator: part, omittingEmptySubsequences: false).count
  }
}
