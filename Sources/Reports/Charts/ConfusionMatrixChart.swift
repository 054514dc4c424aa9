// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles
package import ThawTraining

/// A confusion matrix as a heat map: counts in cells, shades as shares of the true class.
///
/// The diagonal and the mistakes have different hues, so that a rare mistake is still seen. Cells
/// carry numbers up to 30 classes; beyond that, and for exact values, there are tooltips.
package struct ConfusionMatrixChart: Sendable {
  /// What is drawn, in drawing order.
  package let matrix: ConfusionMatrix

  /// A chart of `matrix` with confused classes as neighbours.
  ///
  /// - Parameter reorders: false keeps the classes in their given order.
  package init(_ matrix: ConfusionMatrix, reorders: Bool = true) {
    self.matrix = reorders ? matrix.restricted(to: matrix.seriation) : matrix
  }

  /// Whether cells show their counts.
  package var hasNumbers: Bool { count <= 30 }
  /// Side of a cell in the view box.
  package var cell: Double {
    count <= 4 ? 52 : count <= 8 ? 44 : count <= 14 ? 34 : count <= 30 ? 28 : 7.5
  }
  /// Left edge of the cells.
  package var left: Double { labelLength + 8 }
  /// Upper edge of the cells; column names slant away to the right above it.
  package var top: Double { (isUpright ? labelLength : labelLength * 0.71) + 12 }
  package var width: Double { left + cells + (isUpright ? 8 : labelLength * 0.71 + 12) }
  package var height: Double { top + cells + 4 }

  private var count: Int { matrix.classNames.count }
  private var cells: Double { Double(count) * cell }
  private var isUpright: Bool { count > 4 }
  private var fontSize: Double { hasNumbers ? 12 : 7 }
  private var labelLimit: Int { hasNumbers ? 18 : 22 }
  private var labelLength: Double {
    let longest = matrix.classNames.map { min(VisibleText.escape($0).count, labelLimit) }.max() ?? 1
    return Double(longest) * fontSize * 0.6
  }

  /// The figure; wide ones scroll inside their frame.
  package var svg: Markup {
    """
    <figure class="chart matrix"><div class="scroll" tabindex="0" role="group" \
    aria-label="Confusion matrix">\
    <svg class="\(hasNumbers ? "fit" : "dense")" viewBox="0 0 \(width) \(height)" width="\(width)" \
    height="\(height)" role="img" aria-label="Confusion matrix of \(count) classes, \
    \(matrix.correct) of \(matrix.total) right"><rect class="frame" x="\(left)" y="\(top)" \
    width="\(cells)" height="\(cells)"/>\(rows)\(names)</svg></div></figure>
    """
  }

  /// How dark a cell is: 0 without photos, at least 0.14 with one, 1 for a whole class.
  package static func opacity(count: Int, of total: Int) -> Double {
    guard count > 0, total > 0 else { return 0 }
    return 0.14 + 0.86 * Double(count) / Double(total)
  }

  private var rows: Markup {
    .joined(
      matrix.counts.enumerated().map { row, values in
        let total = values.reduce(0, +)
        return .joined(
          values.enumerated().filter { $0.element > 0 }.map {
            element(row, $0.offset, $0.element, of: total)
          })
      })
  }

  private func element(_ row: Int, _ column: Int, _ value: Int, of total: Int) -> Markup {
    let (x, y) = (left + Double(column) * cell, top + Double(row) * cell)
    let opacity = Self.opacity(count: value, of: total)
    let share = Format.percent(Double(value) / Double(total))
    let kind = row == column ? "right" : "wrong"
    var result: Markup = """
      <rect class="\(kind)" x="\(x)" y="\(y)" width="\(cell)" height="\(cell)" \
      fill-opacity="\(opacity)"><title>\(matrix.classNames[row]) as \
      \(matrix.classNames[column]): \(value) (\(share) of the class)</title></rect>
      """
    guard hasNumbers else { return result }
    let onLight = ChartPalette.prefersBlackText(on: kind, opacity: opacity, dark: false)
    let onDark = ChartPalette.prefersBlackText(on: kind, opacity: opacity, dark: true)
    let size = min(12, cell / (Double(String(value).count) * 0.62 + 0.4))
    result += """
      <text class="cell \(onLight ? "lb" : "lw") \(onDark ? "db" : "dw")" x="\(x + cell / 2)" \
      y="\(y + cell / 2 + size * 0.36)" font-size="\(size)">\(value)</text>
      """
    return result
  }

  private var names: Markup {
    .joined(
      matrix.classNames.enumerated().map { index, name in
        let shown = VisibleText.shortened(VisibleText.escape(name), to: labelLimit)
        let middle = (Double(index) + 0.5) * cell
        let (x, y) = (left + middle + (isUpright ? fontSize * 0.35 : 0), top - 6)
        return """
          <text class="end" font-size="\(fontSize)" x="\(left - 6)" \
          y="\(top + middle + fontSize * 0.35)"><title>\(name)</title>\(shown)</text>\
          <text font-size="\(fontSize)" x="\(x)" y="\(y)" \
          transform="rotate(\(isUpright ? -90 : -45) \(x) \(y))"><title>\(name)</title>\
          \(shown)</text>
          """
      })
  }
}
