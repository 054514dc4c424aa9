// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawDatasets

/// A photo that a diagnosis may look at.
package struct SubjectPhoto: Sendable {
  package let path: FilePath
  /// As messages and tables name it.
  package let name: String
  /// Nil where folders do not tell.
  package let className: String?
  package let split: Split?

  package init(path: FilePath, name: String, className: String?, split: Split?) {
    self.path = path
    self.name = name
    self.className = className
    self.split = split
  }
}
