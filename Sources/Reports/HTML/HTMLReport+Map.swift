// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// The photos on a plane, without a script: every photo is a radio button, so that the map is one stop of the tab
/// key, the arrow keys go from photo to photo, and a screen reader names each.
extension HTMLReport {
  /// Pixels of a picture on the page.
  private static let shown = 128
  /// Shapes that take turns where there are more classes than colours.
  private static let shapes = ["round", "square", "diamond"]

  var mapSection: Section? {
    guard let map = content.map, !map.points.isEmpty else { return nil }
    let labels = Array(Set(map.points.map(\.label))).sorted()
    let marks = Dictionary(uniqueKeysWithValues: labels.enumerated().map { ($1, $0) })
    let points = map.points.enumerated().map { index, point in
      self.point(point, index, marks[point.label] ?? 0, columns: map.columns)
    }
    let sheet = Base64.imageAddress([UInt8](map.sheet)) ?? ""
    let rows = (map.points.count + map.columns - 1) / max(map.columns, 1)
    let size = Markup(
      trusted: "\(map.columns * Self.shown)px \(rows * Self.shown)px")
    let which =
      map.count > map.points.count
      ? "\(Format.grouped(map.points.count)) of \(Format.grouped(map.count)) photos"
      : counted(map.count, "photo")
    let body =
      paragraph(
        "\(which), laid out by what the network sees in them: neighbours look alike to it. A photo among those of"
          + " another class is worth a look. Directions and distances between far groups mean nothing. Point at a"
          + " photo to see it, or go through them with the arrow keys.")
        + """
        <div class="map" role="radiogroup" aria-label="Map of \(which)" \
        style="--sheet:url('\(sheet)');--sheet-size:\(size)">\(Markup.joined(points))</div>

        """
      + legend(labels)
    return Section(id: "map", title: "A map of the photos", body: body)
  }

  private func point(
    _ point: PhotoMap.Point, _ index: Int, _ mark: Int, columns: Int
  ) -> Markup {
    let (row, column) = (index / max(columns, 1), index % max(columns, 1))
    // Room for the marks at the edges.
    let place = Markup(
      trusted:
        "left:\(Format.fixed(2 + 96 * point.x, 2))%;top:\(Format.fixed(2 + 96 * point.y, 2))%")
    let offset = Markup(
      trusted: "background-position:-\(column * Self.shown)px -\(row * Self.shown)px")
    let sides: Markup = point.x > 0.5 ? (point.y > 0.5 ? "l u" : "l") : (point.y > 0.5 ? "u" : "")
    return """
      <label class="\(style(mark)) \(sides)" style="\(place)"><input type="radio" name="map" \
      aria-label="\(point.label): \(point.path), \(point.split)"><span class="shot" aria-hidden="true">\
      <i style="\(offset)"></i><b>\(name(point.label))</b> <small>\(path(shortened(point.path)))</small></span></label>
      """
  }

  private func legend(_ labels: [String]) -> Markup {
    let items = labels.prefix(60).enumerated().map { mark, label in
      "<li class=\"\(style(mark))\"><span class=\"mark\"></span> \(name(label))</li>" as Markup
    }
    let rest =
      labels.count > items.count
      ? "<li>and \(counted(labels.count - items.count, "class", plural: "classes")) more</li>"
        as Markup : ""
    return "<ul class=\"marks\">\(Markup.joined(items))\(rest)</ul>\n"
  }

  private func style(_ mark: Int) -> Markup {
    let colours = ChartPalette.seriesCount
    let shape = Self.shapes[mark / colours % Self.shapes.count]
    return Markup(trusted: "m\(mark % colours) \(shape)")
  }
}
