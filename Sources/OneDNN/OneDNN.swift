// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork

/// What is known about the oneDNN library this process runs on.
enum OneDNN {
  /// For messages, for example `oneDNN 2.6.3`.
  static let name: String = {
    var version: [CInt] = [0, 0, 0]
    thaw_dnnl_version(&version)
    return "oneDNN " + version.map(String.init).joined(separator: ".")
  }()
}

/// Turns a status of `COneDNN` into an error; every call of that module goes through here.
///
/// - Parameters:
///   - operation: what was tried, for example `convolution`.
///   - layer: on whose behalf.
func check(_ status: CInt, _ operation: String, _ layer: ParameterPath?) throws(ExecutionError) {
  guard status != 0 else { return }
  if let layer, thaw_dnnl_is_unsupported(status) {
    throw .unsupported(operation: operation, layer: layer, engine: OneDNN.name)
  }
  throw .kernel(
    library: OneDNN.name, operation: operation, layer: layer,
    status: String(cString: thaw_dnnl_status_text(status)))
}

/// What `make` makes; nil when the library has no kernel for it. Every other failure, a lack of memory
/// for example, is thrown on.
func ifAvailable<Made>(_ make: () throws -> Made) throws -> Made? {
  do {
    return try make()
  } catch ExecutionError.unsupported {
    return nil
  }
}

/// The result of a `COneDNN` call that makes something through its first parameter.
func make(
  _ operation: String, _ layer: ParameterPath?,
  _ body: (UnsafeMutablePointer<OpaquePointer?>) -> CInt
) throws(ExecutionError) -> OpaquePointer {
  var handle: OpaquePointer?
  try check(body(&handle), operation, layer)
  guard let handle else {
    throw .kernel(
      library: OneDNN.name, operation: operation, layer: layer, status: "nothing was made")
  }
  return handle
}

/// Makes the kernels that `body` makes for one thread each: a lane runs them on its thread alone. The
/// host's own setting of OpenMP is back afterwards.
func withSingleThreadedKernels<Result>(_ body: () throws -> Result) rethrows -> Result {
  let before = thaw_dnnl_set_threads(1)
  defer { thaw_dnnl_set_threads(before) }
  return try body()
}
