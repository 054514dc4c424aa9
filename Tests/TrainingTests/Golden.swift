// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawTensors

/// Reads expected numbers that `Tools/training_goldens.py` wrote.
func golden<Contents: Decodable>(_ name: String, as type: Contents.Type) throws -> Contents {
  let folder = Bundle.module.resourceURL ?? URL(fileURLWithPath: ".")
  let data = try Data(contentsOf: folder.appending(path: "Fixtures/\(name).json"))
  let decoder = JSONDecoder()
  decoder.keyDecodingStrategy = .convertFromSnakeCase
  return try decoder.decode(type, from: data)
}
