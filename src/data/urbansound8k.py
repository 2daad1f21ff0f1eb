"""UrbanSound8K: metadata/UrbanSound8K.csv with ten folds, audio/fold1 to audio/fold10 with the clips.

Source: J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM Multimedia
2014. Its authors ask for the ten folds as they are: slices of one recording lie in one fold.
"""

from __future__ import annotations

from pathlib import Path

from .csv_rows import number_fault, read_rows, short
from .inside import inside
from .listing import Clip, Listing, Rows

CSV = Path("metadata/UrbanSound8K.csv")
COLUMNS = ("slice_file_name", "fold", "classID", "class")


def read_urbansound8k(root: Path) -> Listing:
    """List the clips in the csv's order.

    Raises:
        UserError: if the csv cannot be read; one row's own faults are in `Listing.problems`.
    """
    path = root / CSV
    rows = Rows(path, "fold, classID or class")
    check = inside(root)
    for line, row in read_rows(path, COLUMNS):
        file = row["slice_file_name"]
        name = f"fold{row['fold']}/{file}"
        if reason := number_fault(row, ("fold", "classID")):
            rows.report(name, line, reason)
            continue
        fold, target = int(row["fold"]), int(row["classID"])
        rows.listing.folds.add(fold)
        rows.listing.targets.setdefault(target, row["class"])
        if not file or "/" in file or not row["class"]:
            reason = f"{short(file)} of class {short(row['class'])}: a file's name and a class are needed."
        if reason := reason or check(f"audio/{name}"):
            rows.report(name, line, reason)
        else:
            rows.add(line, Clip(root / "audio" / name, name, fold, target, row["class"]))
    return rows.finish()
