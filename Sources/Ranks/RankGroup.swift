// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
package import SystemPackage
import ThawFiles

/// The processes that work on one run together, and this one among them.
///
/// Rank 0 leads: it runs the command, decides, prints and writes the run's files. The others follow: they
/// wait for jobs (``begin(_:)``, ``nextOrder()``) and go through the same code as the leader inside them,
/// so that both meet in the same collectives. Used from one thread.
package final class RankGroup: Sendable {
  /// Number of this process, 0-based.
  package let rank: Int
  /// Number of processes, at least 1.
  package let count: Int
  /// Name of each rank's machine.
  package let hosts: [String]
  let transport: (any RankTransport)?
  let stallSeconds: Double
  private let state = Mutex(State())

  private struct State {
    var isInJob = false
    var watched: FilePath?
    var heartbeat: Heartbeat?
    var jobs = 0
    var works = 0
    var hasAskedToStop = false
  }

  /// A process on its own: all collectives return at once.
  package static let alone = RankGroup(nil, hosts: [HostName.current], stallSeconds: 60)

  private static let joined = Mutex<RankGroup?>(nil)

  /// The group that this process has joined, or ``alone``.
  package static var current: RankGroup { joined.withLock { $0 ?? alone } }

  init(_ transport: (any RankTransport)?, hosts: [String], stallSeconds: Double) {
    (rank, count) = (transport?.rank ?? 0, transport?.count ?? 1)
    self.transport = transport
    self.hosts = hosts
    self.stallSeconds = stallSeconds
  }

  /// Meets the other ranks of `transport` and compares builds; every rank calls it.
  ///
  /// - Parameter build: what must be the same everywhere, by its name.
  /// - Throws: ``RankError/disagreement(_:)`` on every rank, naming the first that differs.
  package convenience init(
    _ transport: any RankTransport, build: [String: String], host: String = HostName.current,
    stallSeconds: Double = 60
  ) throws {
    let blank = RankGroup(
      transport, hosts: (0..<transport.count).map { "rank \($0)" }, stallSeconds: stallSeconds)
    let own = Introduction(host: host, build: build)
    let all = try blank.gather(own)
    self.init(transport, hosts: all.map(\.host), stallSeconds: stallSeconds)
    for (rank, other) in all.enumerated() {
      for (name, value) in all[0].build.sorted(by: { $0.key < $1.key })
      where other.build[name] != value {
        throw RankError.disagreement(
          "\(self.name(of: rank)): has another \(name) (\(other.build[name] ?? "none")) than"
            + " \(self.name(of: 0)) (\(value)). Install the same thaw on every host.")
      }
    }
  }

  private struct Introduction: Codable {
    let host: String
    let build: [String: String]
  }

  /// Joins the job that a launcher started this process for; once.
  ///
  /// - Parameter version: of Thaw.
  /// - Throws: ``RankError``.
  package static func join(_ launch: RankLaunch, version: String) throws -> RankGroup {
    let transport = try MPITransport(launch)
    let group = try RankGroup(
      transport, build: ["version": version, "build": try buildHash()],
      stallSeconds: launch.stallSeconds)
    joined.withLock { $0 = group }
    return group
  }

  /// The first digits of the hash of the running program.
  private static func buildHash() throws -> String {
    var hash = SHA256()
    try FileSystem.forEachPiece(of: "/proc/self/exe") { hash.update($0) }
    return String(hash.hexadecimalDigest.prefix(16))
  }

  /// Whether this rank decides, prints and writes.
  package var isLeader: Bool { rank == 0 }
  /// Whether there are others.
  package var hasOthers: Bool { count > 1 }
  /// For example `rank 3 (node7)`.
  package func name(of rank: Int) -> String {
    "rank \(rank) (\(hosts.indices.contains(rank) ? hosts[rank] : "unknown host"))"
  }
  /// Of this rank.
  package var name: String { name(of: rank) }
  /// What carries the messages, for people.
  package var library: String { transport?.library ?? "none" }

  /// Whether the other ranks go through the same code as this one at the moment.
  package var isInJob: Bool { hasOthers && state.withLock { $0.isInJob } }

  /// Threads of a rank where nobody says how many: all that its launcher bound it to, or its share of a
  /// machine that it is not bound on.
  ///
  /// - Parameter allowed: cores that this process may run on.
  package func threads(allowed: Int) -> Int {
    guard hasOthers, !RankGroup.isBound else { return allowed }
    return max(allowed / hosts.count { $0 == hosts[rank] }, 1)
  }

  /// Whether this process may run on fewer processors than the machine has.
  private static var isBound: Bool {
    func text(_ path: String) -> String {
      String(decoding: (try? SystemText.of(path)) ?? [], as: UTF8.self)
    }
    let line = text("/proc/self/status").split(separator: "\n").first {
      $0.hasPrefix("Cpus_allowed_list:")
    }
    let allowed = line?.split(separator: "\t").last.map(String.init)
    let online = text("/sys/devices/system/cpu/online").split(separator: "\n").first
    guard let allowed, let online else { return false }
    return allowed != online
  }

  // MARK: Jobs

  /// Sends the leader's order to all others; it and they are in a job from then on.
  package func begin(_ order: RankOrder) throws {
    precondition(isLeader, "Only rank 0 begins a job.")
    guard hasOthers else { return }
    let bytes = Array(try JSONEncoder().encode(order))
    for other in 1..<count { try send(bytes, to: other) }
    enter(order)
  }

  /// Waits for the leader's next order.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  package func nextOrder() throws -> RankOrder {
    let order = try JSONDecoder().decode(
      RankOrder.self, from: Data(try receive(from: 0, isIdle: true)))
    enter(order)
    return order
  }

  private func enter(_ order: RankOrder) {
    guard case .work(let job) = order else { return }
    state.withLock {
      $0.isInJob = true
      $0.hasAskedToStop = false
      $0.jobs += 1
      $0.works = 0
      let folder = RankGroup.folder(of: FilePath(job.run))
      guard $0.watched != folder else { return }
      $0.watched = folder
      try? FileSystem.createDirectory(folder)
      if isLeader { removeSigns(ofRanksFrom: count, in: folder) }
      $0.heartbeat = try? Heartbeat(
        beat(of: rank, in: folder), text: hosts[rank], interval: max(stallSeconds / 12, 0.1))
    }
  }

  /// The job is done, on this rank.
  package func endJob() { state.withLock { $0.isInJob = false } }

  /// `RUN/ranks`: logs and signs of life.
  package static func folder(of run: FilePath) -> FilePath { run.appending("ranks") }

  private func beat(of rank: Int, in folder: FilePath) -> FilePath {
    folder.appending(".\(rank).alive")
  }

  /// Of a larger job that was killed: nobody would read or remove them.
  private func removeSigns(ofRanksFrom first: Int, in folder: FilePath) {
    for name in (try? FileSystem.list(folder)) ?? [] {
      let parts = name.string.split(separator: ".")
      guard parts.count == 2, parts[1] == "alive", let rank = Int(parts[0]), rank >= first else {
        continue
      }
      try? FileSystem.remove(folder.appending(name))
    }
  }

  /// What a rank's sign of life says now; nil when there is none.
  func sign(of rank: Int) -> [UInt8]? {
    state.withLock(\.watched).flatMap { try? FileSystem.read(beat(of: rank, in: $0), limit: 4096) }
  }

  /// A folder for the claims of the next work that is shared, of the same name on every rank; the leader
  /// makes it.
  package func claims(in run: FilePath) throws -> PieceClaims {
    let (job, work) = state.withLock { state in
      state.works += 1
      return (state.jobs, state.works)
    }
    let folder = RankGroup.folder(of: run).appending("claims-\(job)-\(work)")
    let claims = PieceClaims(folder)
    if isLeader {
      // What a job that was killed has left.
      claims.remove()
      try FileSystem.createDirectory(folder)
    }
    return claims
  }

  // MARK: The end

  /// Ends this process's part: the leader sends everybody home. Does nothing alone.
  package func leave(_ code: Int32) {
    guard let transport else { return }
    if isLeader {
      // Others wait in a collective of the job that this rank leaves: they cannot be told.
      guard !isInJob, (try? begin(.leave(code))) != nil else { return transport.abort(code) }
    }
    stopHeartbeat()
    transport.finish()
  }

  /// Ends all ranks at once.
  package func abort(_ code: Int32) {
    stopHeartbeat()
    transport?.abort(code)
  }

  private func stopHeartbeat() {
    state.withLock { state in
      state.heartbeat?.stop()
      state.heartbeat = nil
    }
  }

  // MARK: Stopping together

  /// Tells the others, who may be anywhere in a job's work, that this rank has been asked to stop. They
  /// see it in ``isStopAsked``; all meet in ``agreeToStop()``.
  package func askToStop() throws {
    guard isInJob, !state.withLock(\.hasAskedToStop) else { return }
    state.withLock { $0.hasAskedToStop = true }
    for other in 0..<count where other != rank {
      try wait(for: [sendStop(to: other)])
    }
  }

  /// Whether another rank has asked to stop.
  package func isStopAsked() throws -> Bool {
    guard isInJob else { return false }
    return try transport?.waitingSender(tag: .stop) != nil
  }

  /// Meets the others at the end of a work; true when somebody has asked to stop.
  ///
  /// - Parameter isIdle: whether the others may take any time to come here, as long as they show that they are
  ///   alive.
  package func agreeToStop(isIdle: Bool = false) throws -> Bool {
    guard isInJob else { return false }
    let asked = try gather(state.withLock(\.hasAskedToStop), isIdle: isIdle)
    for other in 0..<count where other != rank && asked[other] {
      var byte = [UInt8](repeating: 0, count: 1)
      try byte.withUnsafeMutableBytes { bytes in
        guard let transport else { return }
        try wait(for: [(transport.receive(into: bytes, from: other, tag: .stop), other)])
      }
    }
    state.withLock { $0.hasAskedToStop = false }
    return asked.contains(true)
  }
}
