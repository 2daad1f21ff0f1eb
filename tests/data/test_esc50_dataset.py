"""Data sets in ESC-50's layout: the clips, labels and folds a csv means, and what is wrong with a bad one."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

from petl_ast.config import SpectrogramConfig
from petl_ast.data.audio import read_waveform
from petl_ast.data.esc50_dataset import ESC50Dataset, FoldSplit
from petl_ast.data.spectrogram import log_mel
from petl_ast.errors import UserError
from tests.conftest import CLASS_NAMES, Rows, write_miniature, write_rows

CONFIG = SpectrogramConfig(num_mel_bins=40, max_length=60)


def make_rows(folds: list[int], targets: dict[int, str]) -> Rows:
    """One clip of every target in every fold."""
    return [
        {"filename": f"{fold}-{target}.wav", "fold": str(fold), "target": str(target), "category": name}
        for fold in folds
        for target, name in targets.items()
    ]


def listed(root: Path, rows: Rows) -> ESC50Dataset:
    """The data set of these rows, without any audio."""
    root.mkdir(exist_ok=True)
    write_rows(root, rows)
    return ESC50Dataset(root)


@pytest.fixture
def rows(miniature: Path) -> Rows:
    """The rows of the miniature's csv, to be changed and written back."""
    with (miniature / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# What the csv means


def test_clips_folds_and_classes_of_the_miniature(shared_miniature):
    dataset = ESC50Dataset(shared_miniature)
    assert len(dataset) == 30
    assert dataset.folds == [1, 2, 3, 4, 5]
    assert dataset.class_names == CLASS_NAMES
    assert Counter((clip.fold, clip.label) for clip in dataset.clips) == {
        (fold, label): 2 for fold in range(1, 6) for label in range(3)
    }
    assert all(clip.path.is_file() for clip in dataset.clips)
    assert dataset.spectrogram == SpectrogramConfig()
    assert ESC50Dataset(str(shared_miniature)).clips == dataset.clips


@settings(deadline=None, max_examples=50)
@given(
    targets=st.lists(st.integers(0, 999), min_size=1, max_size=8, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_labels_are_contiguous_in_the_order_of_the_targets(targets, order):
    names = {target: f"class of {target}" for target in targets}
    rows = make_rows([1, 2, 3], names)
    order.shuffle(rows)
    with tempfile.TemporaryDirectory() as root:
        dataset = listed(Path(root), rows)
    assert dataset.class_names == [names[target] for target in sorted(targets)]
    for clip, row in zip(dataset.clips, rows, strict=True):  # in the csv's order
        assert clip.path == dataset.root / "audio" / row["filename"]
        assert [str(clip.fold), str(clip.target)] == [row["fold"], row["target"]]
        assert clip.category == row["category"]
        assert sorted(targets)[clip.label] == clip.target


def test_subset_esc10_numbers_its_own_classes(miniature, rows):
    for row in rows:
        row["esc10"] = {"low_tone": "False", "noise": "True", "high_tone": " true"}[row["category"]]
    write_rows(miniature, rows)
    dataset = ESC50Dataset(miniature, subset="esc10")
    assert len(dataset) == 20
    assert dataset.class_names == ["noise", "high_tone"]
    assert {(clip.target, clip.label) for clip in dataset.clips} == {(10, 0), (41, 1)}
    assert len(ESC50Dataset(miniature)) == 30


def test_subset_all_needs_no_column_esc10(miniature, rows):
    write_rows(miniature, [{key: row[key] for key in row if key != "esc10"} for row in rows])
    assert len(ESC50Dataset(miniature)) == 30


def test_indices_are_the_positions_of_the_folds_clips(miniature, rows):
    rows = rows[::-1]
    write_rows(miniature, rows)
    dataset = ESC50Dataset(miniature)
    assert dataset.indices([2, 4]) == [i for i, row in enumerate(rows) if row["fold"] in "24"]
    assert dataset.indices([]) == dataset.indices([9]) == []
    assert dataset.indices(dataset.folds) == list(range(30))


def as_csv(rows: Rows, **options: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n", **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


HARMLESS: dict[str, Callable[[Rows], bytes]] = {
    "byte order mark": lambda rows: as_csv(rows).encode("utf-8-sig"),
    "Windows line ends": lambda rows: as_csv(rows).replace("\n", "\r\n").encode(),
    "no line end at the end": lambda rows: as_csv(rows).rstrip().encode(),
    "everything quoted": lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL).encode(),
    "blank lines": lambda rows: as_csv(rows).replace("\n", "\n\n").encode() + b"\n\n",
    "rows of commas": lambda rows: as_csv(rows).replace("\n", "\n,,,,,,\n").encode(),
    "more columns": lambda rows: as_csv([{"note": "a, b", **row, "more": ""} for row in rows]).encode(),
    "only the columns needed": lambda rows: as_csv(
        [{key: row[key] for key in ("category", "target", "filename", "fold")} for row in rows]
    ).encode(),
    "spaces around values": lambda rows: as_csv(
        [{key: f" {value} " for key, value in row.items()} for row in rows]
    ).encode(),
}


@pytest.mark.parametrize("variant", HARMLESS)
def test_harmless_variants_of_the_csv_mean_the_same(miniature, rows, variant):
    expected = ESC50Dataset(miniature).clips
    (miniature / "meta" / "esc50.csv").write_bytes(HARMLESS[variant](rows))
    dataset = ESC50Dataset(miniature)
    assert dataset.clips == expected
    assert dataset.class_names == CLASS_NAMES


@pytest.mark.parametrize("name", ["tone, low", 'the "low" one', "Ton, tief: Größe", "低い音"])
def test_class_names_are_kept_as_they_are(tmp_path, name):
    assert listed(tmp_path, make_rows([1, 2, 3], {0: name, 1: "other"})).class_names == [name, "other"]


# Items


def test_items_are_spectrogram_and_label_in_the_order_of_the_csv(shared_miniature, tmp_path):
    dataset = ESC50Dataset(shared_miniature, spectrogram=CONFIG, cache=tmp_path)
    items = list(dataset)
    assert len(items) == len(dataset)
    for (spectrogram, label), clip in zip(items, dataset.clips, strict=True):
        assert spectrogram.shape == (60, 40)
        assert spectrogram.dtype == torch.float32
        assert isinstance(label, int)
        assert label == clip.label
        expected = log_mel([read_waveform(clip.path, CONFIG.sampling_rate)], CONFIG)[0]
        torch.testing.assert_close(spectrogram, expected, rtol=0, atol=1e-4)


def test_changing_an_item_changes_nothing_else(shared_miniature, tmp_path):
    dataset = ESC50Dataset(shared_miniature, spectrogram=CONFIG, cache=tmp_path)
    first, _ = dataset[0]
    kept = first.clone()
    first.zero_()
    assert torch.equal(dataset[0][0], kept)


def test_items_make_batches(shared_miniature, tmp_path):
    dataset = ESC50Dataset(shared_miniature, spectrogram=CONFIG, cache=tmp_path)
    positions = dataset.indices([3])
    ((batch, labels),) = DataLoader(Subset(dataset, positions), batch_size=6)
    assert batch.shape == (6, 60, 40)
    assert labels.tolist() == [dataset.clips[i].label for i in positions]


def test_spectrograms_are_computed_once_and_shared_through_the_cache(shared_miniature, tmp_path):
    calls: list[int] = []
    dataset = ESC50Dataset(shared_miniature, spectrogram=CONFIG, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()  # listing clips costs nothing
    spectrograms = dataset.load_spectrograms(lambda: calls.append(1))
    assert spectrograms.shape == (30, 60, 40)
    assert len(calls) == 30
    dataset.load_spectrograms(lambda: calls.append(1))
    again = ESC50Dataset(shared_miniature, spectrogram=CONFIG, cache=tmp_path / "cache")
    np.testing.assert_array_equal(again.load_spectrograms(lambda: calls.append(1)), spectrograms)
    assert len(calls) == 30


def test_silent_clip_is_used_and_listed(miniature, tmp_path):
    quiet = ESC50Dataset(miniature).clips[7]
    soundfile.write(quiet.path, np.zeros(8000), 16000)
    for _ in ("cold", "warm"):
        dataset = ESC50Dataset(miniature, spectrogram=CONFIG, cache=tmp_path / "cache")
        assert dataset.silent == []
        spectrogram, label = dataset[7]
        assert torch.isfinite(spectrogram).all()
        assert label == quiet.label
        assert dataset.silent == [quiet.path.name]


def test_bad_clips_are_reported_together_at_the_first_access(miniature, tmp_path):
    dataset = ESC50Dataset(miniature, spectrogram=CONFIG, cache=tmp_path / "cache")
    missing, text = dataset.clips[3].path, dataset.clips[20].path
    missing.unlink()
    text.write_text("not a sound")
    with pytest.raises(UserError, match="2 of 30 clips") as caught:
        dataset[0]
    assert str(missing) in str(caught.value)
    assert str(text) in str(caught.value)


# Folds


def test_five_folds_rotate_as_in_the_paper(shared_miniature):
    dataset = ESC50Dataset(shared_miniature)
    assert {test: dataset.split(test) for test in dataset.folds} == {
        5: FoldSplit(train=(1, 2, 3), validation=4, test=5),
        1: FoldSplit(train=(2, 3, 4), validation=5, test=1),
        2: FoldSplit(train=(3, 4, 5), validation=1, test=2),
        3: FoldSplit(train=(1, 4, 5), validation=2, test=3),
        4: FoldSplit(train=(1, 2, 5), validation=3, test=4),
    }


@settings(deadline=None, max_examples=50)
@given(
    folds=st.lists(st.integers(0, 30), min_size=3, max_size=12, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_folds_of_any_number_rotate(folds, order):
    rows = make_rows(folds, {0: "a", 1: "b"})
    order.shuffle(rows)
    with tempfile.TemporaryDirectory() as root:
        dataset = listed(Path(root), rows)
    assert dataset.folds == sorted(folds)
    before = dict(zip(dataset.folds, [dataset.folds[-1], *dataset.folds], strict=False))
    for test in folds:
        split = dataset.split(test)
        assert split.test == test
        assert split.validation == before[test]
        assert sorted([*split.train, split.validation, split.test]) == dataset.folds
        held_out = dataset.indices([split.validation]) + dataset.indices([test])
        assert sorted(dataset.indices(split.train) + held_out) == list(range(len(dataset)))


@pytest.mark.parametrize("fold", [0, 6, -1])
def test_fold_that_does_not_exist(shared_miniature, fold):
    with pytest.raises(UserError, match=rf"no fold {fold} .*\[1, 2, 3, 4, 5\]"):
        ESC50Dataset(shared_miniature).split(fold)


@pytest.mark.parametrize("folds", [1, 2])
def test_too_few_folds(tmp_path, folds):
    write_miniature(tmp_path, clips_per_fold=1, folds=folds, seconds=0.01)
    with pytest.raises(UserError, match="at least three"):
        ESC50Dataset(tmp_path).split(1)


def test_class_that_the_training_folds_lack_is_named(tmp_path):
    rows = make_rows([1, 2, 3, 4, 5], {0: "a", 1: "b"})
    rows += make_rows([4, 5], {2: "rare"})
    dataset = listed(tmp_path, rows)
    with pytest.raises(UserError, match=r"fold 5 .*\[1, 2, 3\].*: rare\."):
        dataset.split(5)
    assert dataset.split(1).train == (2, 3, 4)


# What is wrong


def test_missing_data_set_says_how_to_get_one(tmp_path):
    with pytest.raises(UserError) as caught:
        ESC50Dataset(tmp_path / "nowhere")
    message = str(caught.value)
    assert str(tmp_path / "nowhere") in message
    assert "bash download_data.sh" in message
    assert "make demo" in message


@pytest.mark.parametrize("column", ["filename", "fold", "target", "category"])
def test_missing_column_is_named(miniature, rows, column):
    write_rows(miniature, [{key: row[key] for key in row if key != column} for row in rows])
    with pytest.raises(UserError, match=rf"esc50\.csv has no column {column};.*src_file, take"):
        ESC50Dataset(miniature)


def test_subset_esc10_needs_its_column(miniature, rows):
    write_rows(miniature, [{key: row[key] for key in row if key != "esc10"} for row in rows])
    with pytest.raises(UserError, match="has no column esc10"):
        ESC50Dataset(miniature, subset="esc10")


def test_subset_esc10_without_any_clip(miniature, rows):
    write_rows(miniature, [row | {"esc10": "False"} for row in rows])
    with pytest.raises(UserError, match="no clips marked as esc10"):
        ESC50Dataset(miniature, subset="esc10")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its columns are: none"),
        (b"\n\n", "no column filename, fold, target, category"),
        (b"filename,fold,target,category\n", "lists no clips"),
        (b"filename,fold,target,category\n\n,,,\n", "lists no clips"),
        (b"filename;fold;target;category\na.wav;1;0;dog\n", "no column"),
        ("filename,fold,target,category\na.wav,1,0,Bär\n".encode("latin-1"), "UTF-8"),
        ("filename,fold,target,category\na.wav,1,0,dog\n".encode("utf-16"), "UTF-8"),
        (b"filename,fold,target,category\n" + 200_000 * b"a", "cannot be read"),
    ],
)
def test_unusable_csv(miniature, content, reason):
    path = miniature / "meta" / "esc50.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        ESC50Dataset(miniature)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fold": "one"}, "fold is 'one', not a whole number"),
        ({"fold": "1.0"}, r"fold is '1\.0', not a whole number"),
        ({"fold": "-1"}, "fold is '-1', not a whole number"),
        ({"fold": ""}, "no fold"),
        ({"target": "dog"}, "target is 'dog', not a whole number"),
        ({"target": "²"}, "target is '²', not a whole number"),
        ({"target": " "}, "no target"),
        ({"category": ""}, "no category"),
        ({"filename": ""}, "no filename"),
        ({"filename": "", "category": ""}, "no filename, category"),
        ({"filename": "../1-100-A-2.wav"}, "not a plain file name"),
        ({"filename": "a/../../b.wav"}, "not a plain file name"),
        ({"filename": "sub/1-100-A-2.wav"}, "not a plain file name"),
        ({"filename": "/etc/passwd"}, "not a plain file name"),
        ({"filename": "C:\\sounds\\a.wav"}, "not a plain file name"),
        ({"filename": "..\\a.wav"}, "not a plain file name"),
        ({"filename": ".."}, "not a plain file name"),
        ({"filename": "."}, "not a plain file name"),
        ({"filename": "audio/"}, "not a plain file name"),
    ],
)
def test_bad_row_is_named_by_its_line(miniature, rows, change, reason):
    rows[4] |= change  # behind the header and four rows
    write_rows(miniature, rows)
    with pytest.raises(UserError, match=reason) as caught:
        ESC50Dataset(miniature)
    assert f"{miniature / 'meta' / 'esc50.csv'}, line 6: " in str(caught.value)


def test_row_cut_short(miniature):
    path = miniature / "meta" / "esc50.csv"
    path.write_text("filename,fold,target,category\na.wav,1,0,dog\nb.wav,1")
    with pytest.raises(UserError, match="line 3: no target, category"):
        ESC50Dataset(miniature)


def test_clip_listed_twice(miniature, rows):
    rows[9]["filename"] = rows[2]["filename"]
    write_rows(miniature, rows)
    with pytest.raises(UserError, match="more than once") as caught:
        ESC50Dataset(miniature)
    assert rows[2]["filename"] in str(caught.value)
    assert rows[3]["filename"] not in str(caught.value)


def test_target_with_two_categories(miniature, rows):
    rows[0]["category"] = "hum"
    write_rows(miniature, rows)
    with pytest.raises(UserError, match=r"one to one:\s+2$"):
        ESC50Dataset(miniature)


def test_category_with_two_targets(miniature, rows):
    rows[0]["target"] = "7"
    write_rows(miniature, rows)
    with pytest.raises(UserError, match=r"one to one:\s+low_tone$"):
        ESC50Dataset(miniature)


def test_real_esc10(esc10_root):
    dataset = ESC50Dataset(esc10_root, subset="esc10")
    assert len(dataset) == 400
    assert dataset.class_names == [
        "dog",
        "rooster",
        "rain",
        "sea_waves",
        "crackling_fire",
        "crying_baby",
        "sneezing",
        "clock_tick",
        "helicopter",
        "chainsaw",
    ]
    assert sorted({clip.target for clip in dataset.clips}) == [0, 1, 10, 11, 12, 20, 21, 38, 40, 41]
    assert Counter((clip.fold, clip.label) for clip in dataset.clips) == {
        (fold, label): 8 for fold in range(1, 6) for label in range(10)
    }
    assert all(clip.path.is_file() for clip in dataset.clips)
    assert len(dataset.indices(dataset.split(5).train)) == 240


def test_csv_with_semicolons_gets_the_remedy(miniature):
    path = miniature / "meta" / "esc50.csv"
    path.write_text(path.read_text().replace(",", ";"))
    with pytest.raises(UserError, match="with commas, not semicolons"):
        ESC50Dataset(miniature)


# Leaving out what cannot be used


def test_skip_uses_the_good_rows_and_tells_the_others(miniature, rows):
    rows[3]["fold"] = "one"
    rows[9] = dict(rows[8])
    write_rows(miniature, rows)
    dataset = ESC50Dataset(miniature, on_error="skip")
    assert [clip.path.name for clip in dataset.clips] == [
        row["filename"] for i, row in enumerate(rows) if i not in (3, 9)
    ]
    assert [(problem.clip, problem.line) for problem in dataset.skipped] == [
        (rows[3]["filename"], 5),
        (rows[8]["filename"], 11),
    ]
    assert dataset.class_names == CLASS_NAMES


def test_skip_drops_unusable_clips_with_the_spectrograms(miniature, tmp_path):
    bad = [clip.path for clip in ESC50Dataset(miniature).clips[4:21:8]]
    for path in bad:
        path.write_text("not a sound")
    for _ in ("cold", "warm"):
        dataset = ESC50Dataset(miniature, spectrogram=CONFIG, cache=tmp_path / "cache", on_error="skip")
        spectrograms, labels = dataset.tensors()
        assert len(dataset) == len(spectrograms) == len(labels) == 27
        assert [problem.clip for problem in dataset.skipped] == [path.name for path in bad]
        for i in (0, 4, 26):  # what is behind a gap has moved up with its label
            expected = log_mel([read_waveform(dataset.clips[i].path, CONFIG.sampling_rate)], CONFIG)[0]
            torch.testing.assert_close(dataset[i][0], expected, rtol=0, atol=1e-4)
            assert dataset[i][1] == dataset.clips[i].label
    with pytest.raises(UserError, match="3 of 30 clips"):
        ESC50Dataset(miniature, spectrogram=CONFIG, cache=tmp_path / "cache").load_spectrograms()


@pytest.mark.parametrize(
    ("gone", "named"), [("category", "class noise"), ("fold", "fold 3")], ids=["class", "fold"]
)
def test_skip_does_not_go_on_without_a_class_or_a_fold(miniature, rows, tmp_path, gone, named):
    lost = [row for row in rows if row[gone] in ("noise", "3")]
    kept = {row["filename"]: (miniature / "audio" / row["filename"]).read_bytes() for row in lost}
    for name in kept:
        (miniature / "audio" / name).unlink()
    dataset = ESC50Dataset(miniature, spectrogram=CONFIG, cache=tmp_path / "cache", on_error="skip")
    with pytest.raises(UserError, match=f"nothing is left of: {named}"):
        dataset.load_spectrograms()
    for name, content in kept.items():
        (miniature / "audio" / name).write_bytes(content)
    for row in lost:
        row["filename"] = "../" + row["filename"]
    write_rows(miniature, rows)
    with pytest.raises(UserError, match=f"nothing is left of: {named}"):
        ESC50Dataset(miniature, on_error="skip")


def test_skip_with_no_usable_row_at_all(miniature, rows):
    write_rows(miniature, [row | {"fold": "x"} for row in rows])
    with pytest.raises(UserError, match="nothing is left"):
        ESC50Dataset(miniature, on_error="skip")


def test_a_link_inside_the_data_folder_is_fine(miniature, rows):
    audio = miniature / "audio"
    (miniature / "store").mkdir()
    (audio / rows[0]["filename"]).rename(miniature / "store" / "a.wav")
    (audio / rows[0]["filename"]).symlink_to(Path("..") / "store" / "a.wav")
    assert len(ESC50Dataset(miniature)) == 30


def test_a_hundred_thousand_rows_are_read(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "audio").mkdir()
    with (tmp_path / "meta" / "esc50.csv").open("w") as file:
        file.write("filename,fold,target,category\n")
        file.writelines(f"{i}.wav,{i % 5},{i % 50},class {i % 50}\n" for i in range(100_000))
    dataset = ESC50Dataset(tmp_path)
    assert len(dataset) == 100_000
    assert len(dataset.class_names) == 50
