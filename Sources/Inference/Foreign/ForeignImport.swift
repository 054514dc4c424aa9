// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
import ThawCheckpoints
import ThawConsole

/// Takes a checkpoint of another program in as a card of its own.
///
/// The weights are written anew as safetensors under this project's names, so that whatever was needed
/// to recognise them (a prefix, another library's names, a folder) is needed once.
package struct ForeignImport {
  private let reference: ModelReference
  private let context: StageContext

  package init(_ reference: ModelReference, _ context: StageContext) {
    self.reference = reference
    self.context = context
  }

  /// - Parameter name: of the new card.
  /// - Throws: what reading a checkpoint as a model throws; `BackboneError` when the name is taken.
  package func run(as name: String) throws -> BackboneCard {
    let file = try ForeignFile(reference.path, key: reference.weightsKey)
    guard !ModelFile.isModelFile(file.checkpoint) else {
      throw PipelineError.usage(
        "\(reference.path.displayed) is a model of Thaw; give it as --model where it is wanted.")
    }
    let network = try ForeignModel(file, reference, context).readNetwork()
    let card = try context.pretrained.importOwn(
      PretrainedStore.OwnNetwork(
        name: name, architecture: network.fit.architecture, parameters: network.parameters,
        preprocessing: network.preprocessing,
        classNames: network.classes?.names ?? [], origin: reference.path,
        outputActivation: network.activation))
    if network.classes != nil, card.classesFile == nil {
      context.console.warn(
        "\(name): its classifier has more than one layer, a card's has one; the backbone is taken"
          + " without it.")
    }
    return card
  }
}
