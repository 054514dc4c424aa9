// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawRuns
import ThawTestSupport

/// What killed processes leave in a run directory.
struct LeftoverTests {
  private let temporary: TemporaryDirectory
  private let directory: RunDirectory

  init() throws {
    temporary = try TemporaryDirectory()
    directory = RunDirectory(temporary.path.appending("run"))
  }

  /// Every file that a stage writes, model-sized ones before all, and none that a user may write.
  @Test func whatKilledProcessesLeftIsRemovedWithTheLock() throws {
    let ours = [
      directory.recipe, directory.manifest, directory.badFiles, directory.verifiedPhotos,
      directory.trainerState, directory.trainingTime, directory.headModel, directory.lastGoodModel,
      directory.snapshot(epoch: 12), directory.history, directory.learningRateSearch,
      directory.model, directory.metrics, directory.predictions, directory.diagnosis("batchnorm"),
      directory.labelTable, directory.labelSheet, directory.report,
    ].map { leftover(of: $0) }
    let others = [
      leftover(of: directory.path.appending("mine.onnx")),
      directory.path.appending("model.safetensors.tmp"),
      directory.path.appending("model.safetensors.tmp.12.not-hexadecimal"),
      leftover(of: directory.path.appending("head.safetensors")),
    ]
    for path in ours + others {
      try FileSystem.createDirectory(path.removingLastComponent())
      try AtomicFile.write(path, text: "x")
    }
    let lock = try directory.lock()
    #expect(ours.filter(FileSystem.exists) == [])
    #expect(others.filter { !FileSystem.exists($0) } == [])
    withExtendedLifetime(lock) {}
  }

  private func leftover(of path: FilePath) -> FilePath {
    let name = (path.lastComponent?.string ?? "") + ".tmp.4711.9f3a"
    return path.removingLastComponent().appending(name)
  }
}
