// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// A file of the page at `/`, which is inside of the program.
enum PageFile: CaseIterable {
  case document, script, style

  init?(name: String) {
    switch name {
    case "": self = .document
    case "page.js": self = .script
    case "page.css": self = .style
    default: return nil
    }
  }

  /// With what keeps a browser from loading or running anything else.
  var response: Response {
    var response: Response =
      switch self {
      case .document: .bytes(PackageResources.page_html, type: "text/html; charset=utf-8")
      case .script: .bytes(PackageResources.page_js, type: "text/javascript; charset=utf-8")
      case .style: .bytes(PackageResources.page_css, type: "text/css; charset=utf-8")
      }
    response.headers[.contentSecurityPolicy] =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self';"
      + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return response
  }
}
