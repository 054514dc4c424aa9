# SPDX-License-Identifier: Apache-2.0
"""Writes small archives of made-up photos as Python, Info-ZIP and GNU tar make them.

Usage: python Tools/make_archive_fixtures.py Tests/DatasetsTests/Fixtures
(needs the commands zip and tar)

Every archive in archives/ holds the same: eight files in the folders a and b, which the tests' own verifier
takes for photos, one of them below a long name, a text, and a link where the format has any.
"""

import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

CHANGED = 1714979106


def make_tree(root):
    for name in "ab":
        folder = root / name / ("deep " * 12).strip() / ("er " * 20).strip()
        folder.mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.pnm").write_text(f"FAKE 4 3 {name}/{number}")
        (folder / "ü.pnm").write_text(f"FAKE 4 3 {name} deep")
    (root / "a" / "notes.txt").write_text("no photo")
    os.symlink("0.pnm", root / "a" / "link.pnm")
    for path in root.rglob("*"):
        os.utime(path, (CHANGED, CHANGED), follow_symlinks=False)


def members(root):
    return sorted(path.relative_to(root) for path in root.rglob("*"))


def main():
    target = pathlib.Path(sys.argv[1]).resolve() / "archives"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place) / "photos"
        root.mkdir()
        make_tree(root)
        with zipfile.ZipFile(target / "python.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = b"made by Python"
            for path in members(root):
                if not (root / path).is_symlink():
                    archive.write(root / path, path)
        (target / "info-zip.zip").unlink(missing_ok=True)
        subprocess.run(["zip", "-qry", target / "info-zip.zip", "photos"], cwd=place, check=True)
        # To a pipe: sizes and checksums follow the contents.
        streamed = subprocess.run(["zip", "-qr", "-", ".", "-x", "a/link.pnm"], cwd=root,
                                  check=True, stdout=subprocess.PIPE)
        (target / "streamed.zip").write_bytes(streamed.stdout)
        for name, form in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=form) as archive:
                for path in members(root):
                    archive.add(root / path, path, recursive=False)
            (target / f"{name}.tar").write_bytes(out.getvalue())
        options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]
        subprocess.run(["tar", "czf", target / "gnu-tar.tar.gz", *options, "."], cwd=root, check=True)


main()
