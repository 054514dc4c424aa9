// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports
import ThawTraining

@Suite struct ConfusionMatrixChartTests {
  /// `count` classes of which i and i + count/2 are confused.
  private static func paired(_ count: Int) -> [[Double]] {
    (0..<count).map { i in
      (0..<count).map { j in i == j ? 80 : j == (i + count / 2) % count ? 15 : 0 }
    }
  }

  @Test(arguments: [4, 10, 60, 200])
  func confusableClassesBecomeNeighbours(count: Int) {
    let order = Seriation.order(Self.paired(count))
    #expect(order.sorted() == Array(0..<count))
    var place = [Int](repeating: 0, count: count)
    for (index, item) in order.enumerated() { place[item] = index }
    for item in 0..<count / 2 { #expect(abs(place[item] - place[item + count / 2]) == 1) }
  }

  @Test func aShuffledChainIsFoundAgain() {
    let chain = [3, 0, 5, 1, 6, 2, 4]
    var confusion = (0..<7).map { i in (0..<7).map { i == $0 ? 50.0 : 0 } }
    for (a, b) in zip(chain, chain.dropFirst()) { (confusion[a][b], confusion[b][a]) = (6, 3) }
    let order = Seriation.order(confusion)
    #expect(order == chain || order == chain.reversed())
    #expect(order == Seriation.order(confusion))
  }

  @Test func theOrderIsKeptWhereNothingIsConfused() {
    for count in [1, 2, 3, 9] {
      let identity = (0..<count).map { i in (0..<count).map { i == $0 ? 5.0 : 0 } }
      #expect(Seriation.order(identity) == Array(0..<count))
    }
    #expect(Seriation.order([[0, 0], [0, 0]]) == [0, 1])
  }

  @Test func theOrderIsNeverWorseThanTheGivenOne() {
    var seed: UInt64 = 7
    for count in [3, 8, 25] {
      let confusion = (0..<count).map { _ in
        (0..<count).map { _ -> Double in
          seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return Double(seed >> 60)
        }
      }
      let similarity = Seriation.similarities(confusion)
      let order = Seriation.order(confusion)
      #expect(order.sorted() == Array(0..<count))
      let given = Seriation.score(Array(0..<count), similarity)
      #expect(Seriation.score(order, similarity) >= given)
    }
  }

  private static let small = ConfusionMatrix(
    classNames: ["cat", "dog", "owl"], counts: [[8, 2, 0], [1, 9, 0], [0, 0, 0]])

  @Test func cellsCarryNumbersUpToThirtyClasses() {
    for count in [2, 30, 31, 200] {
      let matrix = ConfusionMatrix(
        classNames: (0..<count).map { "class \($0)" },
        counts: Self.paired(count).map { $0.map { Int($0) } })
      let svg = ConfusionMatrixChart(matrix).svg.text
      #expect(svg.contains("class=\"cell") == (count <= 30))
      #expect(svg.contains("class 0 as class \(count / 2): 15 (15.8\u{A0}% of the class)"))
    }
  }

  @Test func shadesGrowWithTheShare() {
    #expect(ConfusionMatrixChart.opacity(count: 0, of: 9) == 0)
    #expect(ConfusionMatrixChart.opacity(count: 1, of: 1000) > 0.1)
    #expect(ConfusionMatrixChart.opacity(count: 9, of: 9) == 1)
    #expect(ConfusionMatrixChart.opacity(count: 0, of: 0) == 0)
  }

  @Test func textShowsTheMatrixOrTheWorstPairs() {
    let text = Self.small.text(width: 60)
    #expect(text.contains("1 cat") && text.contains("8  2"))
    #expect(Self.small.metricsText().contains("80.0 %"))
    let wide = ConfusionMatrix(
      classNames: (0..<60).map { "class \($0)" },
      counts: Self.paired(60).map { $0.map { Int($0) } })
    #expect(wide.text(width: 80).contains("Taken for"))
    #expect(wide.text(width: 80).split(separator: "\n").allSatisfy { $0.count <= 80 })
  }
}
