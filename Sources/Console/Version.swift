// SPDX-License-Identifier: Apache-2.0

/// The version of this build, recorded in models and reports.
package let thawVersion = "0.1.0"
