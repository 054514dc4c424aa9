// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones

/// What was taken from a checkpoint, what was left, and what else it offers, as sentences without their
/// full stop.
package struct ForeignSummary {
  package let lines: [String]

  /// - Parameter head: fastai's classifier, when there is one.
  package init(
    _ file: ForeignFile, _ fit: WeightFit, _ otherParts: [String], head: ConcatPoolHead? = nil
  ) {
    let around = file.checkpoint.surroundings
    var lines: [String] = []
    let place = around?.place ?? ""
    let prefix = (around?.prefix ?? "") + fit.prefix
    if !place.isEmpty || !prefix.isEmpty {
      let parts = [
        place.isEmpty ? nil : "are those under '\(place)'",
        prefix.isEmpty ? nil : "begin with '\(prefix)', which is taken off",
      ].compactMap(\.self)
      lines.append("the network's tensors " + parts.joined(separator: " and "))
    }
    let others =
      (around?.alternatives.map { $0.isEmpty ? "the top" : $0 } ?? [])
      + otherParts.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
    if !others.isEmpty {
      lines.append(
        "there are others in the file (\(ForeignSummary.few(others))), such as an average or a"
          + " teacher; --weights-key \(others[0]) takes those")
    }
    if !fit.otherHead.isEmpty {
      lines.append(
        "\(fit.otherHead.count) tensors behind the features are no classifier that Thaw computes:"
          + " \(ForeignSummary.few(fit.otherHead))")
    }
    let own = Set(head?.names ?? [])
    let ignored = fit.ignored.filter { !own.contains($0) }
    if !ignored.isEmpty {
      lines.append(
        "\(ignored.count) tensors beside the network are ignored: \(ForeignSummary.few(ignored))")
    }
    // What names the classes was read.
    let left = (around?.leftOut ?? []).filter { entry in
      !file.classLists.contains { entry.hasPrefix($0.origin.prefix { $0 != " " } + " (") }
    }
    if !left.isEmpty { lines.append("not read, and not run: \(ForeignSummary.few(left))") }
    lines += fit.notes + file.remarks
    self.lines = lines
  }

  private static func few(_ names: [String]) -> String {
    names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", …" : "")
  }
}
