// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// The photo in a body, and what is asked about it.
struct PhotoBody {
  /// The bytes of an image file.
  let photo: [UInt8]
  /// Its name in a form.
  let name: String?
  let options: QueryOptions

  /// A photo as the whole body, or as the one file of a form whose other fields are options.
  ///
  /// - Throws: ``Refusal``, 400 or 415.
  init(_ body: [UInt8], contentType: String?, query: String?) throws {
    var pairs = try QueryOptions.pairs(query)
    let type = HeaderParameters(contentType ?? "").value
    switch type {
    case "multipart/form-data":
      let parts = try FormData(body, contentType: contentType ?? "").parts
      let files = parts.filter { $0.fileName != nil }
      guard files.count == 1 else {
        throw Refusal.bad(
          "The form has \(files.count) files, expected one photo. For several at once there is"
            + " /v2/models/NAME/infer.")
      }
      photo = Array(files[0].bytes)
      name = files[0].fileName
      for part in parts where part.fileName == nil {
        guard let text = String(validating: part.bytes, as: UTF8.self) else {
          throw Refusal.bad("The form's field '\(part.name.prefix(40))' is no text.")
        }
        pairs.append((part.name, text))
      }
    // The last is what `curl --data-binary` says of any file; what it really is the decoders see.
    case "", "application/octet-stream", "application/x-www-form-urlencoded",
      _ where type.hasPrefix("image/"):
      photo = body
      name = nil
    default:
      throw Refusal(
        .unsupportedMediaType,
        "The body is '\(type.prefix(60))', expected a photo (image/* or application/octet-stream) or a"
          + " form with one (multipart/form-data).")
    }
    guard !photo.isEmpty else {
      throw Refusal.bad("There is no photo: the body is empty. Try curl --data-binary @photo.jpg.")
    }
    options = try QueryOptions(pairs)
  }
}
