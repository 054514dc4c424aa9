// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawImages

/// Preprocessing by name.
enum PreprocessingFamily: String, ExpressibleByArgument, CaseIterable {
  case torch, tf, caffe
  case efficientNetLite = "efficientnet-lite"
  case unit, raw

  var contract: Preprocessing {
    switch self {
    case .torch: .torch()
    case .tf: .tf()
    case .caffe: .caffe()
    case .efficientNetLite: .efficientNetLite()
    case .unit: .unit()
    case .raw: .raw()
    }
  }
}
