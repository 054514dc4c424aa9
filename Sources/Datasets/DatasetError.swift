// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawFiles

/// A dataset cannot be used as it is; the text says where, what, and the next step.
package enum DatasetError: Error, Sendable, Equatable {
  /// The root is absent or not a folder.
  case notAFolder(FilePath, FileError.Reason?)
  /// The root holds no class folders.
  case noClasses(FilePath)
  /// Only one class: nothing to tell apart. `nested` are folders below it, a sign of a wrong root.
  case singleClass(FilePath, name: String, nested: [String])
  /// A class without a usable photo; `bad` are its files that were refused.
  case emptyClass(String, bad: [BadFile])
  /// A class that the run has and the folder or the table has no more.
  case classGone(String)
  /// A photo was given a class in the review that no photo has any more.
  case reviewedClassIsMissing(String, BytePath)
  /// Classes with fewer different photos than their split needs, all of them.
  case tooFewImages([Shortage], needed: Int)
  /// The same photos in folders of several classes: the paths of each.
  case contradictingLabels([[BytePath]])
  /// Folders whose class names are equal once blanks around them are dropped.
  case ambiguousClasses(String, [BytePath])
  /// Split folders and class folders side by side.
  case mixedLayout(FilePath, splits: [String], others: [String])
  /// What was taken for class folders all hold the same folders: those are more likely the classes.
  case sharedFolders(FilePath, outer: [String], inner: [String])
  /// Split folders that hold photos and no classes, and nothing else that could be one.
  case splitsWithoutClasses(FilePath, splits: [String])
  /// A folder that is called like a split among what are otherwise class folders; `classes` are those that it
  /// holds, too.
  case splitAmongClasses(FilePath, split: String, classes: [String], others: [String])
  /// Two folders for one split, such as `val` and `valid`.
  case repeatedSplit(Split, [BytePath])
  /// Split folders, but none to train on.
  case noTrainingFolder(FilePath)
  /// A class of the validation or test folder that cannot be learnt.
  case classNotInTraining(String, Split)
  /// A class of the validation or test folder that training spells in capitals otherwise.
  case spelledOtherwise(String, Split, training: String)
  /// Classes that the manifest, written once, does not have.
  case newClasses([String])
  /// Photos that cannot be used, all of them; nothing was prepared.
  case badFiles([BadFile], of: Int)
  /// More bad photos than may be skipped; `limit` is a fraction.
  case tooManyBadFiles([BadFile], of: Int, limit: Double)
  /// A table of labels that cannot be used, and the line, from 1.
  case badTable(FilePath, line: Int?, problem: String)
  /// A table that says one thing and the photos, or another of its lines, another.
  case mismatchedTable(FilePath, line: Int?, problem: String)
  /// A file that should hold photos and cannot be read as an archive.
  case badArchive(FilePath, problem: String)
  /// What was to bind photos together does not.
  case badGrouping(String, problem: String)
  /// Results would be written among the photos.
  case outputInDataset(root: FilePath, output: FilePath)
  /// A photo's size is not what the manifest says, in bytes; nil when it is gone.
  case changed(FilePath, oldSize: Int, newSize: Int?)
  /// A photo of the same size as in the manifest has other contents.
  case contentsChanged(FilePath)
  /// A manifest that does not hold together; `key` is the place in it.
  case invalidManifest(FilePath, key: String, problem: String)
  /// A photo could not be prepared during a pass over the data.
  case unusable(FilePath, reason: String)
  /// Features that are not finite numbers cannot be cached.
  case nonFiniteFeatures(content: String, view: String)
  /// The system refused a file or thread for a reason that is not the file's.
  case system(FileError)

  /// A class with too few photos.
  package struct Shortage: Sendable, Hashable {
    package let className: String
    /// Its different photos.
    package let count: Int

    package init(className: String, count: Int) {
      self.className = className
      self.count = count
    }
  }
}

extension DatasetError: CustomStringConvertible {
  /// Where, what, expected against found, next step.
  package var description: String { layoutText ?? classText ?? contentText }

  private var layoutText: String? {
    switch self {
    case .notAFolder(let path, let reason):
      "\(path.displayed): \(reason?.text("look at") ?? "a file, not a folder.")"
        + " Name the folder that holds one folder per class."
    case .noClasses(let root):
      "\(root.displayed): no class folders. Make one folder per class and put its photos inside, or"
        + " say in a table what each photo shows: --labels TABLE"
    case .singleClass(let root, let name, let nested):
      "\(root.displayed): only one class, '\(name)'; at least two are needed. Add a folder with photos of what it"
        + " is to be told apart from."
        + (nested.isEmpty ? "" : " It holds folders (\(listed(nested))): is it the dataset itself?")
    case .mixedLayout(let root, let splits, let others):
      "\(root.displayed): split folders (\(listed(splits))) beside other folders with photos"
        + " (\(listed(others))). Move the others away, or prepare a run with --layout splits, which"
        + " leaves them out, or --layout classes, which takes every folder for a class."
    case .sharedFolders(let root, let outer, let inner):
      "\(root.displayed): \(listed(outer.map { "'\($0)'" }, limit: 3)) all hold the same folders"
        + " (\(listed(inner, limit: 5))), so "
        + (inner.allSatisfy { SplitName(folderName: $0)?.split != nil }
          ? "the split is probably below the classes. Put it above: train/\(outer[0]), test/\(outer[0])."
          : "those are probably the classes and the outer folders parts of the data. Name the parts"
            + " train, valid and test, or put their photos together.")
        + " If the outer folders are the classes after all, say --layout classes."
    case .splitsWithoutClasses(let root, let splits):
      "\(root.displayed): \(listed(splits.map { "'\($0)'" })) are parts of the data by their names, and hold"
        + " photos but no folder for each class. Name the labels in a table (--labels TABLE, or a"
        + " metadata.csv with file_name and label in each of them), or put the photos of a class in a folder"
        + " of its name. If these folders are the classes after all, say --layout classes."
    case .splitAmongClasses(let root, let split, let classes, let others):
      "\(root.displayed): '\(split)' is part of the data by its name"
        + (classes.isEmpty
          ? ", and stands beside the classes \(listed(others, limit: 3))."
          : " and holds \(listed(classes.map { "'\($0)'" }, limit: 3)) like the folders beside it.")
        + " Put the classes into a folder 'train' beside '\(split)', or move '\(split)' away. If it is a"
        + " class after all, say --layout classes."
    case .repeatedSplit(let split, let paths):
      "two folders for the \(split.rawValue) split: \(listed(paths)). Merge them."
    case .noTrainingFolder(let root):
      "\(root.displayed): split folders but no 'train' folder. Add one, or remove this level."
    case .outputInDataset(let root, let output):
      "\(output.displayed): lies inside the dataset \(root.displayed), where results would be taken"
        + " for photos. Choose a run directory outside it."
    default: nil
    }
  }

  private var classText: String? {
    switch self {
    case .emptyClass(let name, let bad):
      bad.isEmpty
        ? "class '\(name)' has no images. Add photos or remove its folder."
        : "class '\(name)' has 0 usable images; \(bad.count) of its files cannot be used:\n"
          + bad.prefix(10).map { "  \($0)\n" }.joined()
          + (bad.count > 10 ? "  and \(bad.count - 10) more, in bad_files.tsv\n" : "")
          + "Repair or convert them, add others, or remove the folder."
    case .tooFewImages(let classes, let needed):
      classes.map { "class '\($0.className)' has \($0.count) different usable images" }
        .joined(separator: ", ")
        + "; a split needs \(needed) that no other class has (photos of one picture or one group count as"
        + " one: --near-duplicates, --group-by). Add photos or remove the folders."
    case .reviewedClassIsMissing(let name, let path):
      "\(path): the review gave it the class '\(name)', which no folder or table has. Make the folder"
        + " again, or look at the photo anew: thaw review"
    case .classGone(let name):
      "class '\(name)' of this run has no photos any more, and its classes are what the network answers."
        + " Put photos back, or prepare into another --run."
    case .contradictingLabels(let groups):
      "\(groups.count == 1 ? "1 photo is" : "\(groups.count) photos are") in folders of several classes, so that their labels contradict each"
        + " other:\n"
        + groups.map { "  " + $0.map(\.description).joined(separator: " = ") + "\n" }.joined()
        + "Remove the wrong ones, or leave all of them out with --conflicting-labels drop."
    case .ambiguousClasses(let name, let paths):
      "class '\(name)' has several folders that look alike: \(listed(paths)). Rename or merge them."
    case .classNotInTraining(let name, let split):
      "class '\(name)' has photos in the \(split.rawValue) folder but none in the training folder."
        + " Add training photos or remove it."
    case .spelledOtherwise(let name, let split, let training):
      "class '\(name)' of the \(split.rawValue) folder is '\(training)' in the training folder. Give"
        + " them the same name."
    case .newClasses(let names):
      "new classes \(listed(names.map { "'\($0)'" })): the class list was written once with the"
        + " manifest. Start a new run, or allow new classes explicitly."
    default: nil
    }
  }

  private var contentText: String {
    switch self {
    case .badFiles(let bad, let total):
      "\(bad.count) of \(counted(total, "file")) cannot be used:\n"
        + bad.map { "  \($0)\n" }.joined()
        + (BadFilePolicy.skip.allows(bad.count, of: total)
          ? "Repair or remove them, or leave them out with --on-bad-image skip."
          : "Repair or remove them: they are more than every tenth, so that --on-bad-image skip would not"
            + " leave them out either.")
    case .tooManyBadFiles(let bad, let total, let limit):
      "\(bad.count) of \(counted(total, "file")) cannot be used, more than the \(Int(limit * 100)) % that may be"
        + " skipped:\n" + bad.map { "  \($0)\n" }.joined() + "Repair or remove them."
    case .changed(let path, let old, let new):
      "\(path.displayed): dataset changed: \(old) bytes when it was prepared, "
        + (new.map { "now \($0)" } ?? "now gone") + ". Run prepare again."
    case .contentsChanged(let path):
      "\(path.displayed): dataset changed: its contents are not those it had when it was prepared."
        + " Run prepare again."
    case .invalidManifest(let path, let key, let problem):
      "\(path.displayed): \(key): \(problem). Run prepare again."
    case .badTable(let file, let line, let problem):
      "\(file.displayed)\(line.map { ":\($0)" } ?? ""): \(problem)\(problem.hasSuffix(".") ? "" : ".")"
        + " Expected CSV, TSV or JSON lines with a path and a label for each photo."
    case .mismatchedTable(let file, let line, let problem):
      "\(file.displayed)\(line.map { ":\($0)" } ?? ""): \(problem)."
    case .badArchive(let file, let problem):
      "\(file.displayed): \(problem)."
        + (problem.contains("Unpack") || problem.contains("TMPDIR")
          ? "" : " Unpack it with a program you trust and name the folder.")
    case .badGrouping(let text, let problem):
      "--group-by \(text): \(problem). Give 'folder', a column of the table of labels, or a pattern on"
        + " the path such as '(?<patient>P\\d+)_'."
    case .unusable(let path, let reason): "\(path.displayed): \(reason)"
    case .nonFiniteFeatures(let content, let view):
      "features of photo \(content), view '\(view)': a value is infinite, not a number, or too large"
        + " for the cache's precision. Check the weights and the preprocessing, or use float32."
    case .system(let error): error.description
    default: ""
    }
  }
}

/// The first few of `items`, and how many more there are.
func listed(_ items: [some CustomStringConvertible], limit: Int = 10) -> String {
  items.prefix(limit).map(\.description).joined(separator: ", ")
    + (items.count > limit ? " and \(items.count - limit) more" : "")
}
