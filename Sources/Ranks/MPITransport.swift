// SPDX-License-Identifier: Apache-2.0

import CThawMPI
import Glibc
import SystemPackage
import ThawFiles

/// Messages by MPI, through the plugin that `make setup-mpi` builds.
///
/// Unchecked: the table's functions are constants, and MPI is called by the thread that started it alone.
final class MPITransport: RankTransport, @unchecked Sendable {
  let rank: Int
  let count: Int
  let library: String
  private let table: thaw_mpi_table

  /// Loads the plugin and starts MPI.
  ///
  /// - Throws: ``RankError/launch(_:)``.
  init(_ launch: RankLaunch) throws(RankError) {
    let plugin = try MPITransport.plugin(launch)
    var table = thaw_mpi_table()
    var reason = [CChar](repeating: 0, count: 512)
    let status = plugin.withPlatformString { thaw_mpi_load($0, &table, &reason) }
    guard status == THAW_MPI_LOADED else {
      throw .launch(
        "\(plugin.displayed): cannot be loaded: \(MPITransport.text(reason)). Build it anew: make setup-mpi"
      )
    }
    self.table = table
    var (rank, count) = (Int32(0), Int32(0))
    let code = table.start(&rank, &count)
    guard code == 0 else { throw .launch("MPI does not start (code \(code)).") }
    (self.rank, self.count) = (Int(rank), Int(count))
    var words = [CChar](repeating: 0, count: 512)
    table.library(&words)
    library = MPITransport.text(words)
    guard self.count == launch.count else {
      throw .launch(
        "\(launch.launcher) started \(launch.count) processes, but \(library) sees \(self.count)."
          + " The plugin must be built by the MPI whose launcher is used: make setup-mpi"
          + (launch.launcher == "srun" ? "; with srun try --mpi=pmix or --mpi=pmi2." : "."))
    }
  }

  private static func plugin(_ launch: RankLaunch) throws(RankError) -> FilePath {
    if let named = launch.plugin { return named }
    let above = ProgramFolders.current.aboveProgram
    let places = [
      above.first?.appending("libthaw-mpi.so"),
      above.dropFirst().first?.appending("lib").appending("thaw").appending("libthaw-mpi.so"),
    ].compactMap(\.self)
    guard let found = places.first(where: FileSystem.exists) else {
      throw .launch(
        "\(launch.launcher) started \(launch.count) processes of thaw, but libthaw-mpi.so, by which they"
          + " would work together, is not in \(places.map(\.displayed).joined(separator: " or "))."
          + " Build it: make setup-mpi (or set THAW_RANKS=off to run each on its own).")
    }
    return found
  }

  private static func text(_ characters: [CChar]) -> String {
    String(
      decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private func check(_ code: Int32, _ what: String) throws(RankError) {
    guard code != 0 else { return }
    var words = [CChar](repeating: 0, count: 512)
    table.describe(code, &words)
    throw .lost("\(what): \(MPITransport.text(words)).")
  }

  func send(
    _ bytes: UnsafeRawBufferPointer, to rank: Int, tag: MessageTag
  ) throws -> MessageHandle {
    var name: UnsafeMutableRawPointer?
    try check(
      table.send(bytes.baseAddress, Int64(bytes.count), Int32(rank), tag.rawValue, &name),
      "cannot send to rank \(rank)")
    return try handle(name)
  }

  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: MessageTag
  ) throws -> MessageHandle {
    var name: UnsafeMutableRawPointer?
    try check(
      table.receive(bytes.baseAddress, Int64(bytes.count), Int32(rank), tag.rawValue, &name),
      "cannot receive from rank \(rank)")
    return try handle(name)
  }

  private func handle(_ name: UnsafeMutableRawPointer?) throws(RankError) -> MessageHandle {
    guard let name else { throw .lost("MPI gave a message no name.") }
    return MessageHandle(name)
  }

  func isDone(_ message: MessageHandle) throws -> Bool {
    var done = Int32(0)
    try check(table.test(message.name, &done), "a message was lost")
    return done != 0
  }

  func waitingSender(tag: MessageTag) throws -> Int? {
    var (found, from) = (Int32(0), Int32(0))
    try check(table.probe(tag.rawValue, &found, &from), "cannot look for messages")
    return found != 0 ? Int(from) : nil
  }

  func finish() { _ = table.finish() }

  func abort(_ code: Int32) { table.abort(code) }
}
