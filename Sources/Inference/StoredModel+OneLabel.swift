// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawNetwork
import ThawTensors

extension StoredModel {
  /// The same classifier with one output a class under a softmax, for what compares classes of which a
  /// photo has one.
  ///
  /// One sigmoid of x is the softmax of 0 and x: the last layer gets a first output that is always 0.
  ///
  /// - Parameter source: how messages call the model.
  /// - Throws: ``PipelineError/data(_:)`` for a model of several labels, which is no such classifier.
  package func withSoftmax(source: String) throws -> StoredModel {
    switch record.outputActivation {
    case .softmax: return self
    case .independentSigmoids:
      throw PipelineError.data(
        "\(source) gives several labels a photo; what is asked compares classes of which a photo has"
          + " exactly one. Its labels are judged by thaw evaluate; with --run, predictions.csv then has the"
          + " probability of each, and those that contradict the table most are the ones to look at."
      )
    case .singleSigmoid: break
    }
    let last = graph.output
    guard case .dense(let layer) = last.operation, layer.outputs == 1,
      let wider = graph.withDenseOutputs(2)
    else {
      throw PipelineError.data(
        "\(source): its one output comes from no dense layer, so it has no two outputs to compare.")
    }
    var parameters = parameters
    for (name, width) in [("weight", layer.inputs), ("bias", 1)] {
      let path = last.path.appending(name)
      guard let one = parameters[path] else { continue }
      let zeros = [Float](repeating: 0, count: width)
      parameters[path] = Tensor(
        zeros + one.elements, shape: name == "bias" ? [2] : [2, layer.inputs])
    }
    var record = record
    record.outputActivation = .softmax
    return StoredModel(
      graph: wider, parameters: parameters,
      preprocessing: preprocessing, record: record)
  }
}

extension Classifier {
  /// See ``StoredModel/withSoftmax(source:)``.
  ///
  /// - Throws: ``PipelineError/data(_:)``, `ExecutionError`.
  package func withSoftmax(context: StageContext) throws -> Classifier {
    guard outputActivation != .softmax else { return self }
    return try Classifier(
      [model.withSoftmax(source: source)], source: source, compiler: context.compiler,
      threads: context.threads)
  }
}
