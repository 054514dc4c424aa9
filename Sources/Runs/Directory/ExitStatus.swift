// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawCheckpoints
import ThawConfiguration
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawRanks
import ThawTraining

/// The exit code of a command that ended with `error`: 1 training diverged, 64 bad usage, 65 bad
/// data, 70 internal, 74 input or output, 75 run directory in use, 130 interrupted.
package func exitCode(of error: any Error) -> Int32 {
  switch error {
  case PipelineError.interrupted: 130
  case TrainingError.diverged, PipelineError.diverged: 1
  case PipelineError.usage, TrainingError.impossibleMixing: 64
  case BackboneError.fetchFailed: 74
  case is PipelineError, is ConfigurationError, is BackboneError,
    is GraphError, is NetworkError:
    65
  case is ImageError: 65
  case let error as CheckpointError: error.kind == .unreadable ? 74 : 65
  case DatasetError.system(let error): exitCode(of: error)
  case is DatasetError: 65
  case is TrainingError: 65
  case let error as FileError:
    switch error.reason {
    case .inUse, .inUseElsewhere: 75
    default: 74
    }
  case RankError.launch: 64
  case RankError.disagreement: 65
  case RankError.lost: 74
  default: 70
  }
}
