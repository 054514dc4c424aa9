// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTestSupport

/// Files that are something else are named for what they are.
struct FileKindTests {
  @Test func otherFilesAreNamed() {
    let pointer = """
      version https://git-lfs.github.com/spec/v1
      oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
      size 12345

      """
    expectRefused(
      Array(pointer.utf8), "this is a Git LFS pointer, \(pointer.utf8.count) bytes. Fetch the file",
      .wrongFormat)
    let cases: [([UInt8], String)] = [
      (Array("<!DOCTYPE html><html>".utf8), "a web page"),
      (Array("\n <html>".utf8), "a web page"),
      ([0x89] + Array("HDF\r\n\u{1A}\n".utf8) + [0], "are needed"),
      ([0x93] + Array("NUMPY".utf8), "are needed"),
      ([0x1F, 0x8B, 8], "a gzip file"),
      (Array("Not Found".utf8), "text (it begins with 'Not Found')"),
      ([UInt8](repeating: 0x61, count: 257) + Array("ustar".utf8), "a tar archive"),
      ([0x80, 2, 0x7D, 0x2E], "a Python pickle that is not a PyTorch checkpoint"),
      ([0xCA, 0xFE, 0xBA, 0xBE, 1, 2, 3, 4, 5], "neither a checkpoint nor"),
    ]
    for (bytes, text) in cases { expectRefused(bytes, text) }
  }

  @Test func directoriesPipesAndAbsentFilesAreNamed() throws {
    let directory = try TemporaryDirectory()
    func text(_ path: FilePath) -> String {
      let error = #expect(throws: CheckpointError.self) { try CheckpointReader.read(path) }
      return error?.description ?? ""
    }
    #expect(text(directory.path).contains("this is a directory"))
    let pipe = directory.path.appending("pipe.pth")
    #expect(mkfifo(pipe.string, 0o600) == 0)
    #expect(text(pipe).contains("not a regular file"))
    #expect(text(directory.path.appending("none.pth")).contains("cannot open: No such file"))
  }

  @Test func theFormatIsToldByTheContentAndNotByTheName() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("weights.safetensors")
    try AtomicFile.write(path, bytes: try fixture("parameters.zip.pth"))
    let checkpoint = try CheckpointReader.read(path)
    #expect(checkpoint.format == .torchZip && checkpoint.path == path)
    #expect(checkpoint.count == 3 && checkpoint.byteCount == 240)
  }

  @Test func anErrorNamesFileByteAndNextStep() {
    let error = #expect(throws: CheckpointError.self) {
      try read(Array("cos\nsystem\n.".utf8), "a\nb.pth")
    }
    #expect(
      error?.description
        == "a\\nb.pth: a Python pickle that is not a PyTorch checkpoint (the name os.system, without"
        + " tensors) (byte 0). Nothing in it was run. Save the weights with torch.save(model.state_dict(), path)."
    )
  }
}
