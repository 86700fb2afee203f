"""Whether a checkpoint folder may be opened: no file that runs code when loaded, the weights that were pinned. No torch."""

import hashlib
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jepa_ros.errors import JepaError

WEIGHTS, HEADS, EXPORT = "model.safetensors", "heads.safetensors", "export.json"
_PICKLE_SUFFIXES = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".joblib"}
_TENSORS_ONLY = re.compile(
    r"collections OrderedDict|torch (\w+Storage|Size|device)|torch\._utils _rebuild_(tensor_v2|parameter)"
)
"""What a file of tensors alone names, as the training state does; it is read with weights_only=True."""
_STRINGS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_id_of(sha256: str) -> str:
    """How messages, plans and files name the model whose weights have this sha256."""
    return sha256.lower()[:12]


def pinned_digests(pin: str) -> tuple[str, str]:
    """The sha256 of model.safetensors and that of heads.safetensors in ``pin``: 64 hex digits, and 64 more after a comma
    where heads are trusted too. "" for what is not pinned."""
    weights, _, heads = pin.lower().partition(",")
    if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pin.lower().split(",") if pin) or (
        pin.count(",") > 1
    ):
        raise JepaError(
            f"checkpoint_sha256 is {pin!r}; give the 64 hex digits that `sha256sum {WEIGHTS}` prints, and after a comma "
            f"those of {HEADS} where it may be used"
        )
    return weights, heads


def heads_may_be_used(checkpoint: str | Path, pin: str) -> bool:
    """Whether ``checkpoint`` has heads, and ``pin``, where it pins, pins them too."""
    return (Path(checkpoint) / HEADS).is_file() and (not pin or bool(pinned_digests(pin)[1]))


def require_digest(checkpoint: str | Path, pin: str) -> None:
    """JepaError where the sha256 of ``checkpoint``/model.safetensors, or of heads.safetensors, is not the pinned one (see
    ``pinned_digests``; "" takes any)."""
    for name, expected in zip((WEIGHTS, HEADS), pinned_digests(pin), strict=True):
        if expected:
            _require(Path(checkpoint) / name, expected)


def _require(path: Path, expected: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise JepaError(f"checkpoint {path}: {error.strerror}, so it cannot be the pinned one") from error
    if found != expected:
        raise JepaError(
            f"checkpoint {path}: refused, its sha256 is {found}, pinned is {expected}; take the file that "
            "was pinned, or pin this one with checkpoint_sha256"
        )


def refuse_code(checkpoint: str | Path) -> None:
    """JepaError with the name of a file in the folder that would run code where somebody unpickles it, and what it
    calls. Nothing is executed: pickles are read opcode by opcode."""
    for path in sorted(p for p in Path(checkpoint).iterdir() if p.is_file()):
        try:
            calls = sorted(set(_calls(path)))
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise JepaError(f"checkpoint {path}: refused, it cannot be looked through ({error})") from error
        if calls:
            shown = ", ".join(calls[:5]) + (", ..." if len(calls) > 5 else "")
            raise JepaError(
                f"checkpoint {path}: refused, it is a pickle with code ({shown}); remove the file, and ask for the "
                "weights as safetensors"
            )


def _calls(path: Path) -> Iterator[str]:
    with open(path, "rb") as file:
        begin = file.read(4)
        if begin == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".py"):
                        yield f"TorchScript {member.filename}"
                    with archive.open(member) as stream:
                        named = member.filename.endswith((".pkl", ".pickle"))
                        yield from _pickle_calls(stream) if named or _is_pickle(stream.peek(2)) else ()
        elif path.suffix in _PICKLE_SUFFIXES or _is_pickle(begin):
            file.seek(0)
            yield from _pickle_calls(file)


def _is_pickle(begin: bytes) -> bool:
    return len(begin) > 1 and begin[0] == 0x80 and 2 <= begin[1] <= 5


def _pickle_calls(stream: BinaryIO) -> Iterator[str]:
    """What a file of pickles, one after the other, would import, beyond what tensors need. An unpickler runs what
    comes before a damaged part, so that part only ends the list."""
    strings: list[str] = []
    while True:
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in _STRINGS:
                    strings.append(argument)
                elif opcode.name in ("GLOBAL", "INST") and not _TENSORS_ONLY.fullmatch(argument):
                    yield f"{opcode.name} {argument.replace(' ', '.', 1)}"
                elif opcode.name == "STACK_GLOBAL":
                    yield "STACK_GLOBAL " + ".".join(strings[-2:])
                elif opcode.name.startswith("EXT"):
                    yield f"{opcode.name} {argument}"
        except Exception:  # genops raises whatever a damaged argument makes it
            return
