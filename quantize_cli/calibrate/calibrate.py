"""`quantize calibrate`: what is worth knowing of a model before it is quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from quantize_cli.calibrate.candidates import CANDIDATES
from quantize_cli.calibrate.estimate import estimate
from quantize_cli.calibrate.measuring import Subject, measure
from quantize_cli.calibrate.memory import within_memory
from quantize_cli.calibrate.sampling import fits, joined, sampled, share_of
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.subject import Model, documents_for, on_device, opened_model, shared_words, tokens_of
from quantize_cli.calibrate.weights import Original
from quantize_cli.calibrate.work import Work, work_left
from quantize_cli.errors import QuantizeError
from quantize_cli.observer import Observer
from quantize_cli.outputs.checks import check_output, check_room
from quantize_cli.run.bounds import available_threads
from quantize_cli.sensitivity.check import identity_of
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.sensitivity.write import write_calibration
from quantize_cli.texts.model import Document, Part, Sequences
from quantize_cli.texts.sequences import behind

#: With so many, SmolLM2's types within a budget reach what docs/quality.md shows.
DEFAULT_TOKENS = 16_384
#: One token is held out for so many that are measured on.
_HELD_OUT_SHARE = 4


def calibrate(
    model: str | Path,
    output: str | Path,
    *,
    texts: Sequence[str | Path] = (),
    context: int = 512,
    tokens: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    seed: int = 0,
    types: Sequence[str] = CANDIDATES,
    revision: str | None = None,
    observer: Observer | None = None,
    force: bool = False,
) -> Calibration:
    """Measure a model on text, and write what was measured.

    A stopped run leaves a hidden folder beside the output, with which the same call goes on at the block where it was.

    Args:
        model: A folder, a `.safetensors` file or a Hub id.
        output: The file to write, which is an importance matrix too.
        texts: UTF-8 files; none means part A of our own texts, and some that a model of at most 1 GiB writes.
        context: Tokens of a sequence.
        tokens: The most tokens; None means `DEFAULT_TOKENS`.
        device: torch's name of a device; None is the CPU.
        dtype: "f32" or "bf16"; None is float32.
        seed: Of the labels that are drawn.
        types: GGML names of the types whose costs are measured.
        revision: A branch, tag or commit on the Hub.
        observer: Hears of the progress.
        force: Overwrite an existing output.

    Raises:
        QuantizeError: Something cannot be read, run or written.
    """
    observer, output = observer or Observer(), Path(output)
    check_output(output, force=force)
    settings = settings_of(device, dtype)
    documents = documents_for(texts, Part.CALIBRATE)
    with within_memory(settings), opened_model(model, revision, settings, observer) as opened:
        found = _sequences(opened, documents, context, tokens or DEFAULT_TOKENS, None if texts else seed)
        everything = _with_held_out(opened, documents, found, own=not texts)
        identity = identity_of(opened.checkpoint)
        evaluation = documents_for((), Part.REPORT)
        observer.noted(
            shared_words(documents, evaluation, "the built-in texts of `quantize eval` stand in these texts")
        )
        cost = estimate(opened, everything, types)
        check_room({output: max(0, cost.disk_bytes - work_left(output))})
        observer.noted(f"Measuring {everything.tokens.size:,} tokens takes about {cost}.")
        key: Mapping[str, object] = {
            "config": identity.config,
            "shapes": identity.shapes,
            "stamps": sorted((name, *stamp) for name, stamp in opened.checkpoint.stamps.items()),
            "texts": [record.sha256 for record in everything.records],
            "seed": seed,
            "types": list(types),
            "dtype": settings.dtype_name,
            "device": settings.device.type,
        }
        subject = Subject(
            checkpoint=opened.checkpoint,
            weights=Original(opened.checkpoint),
            skeleton=opened.skeleton,
            tensors=opened.plan.tensors,
            tokens=on_device(everything, settings),
            held_out=len(everything.tokens) - len(found.tokens),
            seed=seed,
            types=types,
            threads=available_threads(),
        )
        with Work(output, key) as work:
            tensors, blocks = measure(subject, work, observer.stage)
            calibration = Calibration(
                model=identity,
                architecture=opened.plan.architecture,
                context=context,
                texts=found.records,
                tensors=tuple(tensors),
                blocks=tuple(blocks),
                tokens=everything.tokens,
                held_out=subject.held_out,
            )
            write_calibration(calibration, output, force=force)
    return calibration


def _sequences(opened: Model, documents: Sequence[Document], context: int, tokens: int, seed: int | None) -> Sequences:
    """Return the sequences of some documents; with a seed, the model writes some of them."""
    share = share_of(tokens // context) if seed is not None and fits(opened.skeleton) else 0
    given = tokens_of(opened, documents, context, tokens - share * context)
    if not share or seed is None:
        return given
    return joined(
        given, sampled(opened.skeleton, Original(opened.checkpoint), share, context, opened.encoder.bos, seed)
    )


def _with_held_out(opened: Model, documents: Sequence[Document], found: Sequences, *, own: bool) -> Sequences:
    """Add sequences by which methods choose: of the user's texts what follows, or of our own texts part B.

    Args:
        opened: The model.
        documents: The user's texts, or part A of our own.
        found: The sequences that are measured on.
        own: Whether the texts are our own.
    """
    measured, context = found.tokens.size, found.tokens.shape[1]
    wanted = measured // _HELD_OUT_SHARE
    try:
        if not own:
            following = behind(tokens_of(opened, documents, context, measured + wanted), found)
            if len(following.tokens):
                return joined(found, following)
        return joined(found, tokens_of(opened, documents_for((), Part.CHOOSE), context, wanted))
    except QuantizeError:  # few tokens are asked for, or the tokenizer does not know what is in our texts
        return found
