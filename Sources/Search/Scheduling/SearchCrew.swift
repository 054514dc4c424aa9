// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawRanks

/// The ranks of a job that measure together: rank 0 says what, all make ready what it needs, each takes parts
/// of it as long as there are some, and rank 0 gets what they measured. What is measured does not depend on who
/// measures it.
package struct SearchCrew {
  /// Everybody.
  package let ranks: RankGroup
  private let directory: FilePath

  /// - Parameter directory: the run, where parts are claimed.
  package init(_ ranks: RankGroup, in directory: FilePath) {
    self.ranks = ranks
    self.directory = directory
  }

  /// What came of a request.
  package struct Result {
    var measurement: SearchMeasurement?
    /// Why there is none.
    var problem: String?
    /// Of all its parts and ``preparation``, whoever measured them.
    var seconds = 0.0
    var preparation = 0.0
  }

  /// One part of a request, measured.
  private struct Part: Codable {
    let request: Int
    let part: Int
    var measurement: SearchMeasurement?
    var problem: String?
    var seconds = 0.0
  }

  /// What this process measures alone.
  static func alone(
    _ request: SearchRequest, _ objective: any SearchObjective, _ clock: () -> Double
  ) throws -> Result {
    var result = Result()
    let begin = clock()
    do { result.measurement = try objective.measure(request) } catch let failure as SearchFailure {
      result.problem = failure.description
    }
    (result.seconds, result.preparation) = (clock() - begin, objective.preparation)
    return result
  }

  /// On rank 0: has all ranks measure the requests.
  ///
  /// - Returns: a result for each, nil where somebody asked to stop before it was whole; and whether somebody did.
  /// - Throws: errors of the objective and of the ranks.
  func measure(
    _ requests: [SearchRequest], _ objective: any SearchObjective
  ) throws -> (results: [Result?], isStopped: Bool) {
    _ = try ranks.told(requests)
    return try share(requests, objective)
  }

  /// On the other ranks: measures what rank 0 asks for until it calls ``dismiss()``.
  ///
  /// - Throws: `PipelineError.interrupted`; errors of the objective and of the ranks.
  package func follow(_ objective: any SearchObjective) throws {
    while true {
      let requests = try ranks.told([SearchRequest]())
      if requests.isEmpty { return }
      if try share(requests, objective).isStopped { throw PipelineError.interrupted }
    }
  }

  /// On rank 0: there is nothing more to measure.
  ///
  /// - Throws: `RankError`.
  package func dismiss() throws { _ = try ranks.told([SearchRequest]()) }

  private func share(
    _ requests: [SearchRequest], _ objective: any SearchObjective
  ) throws -> (results: [Result?], isStopped: Bool) {
    var preparations: [Double] = []
    do {
      for request in requests {
        try objective.prepare(request)
        preparations.append(objective.preparation)
      }
    } catch PipelineError.interrupted {
      // Of features: everybody was told then.
      return (requests.map { _ in nil }, true)
    }
    let claims = try ranks.claims(in: directory)
    try ranks.meet()
    let own = try claimed(claims, requests, objective)
    // One part may take any time.
    let parts = try ranks.gather(own, isIdle: true).flatMap(\.self)
    let isStopped = try ranks.agreeToStop()
    if ranks.isLeader { claims.remove() }
    guard ranks.isLeader else { return ([], isStopped) }
    let results = try requests.indices.map { index in
      try whole(
        requests[index], parts.filter { $0.request == index }, preparations[index], objective)
    }
    return (results, isStopped)
  }

  /// The parts that this rank took and measured.
  private func claimed(
    _ claims: PieceClaims, _ requests: [SearchRequest], _ objective: any SearchObjective
  ) throws -> [Part] {
    let pieces = requests.enumerated().flatMap { index, request in
      (0..<objective.parts(of: request)).map { Part(request: index, part: $0) }
    }
    var measured: [Part] = []
    do {
      for piece in PieceClaims.order(pieces: pieces.count, rank: ranks.rank, of: ranks.count)
      where try claims.claim(piece) {
        measured.append(try self.measured(pieces[piece], requests, objective))
      }
    } catch PipelineError.interrupted {
      try ranks.askToStop()
    }
    return measured
  }

  private func measured(
    _ piece: Part, _ requests: [SearchRequest], _ objective: any SearchObjective
  ) throws -> Part {
    var piece = piece
    let begin = ProgressLine.monotonicSeconds()
    do {
      piece.measurement = try objective.measure(requests[piece.request], part: piece.part)
    } catch let failure as SearchFailure { piece.problem = failure.description }
    piece.seconds = ProgressLine.monotonicSeconds() - begin
    return piece
  }

  /// What the parts of one request come to; nil when one is missing.
  private func whole(
    _ request: SearchRequest, _ parts: [Part], _ preparation: Double,
    _ objective: any SearchObjective
  ) throws -> Result? {
    let parts = parts.sorted { $0.part < $1.part }
    // Alone, the first part that fails is the last that is tried.
    let problem = parts.first { $0.problem != nil }
    let count = objective.parts(of: request)
    guard
      parts.prefix(while: { $0.problem == nil }).map(\.part) == Array(0..<(problem?.part ?? count))
    else { return nil }
    var result = Result(problem: problem?.problem)
    result.preparation = preparation
    result.seconds = parts.reduce(preparation) { $0 + $1.seconds }
    guard problem == nil else { return result }
    do {
      result.measurement = try objective.joined(parts.map(\.measurement), of: request)
    } catch let failure as SearchFailure { result.problem = failure.description }
    return result
  }
}
