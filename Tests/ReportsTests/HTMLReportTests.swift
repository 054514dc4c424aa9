// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawRecipes
import ThawReports
import ThawTraining

@Suite struct HTMLReportTests {
  private static let ids = [
    "evaluation", "photos", "map", "shortcuts", "confusion", "suspects", "diagnosis", "batchnorm",
    "use",
    "data",
    "augmentation", "training", "details",
  ]
  private static let parts = ["model", "freeze-plan", "learning-rate", "finder", "reproduce"]

  @Test func everySectionGivenIsWrittenAndWellFormed() throws {
    let html = HTMLReport(try SampleReport.full()).html
    for id in Self.ids {
      #expect(html.contains("<section id=\"\(id)\""), "\(id)")
      #expect(html.contains("href=\"#\(id)\""), "\(id)")
    }
    for id in Self.parts { #expect(html.contains("<details id=\"\(id)\""), "\(id)") }
    #expect(TagBalance.firstProblem(in: html) == nil)
    #expect(html.contains("92.6\u{A0}%") && html.contains("Augmentation was <strong>off"))
    #expect(html.contains("4\u{202F}652\u{202F}008"))
    #expect(html.contains("best: epoch 3") && html.contains("Stopped early"))
    #expect(html.contains("frozen up to here") && html.contains("(recommended)"))
    #expect(html.contains("across splits") && html.contains("and 2 more"))
    #expect(html.contains("the head&#39;s model: fine-tuning did not lower"))
    #expect(html.contains("Training used 0.01."))
    #expect(html.contains("Batch normalisation: problem"))
    #expect(html.contains("Shortcuts: problem") && html.contains("lower edge, 50"))
    #expect(
      html.contains("<time datetime=\"2026-11-25T22:19:04Z\">25 November 2026, 22:19 UTC</time>"))
  }

  @Test func idsAreUniqueAndLinksLeadSomewhere() throws {
    let tags = TagBalance.tags(in: HTMLReport(try SampleReport.full()).html)
    func values(_ attribute: String) -> [Substring] {
      tags.compactMap {
        $0.firstRange(of: " \(attribute)=\"").map { range in range.upperBound } == nil
          ? nil : $0.split(separator: " \(attribute)=\"", maxSplits: 1)[1].prefix { $0 != "\"" }
      }
    }
    let ids = values("id")
    #expect(Set(ids).count == ids.count && ids.count > 15)
    let targets = (values("href").map { $0.dropFirst() } + values("aria-labelledby"))
    #expect(targets.count > 15 && Set(targets).isSubset(of: Set(ids)))
  }

  /// One stop of the tab key, each photo by name, and a picture of its own from the sheet.
  @Test func theMapNamesEveryPhoto() throws {
    let html = HTMLReport(try SampleReport.full()).html
    let tags = TagBalance.tags(in: html)
    let buttons = tags.filter { $0.hasPrefix("input type=\"radio\"") }
    #expect(buttons.count == 3 && buttons.allSatisfy { $0.contains("name=\"map\"") })
    #expect(buttons.allSatisfy { $0.contains("aria-label=") && $0.contains(", train\"") })
    #expect(html.contains("role=\"radiogroup\"") && html.contains("3 of 1000 photos"))
    for offset in ["-0px -0px", "-128px -0px", "-0px -128px"] {
      #expect(html.contains("background-position:\(offset)"), "\(offset)")
    }
    #expect(html.contains("left:2.00%;top:98.00%") && html.contains("left:98.00%;top:2.00%"))
    // The photo that the tab key comes to is shown, and the pointer hides that of another alone.
    #expect(html.contains(".map input:focus-visible+.shot{display:block}"))
    #expect(html.contains(".map:hover label:not(:hover) input+.shot{display:none}"))
  }

  @Test func headingsNestWithoutGaps() throws {
    let levels = TagBalance.tags(in: HTMLReport(try SampleReport.full()).html).compactMap { tag in
      tag.first == "h" ? tag.dropFirst().first?.wholeNumberValue : nil
    }
    #expect(levels.first == 1 && levels.count { $0 == 1 } == 1)
    #expect(zip(levels, levels.dropFirst()).allSatisfy { $1 <= $0 + 1 }, "\(levels)")
  }

  @Test func captionsAreSentencesAndPicturesHaveWords() throws {
    var content = ReportContent(title: "t")
    content.mistakes = [
      .init(path: "insects/7.jpg", predicted: "fruit", truth: "insects", probability: 0.78)
    ]
    content.unsure = [
      .init(
        path: "insects/8.jpg", predicted: "insects", truth: "insects", probability: 0.51,
        second: ("fruit", 0.49))
    ]
    content.thumbnails = ["insects/7.jpg": SampleReport.picture]
    // Of a right answer none is shown.
    content.evidence = [
      "insects/7.jpg": SampleReport.picture, "insects/8.jpg": SampleReport.picture,
    ]
    let html = HTMLReport(content).html
    func text(_ html: String) -> String {
      var (result, isTag) = ("", false)
      for character in html {
        if character == "<" { isTag = true }
        if !isTag { result.append(character) }
        if character == ">" { isTag = false }
      }
      return result
    }
    #expect(text(html).contains("Predicted fruit (78\u{A0}%), labelled insects"))
    #expect(
      text(html).contains(
        "Predicted insects (51\u{A0}%), labelled insects; next was fruit (49\u{A0}%)"))
    #expect(html.contains("<img alt=\"Photo labelled insects: 7.jpg\""))
    #expect(html.contains("bright where something spoke for the wrong answer"))
    #expect(
      html.components(separatedBy: "<img alt=\"Bright where something speaks for ").count == 2)
    #expect(html.contains("speaks for fruit\" src=\"data:image/"))
    let full = TagBalance.tags(in: HTMLReport(try SampleReport.full()).html)
    let images = full.filter { $0.hasPrefix("img ") }
    #expect(images.count == 4 && images.allSatisfy { !$0.contains("alt=\"\"") })
  }

  @Test func sectionsNotGivenAreLeftOut() throws {
    let html = HTMLReport(ReportContent(title: "run")).html
    #expect(!html.contains("<section") && !html.contains("<nav") && !html.contains("headline\""))
    #expect(!html.contains("<time") && TagBalance.firstProblem(in: html) == nil)
    var content = ReportContent(title: "run")
    content.search = try SampleReport.full().search
    let one = HTMLReport(content).html
    #expect(Self.ids.filter { one.contains("<section id=\"\($0)\"") } == ["details"])
    #expect(Self.parts.filter { one.contains("<details id=\"\($0)\"") } == ["finder"])
    #expect(!one.contains("Training used"))
  }

  @Test func whatAScanPassesOverIsNoDoubt() throws {
    var content = ReportContent(title: "t")
    func note(_ kind: String, _ path: String) -> [String: Any] {
      ["kind": kind, "count": 1, "examples": [path]]
    }
    content.manifest = try SampleReport.manifest(
      ["a"], notes: [note("ignored", "a/Thumbs.db"), note("unsupportedFormat", "a/x.gif")])
    let html = HTMLReport(content).html
    let doubts = try #require(html.split(separator: "Before you trust this").last)
      .prefix { $0 != "\u{0}" }.split(separator: "</ul>")[0]
    #expect(doubts.contains("a/x.gif") && !doubts.contains("Thumbs.db"))
    #expect(html.contains("a/Thumbs.db"), "it is still said")
  }

  @Test(
    arguments: [
      // Head alone, nothing varied; head with varied views; fine-tuned; fine-tuned and set aside.
      (nil, Recipe.Train.Views?.none, false, "off", "one view of each photo"),
      (nil, .cached(1), false, "on", "in 1 varied view;"),
      (1.0, nil, true, "on", "varied anew in every epoch"),
      (0.0, nil, true, "off", "Fine-tuning varied the photos, but its weights were set aside"),
    ] as [(Double?, Recipe.Train.Views?, Bool, String, String)])
  func augmentationIsSaidNextToTheResult(
    interpolation: Double?, views: Recipe.Train.Views?, isTuned: Bool, state: String, text: String
  ) throws {
    var content = try SampleReport.full()
    content.network = try SampleReport.network(interpolation: interpolation) {
      if let views { ($0.train.augmentation, $0.train.views) = (.photo, views) }
    }
    let html = HTMLReport(content).html
    #expect(html.contains("Augmentation was <strong>\(state)"))
    #expect(html.contains("Augmentation was \(state)</p>"))
    #expect(html.contains(text))
    #expect(html.contains("<figure class=\"augmented\">") == (state == "on"))
    // Whatever is frozen, nothing is said to be that is not.
    #expect(!html.contains("through the frozen layers"))
  }

  @Test func nothingIsFrozenUpToTheInput() throws {
    var content = try SampleReport.full()
    content.network = try SampleReport.network(interpolation: 1, trainsAll: true)
    let html = HTMLReport(content).html
    #expect(html.contains("began at the first layer") && !html.contains("&#39;input&#39;"))
    content.network = try SampleReport.network(interpolation: nil)
    #expect(HTMLReport(content).html.contains("Everything up to &#39;flatten&#39; is frozen"))
  }

  @Test func fineTuningIsComparedOnTheSamePhotos() throws {
    var content = try SampleReport.full()
    content.network = try SampleReport.network(interpolation: 1)
    let html = HTMLReport(content).html
    #expect(html.contains("<td class=\"n\">44 of 54</td><td class=\"n\">81.5\u{A0}%</td>"))
    #expect(html.contains("<td class=\"n\">50 of 54</td><td class=\"n\">92.6\u{A0}%</td>"))
    #expect(html.contains("put 7 photos right and got 1 photo wrong"))
    #expect(html.contains("may well be chance"))
    content.network = try SampleReport.network(interpolation: 0.5)
    #expect(
      HTMLReport(content).html.contains("between the head&#39;s and these, 50\u{A0}% of the way"))
    content.network = try SampleReport.network(interpolation: 1)
    content.comparison?.gained = 12
    #expect(HTMLReport(content).html.contains("more than chance does"))
    content.network = try SampleReport.network(interpolation: 0)
    #expect(HTMLReport(content).html.contains("its weights were set aside and the head"))
  }

  @Test func theModelsPathIsQuotedForShellAndSwift() throws {
    var content = ReportContent(title: "t")
    content.usage = .init(model: Array("my \"runs\"/it's/model.safetensors".utf8))
    let html = HTMLReport(content).html
      .replacing("<span class=\"word\">", with: "").replacing("</span>", with: "")
    let quoted = "&#39;my &quot;runs&quot;/it&#39;\\&#39;&#39;s/model.safetensors&#39;"
    #expect(html.contains("thaw predict --model \(quoted) photo.jpg"))
    #expect(html.contains("thaw export --model \(quoted) --to onnx --output model.onnx"))
    #expect(
      html.contains(
        "contentsOf: &quot;my \\&quot;runs\\&quot;/it&#39;s/model.safetensors&quot;)"))
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
    // The first mistake, the sure photo and the suspect are the same; a mistake has a map as well.
    #expect(tags.count { $0.hasPrefix("img ") } == 4)
    #expect(html.components("</title>") == 1 + tags.count { $0 == "title" })
  }

  @Test func thePageLoadsNothing() throws {
    let html = HTMLReport(try SampleReport.full()).html
    #expect(
      html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""))
    for word in ["http:", "https:", "@import", "<link", "<iframe"] {
      #expect(!html.contains(word), "\(word)")
    }
    #expect(html.components(separatedBy: "url(").dropFirst().allSatisfy { $0.hasPrefix("'data:") })
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
