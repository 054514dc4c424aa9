// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawNetwork

/// The highest learning rate of every layer group; a schedule's factor multiplies them all.
package struct LearningRates: Sendable, Equatable {
  /// One rate a layer group of the network, or a single one for all.
  package let rates: [Double]
  /// Layer groups by parameter; empty when one rate is for all.
  private let groups: [ParameterPath: Int]

  /// One rate for every parameter; traps on a negative or non-finite one.
  package init(_ rate: Double) {
    precondition(
      rate >= 0 && rate.isFinite, "A learning rate must be finite and at least 0, got \(rate).")
    rates = [rate]
    groups = [:]
  }

  /// One rate a layer group, input to head; traps unless there is exactly one for each.
  package init(_ rates: [Double], for graph: Graph) {
    precondition(
      rates.count == graph.groups.count,
      "\(rates.count) learning rates for \(graph.groups.count) layer groups.")
    precondition(
      rates.allSatisfy { $0 >= 0 && $0.isFinite }, "Learning rates must be finite: \(rates).")
    self.rates = rates
    let pairs = graph.nodes.flatMap { node in node.parameters.map { ($0.path, node.group) } }
    groups = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
  }

  /// The rate of one parameter; traps when its layer is not in the graph the rates were made for.
  package func rate(of path: ParameterPath) -> Double {
    if groups.isEmpty { return rates[0] }
    guard let group = groups[path] else {
      preconditionFailure("Parameter '\(path)' belongs to none of the layer groups.")
    }
    return rates[group]
  }

  /// Rates in geometric progression from `first` (input) to `last` (head).
  ///
  /// - Source: fastai v2 `even_mults`, what `slice(first, last)` means.
  package static func geometric(from first: Double, to last: Double, groups: Int) -> [Double] {
    precondition(groups > 0 && first > 0 && last > 0, "A progression needs rates above 0.")
    guard groups > 1 else { return [last] }
    return (0..<groups).map { first * pow(last / first, Double($0) / Double(groups - 1)) }
  }

  /// `rate` for the head and a tenth of it for all groups before.
  ///
  /// - Source: fastai v2, what `slice(rate)` means.
  package static func headAndTenth(_ rate: Double, groups: Int) -> [Double] {
    precondition(groups > 0, "There must be a layer group.")
    return [Double](repeating: rate / 10, count: groups - 1) + [rate]
  }

  /// `rate` for the last group, each group before it `decay` times the next.
  ///
  /// - Source: layer-wise decay, Clark et al. 2020, arXiv:2003.10555.
  package static func layerwise(_ rate: Double, decay: Double, groups: Int) -> [Double] {
    precondition(groups > 0 && decay > 0, "There must be a layer group and a decay above 0.")
    return (0..<groups).map { rate * pow(decay, Double(groups - 1 - $0)) }
  }
}
