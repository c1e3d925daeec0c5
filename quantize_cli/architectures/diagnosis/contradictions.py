"""Shapes that config.json contradicts: which of its numbers is wrong, or what has changed the tensors."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.diagnosis.search import Change, fits, fitting_changes, gives, with_value
from quantize_cli.architectures.diagnosis.text import contradictions, counted, placed, places
from quantize_cli.architectures.examine import EMBEDDING, OUTPUT, Findings, Wrong
from quantize_cli.errors import CheckpointError

#: Ways to split a matrix over devices.
_SLICES = (2, 4, 8, 16, 32, 64)


def empty(found: Findings) -> CheckpointError | None:
    """Tell of tensors without values."""
    infos = found.arranged.empty
    if not infos:
        return None
    zero3 = all(info.shape == (0,) for info in infos)
    how = (
        ", as DeepSpeed ZeRO-3 leaves them if it saves without gathering; gather them with zero_to_fp32.py, or save "
        "again with stage3_gather_16bit_weights_on_model_save"
    )
    other = f" (the first has the shape {list(infos[0].shape)}); save the model again"
    what = f"{counted(len(infos), 'tensor')} without values ({places(infos)})"
    return CheckpointError(f"{found.raw.name} holds {what}{how if zero3 else other}.")


def vocabulary(found: Findings) -> CheckpointError | None:
    """Tell of embeddings with more or fewer rows than config.json gives, if nothing else is wrong with shapes."""
    ends = [found.named[name] for name in (EMBEDDING, OUTPUT) if name in found.named]
    if not found.wrong or any(wrong.tensor not in ends or not _differs_in_rows(wrong) for wrong in found.wrong):
        return None
    rows, now = sorted({tensor.shape[0] for tensor in ends}), found.sizes.known("vocab")
    has = " and ".join(f"{placed(tensor.sources[0])} has {tensor.shape[0]} rows" for tensor in ends)
    label, values = with_value(found.raw.values, "vocab_size", rows[0])
    differs = f"{gives(found, 'vocab_size')} {now}, but {has}"
    if len(rows) > 1:
        return CheckpointError(
            f"{differs}, as if only one was resized when tokens were added; resize both (resize_token_embeddings of "
            "transformers), and save the model again."
        )
    if not fits(replace(found.raw, values=values)):
        return None
    why = ", as after tokens are added or rows padded" if rows[0] > now else ""
    return CheckpointError(f"{differs}{why}; set {label} to {rows[0]}.")


def _differs_in_rows(wrong: Wrong) -> bool:
    """Tell whether a matrix differs from config.json in its number of rows alone."""
    wanted, shape = wrong.wanted, wrong.tensor.shape
    return wanted is not None and len(wanted) == len(shape) == 2 and wanted[1] in (None, shape[1])


def numbers(found: Findings) -> CheckpointError | None:
    """Name the numbers of config.json, each of which explains all shapes."""
    changes = fitting_changes(found) if found.wrong else []
    if not changes:
        return None
    now = " and ".join(f"{change.key} {change.now}" for change in changes)
    return CheckpointError(
        f"{found.model.config.where} leads to {now}, but {contradictions(found.wrong)}; {_set(changes)}, or take "
        "config.json and weights of the same model."
    )


def _set(changes: list[Change]) -> str:
    settings = " or ".join(f"{change.key} to {change.fits}" for change in changes)
    return f"set {settings}" + (", whichever is true" if len(changes) > 1 else "")


def rearranged(found: Findings) -> CheckpointError | None:
    """Tell of tensors that were flattened, transposed or cut, if all that do not fit were."""
    for matches, what in _REARRANGED:
        if found.wrong and all(matches(wrong.tensor.shape, wrong.wanted or ()) for wrong in found.wrong):
            return CheckpointError(f"{found.raw.name} holds {what}: {contradictions(found.wrong)}; {_SAVE}.")
    return None


_SAVE = "save the whole model with save_pretrained of transformers"


def _flattened(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == 1 < len(wanted)


def _transposed(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) == 2 and shape[::-1] == wanted


def _sliced(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Tell whether one dimension is a part of the wanted one."""
    if len(shape) != len(wanted):
        return False
    other = [(has, size) for has, size in zip(shape, wanted, strict=True) if size is not None and size != has]
    return len(other) == 1 and any(other[0][0] * slices == other[0][1] for slices in _SLICES)


_REARRANGED = (
    (_flattened, "matrices as vectors, which FSDP and ZeRO keep of flattened parts"),
    (_transposed, "transposed matrices, as other frameworks than PyTorch store them"),
    (_sliced, "parts of matrices, as tensor-parallel training stores them"),
)


def other_shapes(found: Findings) -> CheckpointError | None:
    """Tell of shapes that do not fit, where nothing tells more."""
    if not found.wrong:
        return None
    return CheckpointError(
        f"{found.model.config.where} contradicts the shapes of {counted(len(found.wrong), 'tensor')} of "
        f"{found.raw.name}: {contradictions(found.wrong)}; take config.json and weights of the same model."
    )
