"""Models found in the folders of those who download them, on made-up machines."""

from __future__ import annotations

import json
import os
from array import array
from pathlib import Path

import pytest

from penstock.discovery.gguf_write import Tensor, Value, write_gguf
from penstock.discovery.models import FoundModel, find_models

BLOB = "sha256-" + "a" * 64
PROJECTOR_BLOB = "sha256-" + "b" * 64


def gguf(path: Path, **changes: Value) -> Path:
    """A file that is a chat model, unless `changes` (dots written as __) make it something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.embedding_length": 64,
        "llama.block_count": 1,
        "tokenizer.ggml.model": "gpt2",
    }
    metadata |= {key.replace("__", "."): value for key, value in changes.items()}
    write_gguf(path, metadata, [Tensor("output.weight", (2,), array("f", [1.0, 2.0]))])
    return path


def projector(path: Path, width: int = 64) -> Path:
    return gguf(path, general__architecture="clip", clip__vision__projection_dim=width)


def found(home: Path, **environ: str) -> dict[str, FoundModel]:
    models = find_models(environ, home)
    assert len({model.name for model in models}) == len(models)
    return {model.name: model for model in models}


def hugging_face(hub: Path, repository: str, revision: str, file: str, blob: str, **changes: Value) -> Path:
    """A snapshot's link to a blob, as the Hub's client lays them out."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    if not (folder / "blobs" / blob).exists():
        gguf(folder / "blobs" / blob, **changes)
    link = folder / "snapshots" / revision / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(folder / "blobs" / blob, link.parent))
    return link


def test_an_empty_machine_has_no_models(tmp_path: Path) -> None:
    assert found(tmp_path) == {}


@pytest.mark.parametrize("variable", ["", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"])
def test_the_hubs_cache_is_found_where_its_variables_say(tmp_path: Path, variable: str) -> None:
    hub = {
        "": tmp_path / ".cache/huggingface/hub",
        "HF_HOME": tmp_path / "elsewhere/hub",
        "HF_HUB_CACHE": tmp_path / "elsewhere",
        "XDG_CACHE_HOME": tmp_path / "elsewhere/huggingface/hub",
    }[variable]
    link = hugging_face(hub, "org/some-GGUF", "abc", "some-Q4_K_M.gguf", "b1")
    models = found(tmp_path, **({variable: str(tmp_path / "elsewhere")} if variable else {}))
    assert [model.path for model in models.values()] == [link]
    assert models["some-Q4_K_M"].origin == "org/some-GGUF"


def test_a_file_in_two_revisions_is_one_model_and_the_one_in_main_counts(tmp_path: Path) -> None:
    hub = tmp_path / ".cache/huggingface/hub"
    hugging_face(hub, "org/repo", "1-old", "m.gguf", "old")
    new = hugging_face(hub, "org/repo", "2-new", "m.gguf", "new")
    hugging_face(hub, "org/repo", "3-same", "m.gguf", "new")
    (hub / "models--org--repo/refs").mkdir()
    (hub / "models--org--repo/refs/main").write_text("2-new")
    assert [model.path for model in found(tmp_path).values()] == [new]


def test_the_same_file_in_two_places_is_one_model(tmp_path: Path) -> None:
    own = gguf(tmp_path / "own/m.gguf")
    (tmp_path / ".lmstudio/models/pub/repo").mkdir(parents=True)
    (tmp_path / ".lmstudio/models/pub/repo/m.gguf").hardlink_to(own)
    assert [model.path for model in find_models({}, tmp_path, [tmp_path / "own"])] == [own]


def test_shards_are_one_model_with_the_size_of_all(tmp_path: Path) -> None:
    shards = [
        gguf(
            tmp_path / f".lmstudio/models/p/r/big-Q8_0-0000{number}-of-00003.gguf", split__no=number - 1, split__count=3
        )
        for number in (1, 2, 3)
    ]
    (name, model), = found(tmp_path).items()  # fmt: skip
    assert (name, model.path) == ("big-Q8_0", shards[0])
    assert model.file_bytes == sum(shard.stat().st_size for shard in shards)
    shards[1].unlink()
    assert found(tmp_path) == {}


def test_a_projector_is_paired_with_the_models_beside_it_and_is_none_itself(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio/models/pub/vision-GGUF"
    gguf(folder / "vision-4b-Q4_K_M.gguf")
    gguf(folder / "vision-4b-Q8_0.gguf")
    projector(folder / "mmproj-vision-4b-BF16.gguf")
    best = projector(folder / "mmproj-F16.gguf")
    assert {name: model.mmproj for name, model in found(tmp_path).items()} == {
        "vision-4b-Q4_K_M": best,
        "vision-4b-Q8_0": best,
    }


def test_in_a_folder_of_many_models_a_projector_goes_by_its_name_and_its_width(tmp_path: Path) -> None:
    for name in ("eagle-2.5-VL-7B-Q4_K_M", "eagle-2.5-VL-3B-Q4_K_M", "owl-7B-Q4_K_M", "owl-7B-Q6_K"):
        gguf(tmp_path / "own" / f"{name}.gguf")
    seven = projector(tmp_path / "own/mmproj-eagle-2.5-VL-7B-f16.gguf")
    projector(tmp_path / "own/owl-7B.mmproj-Q8_0.gguf", width=4096)  # of another model of the same name
    projector(tmp_path / "own/mmproj-F16.gguf")  # nobody can tell whose it is
    models = find_models({}, tmp_path, [tmp_path / "own"])
    assert [model.name for model in models if model.mmproj] == ["eagle-2.5-VL-7B-Q4_K_M"]
    assert [model.mmproj for model in models if model.mmproj] == [seven]


def test_llama_cpps_downloads_carry_their_repository_in_the_name(tmp_path: Path) -> None:
    cache = tmp_path / ".cache/llama.cpp"
    gguf(cache / "ggml-org_sight-4b-GGUF_sight-4b-Q4_K_M.gguf")
    gguf(cache / "ggml-org_other-GGUF_other-Q8_0.gguf")
    own = projector(cache / "ggml-org_sight-4b-GGUF_mmproj-model-f16.gguf")
    models = found(tmp_path)
    assert {name: model.mmproj for name, model in models.items()} == {"sight-4b-Q4_K_M": own, "other-Q8_0": None}
    assert models["sight-4b-Q4_K_M"].origin == "ggml-org/sight-4b-GGUF"


def test_ollamas_models_keep_the_names_that_ollama_gives_them(tmp_path: Path) -> None:
    store = tmp_path / ".ollama/models"
    gguf(store / "blobs" / BLOB)
    projector(store / "blobs" / PROJECTOR_BLOB)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": BLOB.replace("-", ":")},
        {"mediaType": "application/vnd.ollama.image.projector", "digest": PROJECTOR_BLOB.replace("-", ":")},
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:../../../etc/passwd"},
    ]
    manifest = store / "manifests/registry.ollama.ai/library/llama3.2/3b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": layers}))
    (manifest.parent / "broken").write_text("[{")
    ((name, model),) = found(tmp_path).items()
    assert (name, model.path.name, model.mmproj and model.mmproj.name) == ("llama3.2:3b", BLOB, PROJECTOR_BLOB)


def test_models_of_one_name_are_told_apart_by_their_origin(tmp_path: Path) -> None:
    gguf(tmp_path / ".lmstudio/models/ann/repo/m.gguf")
    gguf(tmp_path / ".lmstudio/models/bob/repo/m.gguf")
    gguf(tmp_path / "own/m.gguf")
    names = [model.name for model in find_models({"LLAMA_ARG_MODELS_DIR": str(tmp_path / "own")}, tmp_path)]
    assert names == ["ann/repo/m", "bob/repo/m", "m"]


def test_what_is_no_model_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio/models/pub/repo"
    gguf(folder / "adapter.gguf", general__type="adapter")
    (folder / "broken.gguf").write_bytes(b"GGUF")
    (folder / "dangling.gguf").symlink_to(folder / "nowhere")
    (folder / "circle").symlink_to(folder)
    gguf(folder / "good.gguf")
    assert list(found(tmp_path)) == ["good"]
