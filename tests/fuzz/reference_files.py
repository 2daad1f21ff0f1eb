"""State dicts of torch.save: one that imports becomes an adapter that loads."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch

from petl_ast import load_adapter
from petl_ast.config import ModelConfig, RunConfig, SpectrogramConfig
from petl_ast.utils.reference_import import import_reference
from tests.conftest import GOLDEN
from tests.fuzz.mutations import spoil_bytes

RUN = RunConfig(
    spectrogram=SpectrogramConfig(max_length=128),
    model=ModelConfig(
        backbone=str(GOLDEN / "backbone"), method_options={"reduction_rate": 6}, position_embeddings="zeros"
    ),
)


class Files:
    """The reader that the module names."""

    def __init__(self, workshop: Path) -> None:
        self.adapter = workshop / "adapter"
        with np.load(GOLDEN / "adapter_conformer_pfeiffer_parallel.npz") as record:
            state = {
                name.removeprefix("final/"): torch.from_numpy(np.array(record[name]))
                for name in record.files
                if name.startswith("final/")
            }
        self.originals = []
        for number, kind in enumerate(("zip", "zip", "legacy")):
            path = workshop / f"{number}.pth"
            torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
            self.originals.append(path)

        import_reference(self.originals[0], self.adapter, RUN)

    def make(self, rng: random.Random, case: Path) -> None:
        data, way = rng.choice(self.originals).read_bytes(), rng.randrange(6)
        if way == 0 or not zipfile.is_zipfile(io.BytesIO(data)):
            data = spoil_bytes(rng, data, rng.choice((None, 200)))
        elif way == 1:  # the directory at the end says something else
            data = data[:-200] + spoil_bytes(rng, data[-200:])
        else:
            data = self._archive(rng, data, way)
        (case / "best.pth").write_bytes(data)

    def _archive(self, rng: random.Random, data: bytes, way: int) -> bytes:
        new = io.BytesIO()
        packed = zipfile.ZIP_DEFLATED if way == 2 else zipfile.ZIP_STORED
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(new, "w", packed) as archive:
            victim = rng.choice(old.namelist())
            for name in old.namelist():
                content = old.read(name)
                if name.endswith("data.pkl") if way < 5 else name == victim:
                    content = spoil_bytes(rng, content)
                archive.writestr(name, content)
        return new.getvalue()

    def judge(self, rng: random.Random, case: Path) -> None:
        shutil.rmtree(self.adapter, ignore_errors=True)
        import_reference(case / "best.pth", self.adapter, RUN)
        model = load_adapter(self.adapter)
        assert model.settings["num_classes"] == 5
        assert all(tensor.isfinite().all() for tensor in model.trained_state().values())
