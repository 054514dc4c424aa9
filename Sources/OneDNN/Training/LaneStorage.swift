// SPDX-License-Identifier: Apache-2.0

/// One element for each lane, each at an address of its own for as long as this lives.
///
/// Lanes run at the same time and each writes its element. In an array that would be a race: a write may
/// copy the whole array, and with it an older value of another lane's element.
final class LaneStorage<Element> {
  private let elements: UnsafeMutableBufferPointer<Element>

  /// `lanes` times `element`.
  init(repeating element: Element, lanes: Int) {
    elements = .allocate(capacity: lanes)
    elements.initialize(repeating: element)
  }

  deinit {
    elements.deinitialize()
    elements.deallocate()
  }

  /// The element of one lane, to be used by the thread that does this lane's work.
  subscript(lane: Int) -> Element {
    get { elements[lane] }
    set { elements[lane] = newValue }
  }

  /// Gives every lane the same element again; not while lanes run.
  func reset(to element: Element) { elements.update(repeating: element) }
}
