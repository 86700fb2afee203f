"""A checkpoint folder with code in it is refused by name and nothing of it runs; a pin takes one file only."""

import hashlib
import os
import pickle
import shutil
import zipfile

import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import WEIGHTS, file_sha256, refuse_code, require_digest

SPEC = ActionSpec(("a",), (-0.1,), (0.1,), (-1.0,), (1.0,), std=(0.05,))


class Hostile:
    """Its pickle makes a folder where it is loaded."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=8, predictor_width=16), SPEC)
    save_checkpoint(folder, model, {"goal_tolerance": 0.2})
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "ckpt")


def in_zip(path, content, member):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["weights.pt", "model.pkl", "archive/data.pkl", "archive/renamed"])
def test_pickle_with_code_is_named_and_not_run(folder, tmp_path, protocol, name):
    trace = tmp_path / "trace"
    content = pickle.dumps(Hostile(trace), protocol)
    if name.startswith("archive"):
        if name == "archive/renamed" and protocol < 2:
            pytest.skip("no header tells such a pickle from text")
        in_zip(folder / "best.pth", content, name)
    else:
        (folder / name).write_bytes(content)
    wanted = "best.pth" if name.startswith("archive") else name
    with pytest.raises(JepaError, match=rf"{wanted}: refused.*(posix\.mkdir)"):
        load_checkpoint(folder)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists()  # it would have run


def test_weights_that_are_a_pickle_are_named(folder, tmp_path):
    torch.save({"model": Hostile(tmp_path / "trace")}, folder / WEIGHTS)
    with pytest.raises(JepaError, match=r"model\.safetensors: refused.*posix\.mkdir"):
        load_checkpoint(folder)
    assert not (tmp_path / "trace").exists()


def test_code_before_a_damaged_part_and_behind_another_pickle_is_found(folder, tmp_path):
    hostile = pickle.dumps(Hostile(tmp_path / "trace"), 2)
    (folder / "cut.pt").write_bytes(hostile[:-1] + b"\xff\xff")
    with pytest.raises(JepaError, match=r"cut\.pt.*posix\.mkdir"):
        refuse_code(folder)
    (folder / "cut.pt").write_bytes(pickle.dumps({"harmless": 1}, 2) + hostile)
    with pytest.raises(JepaError, match=r"cut\.pt.*posix\.mkdir"):
        refuse_code(folder)


@pytest.mark.parametrize("name", ["torch load", "torch.hub load", "builtins eval", "numpy load"])
def test_only_what_makes_tensors_is_let_through(folder, name):
    module, function = name.split()
    (folder / "a.pt").write_bytes(
        b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"(X\x01\x00\x00\x00xtR."
    )
    with pytest.raises(JepaError, match=f"GLOBAL {module}.{function}"):
        refuse_code(folder)


def test_torchscript_is_named(folder):
    module = torch.jit.script(torch.nn.Linear(1, 1))
    torch.jit.save(module, str(folder / "policy.pt"))
    with pytest.raises(JepaError, match=r"policy\.pt: refused.*TorchScript"):
        refuse_code(folder)


def test_damaged_archive_is_refused_not_a_traceback(folder):
    (folder / "best.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(JepaError, match=r"best\.pt: refused, it cannot be looked through"):
        refuse_code(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_state_of_tensors_is_let_through(folder, zipped):
    optimizer = torch.optim.AdamW(
        [torch.nn.Parameter(torch.ones(3, dtype=kind)) for kind in (None, torch.float64)]
    )
    optimizer.param_groups[0]["params"][0].sum().backward()
    optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "step": 3, "random": torch.get_rng_state()}
    torch.save(state, folder / "training_state.pt", _use_new_zipfile_serialization=zipped)
    assert load_checkpoint(folder).goal_tolerance == 0.2


def test_pin_takes_the_file_it_names(folder):
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert file_sha256(folder / WEIGHTS) == digest
    assert load_checkpoint(folder, sha256=digest).model_id == digest[:12]
    assert load_checkpoint(folder, sha256=digest.upper()).model_id == digest[:12]


def test_mismatch_says_what_was_expected_and_found(folder):
    digest = file_sha256(folder / WEIGHTS)
    with open(folder / WEIGHTS, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(JepaError) as error:
        load_checkpoint(folder, sha256=digest)
    assert digest in str(error.value) and file_sha256(folder / WEIGHTS) in str(error.value)


@pytest.mark.parametrize("pin", [" ", "abc", "g" * 64, "0" * 63])
def test_malformed_pin_is_refused(folder, pin):
    with pytest.raises(JepaError, match="64 hex digits"):
        require_digest(folder, pin)


def test_pinned_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(JepaError, match="model.safetensors: No such file"):
        require_digest(tmp_path, "0" * 64)
