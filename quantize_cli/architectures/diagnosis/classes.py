"""Models that are not of a supported class: what they are, which classes are near, and the way that is left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.family import GGUF_WAY
from quantize_cli.checkpoints.sidecars import Json, Sidecars
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, shown

#: The most characters of a class's name that are looked at.
_LONGEST = 200
#: How near a class's name must be, as a ratio of difflib: all of it, or the part before its ending, which says most.
_NEAR, _NEAR_STEM = 0.9, 0.75
_ENDING = re.compile(r"(LMHead)?Model$|For[A-Z]\w*$")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """Classes that are not language models, by their names."""

    names: str  #: regular expression that the class's name must have
    what: str


#: Words that also occur in the names of language models.
_NOT_CAUSAL = r"^(?!.*ForCausalLM$).*"

#: The first row that matches counts.
KINDS = (
    Kind(r"^Peft|Lora|Adapter", "an adapter; merge it into its base model first"),
    Kind(
        r"SequenceClassification|TokenClassification|QuestionAnswering|MultipleChoice|Reward|ValueHead|Reranker",
        f"a classifier or reward model, whose head this version cannot convert; {GGUF_WAY}",
    ),
    Kind(
        f"{_NOT_CAUSAL}(Pipeline$|UNet|Transformer[23]DModel|AutoencoderKL|DiT|ControlNet|Diffusion)",
        "a part of a diffusion model, not a language model; take a language model",
    ),
    Kind(
        f"{_NOT_CAUSAL}(Whisper|Wav2Vec|Hubert|SpeechSeq2Seq|SpeechEncoder|ForCTC|ForAudio|XVector|SpeechT5|Vits|Encodec|"
        "Bark|Parakeet)",
        "a speech or audio model, not a language model; take a language model",
    ),
    Kind(
        f"{_NOT_CAUSAL}(CLIP|[Ss]ig[Ll]ip|ViT|[Dd]ino[Vv]|Swin|ResNet|ConvNext|BeitFor|Detr|Segformer|DepthAnything|"
        "Sam(2|HQ|Model|Vision)|VisionModel|ForImageClassification|ForObjectDetection|ForSemanticSegmentation|"
        "ImageEncoder)",
        "an image model, not a language model; take a language model",
    ),
    Kind(
        r"Eagle|EAGLE|Medusa|DraftModel|Speculator",
        "a draft model, which only works beside its base model; take the base model",
    ),
)


def unsupported_class(name: str, where: str) -> UnsupportedError:
    """Return the error of a class that is not in the table: what it is, or near classes and a way out."""
    if (kind := _kind(name)) is not None:
        return UnsupportedError(f"{where} names the architecture {shown(name)}, which is {kind.what}.")
    near = _near(name[:_LONGEST])
    nearest = f" (near names are {', '.join(near)})" if near else ""
    return UnsupportedError(
        f"{where} names the architecture {shown(name)}, which this version cannot convert{nearest}; {GGUF_WAY}."
    )


def unnamed_class(values: Mapping[str, Json], where: str) -> QuantizeError:
    """Return the error of a config.json without a class."""
    if isinstance(part := values.get("_class_name"), str):
        return UnsupportedError(
            f"{where} is of {shown(part)} in diffusers, not of a language model; take a language model."
        )
    if "peft_type" in values:
        return UnsupportedError(f"{where} describes an adapter of peft; merge it into its base model first.")
    known = "" if (kind := values.get("model_type")) is None else f" (its model_type is {shown(kind)})"
    return CheckpointError(
        f'{where} lacks architectures, which names the model\'s class{known}; add it, as "architectures": '
        f'["{next(iter(FAMILIES))}"], if the class is known, or take the whole config.json of the model.'
    )


def _near(name: str) -> list[str]:
    """Return the classes of the table with a name, or a stem, that is spelled nearly alike; the nearest come first."""

    def nearness(other: str) -> float:
        whole = SequenceMatcher(None, name.lower(), other.lower()).ratio()
        stem = SequenceMatcher(None, _stem(name), _stem(other)).ratio()
        return max(whole if whole >= _NEAR else 0, stem if stem >= _NEAR_STEM else 0)

    ranked = sorted(FAMILIES, key=nearness, reverse=True)
    return [other for other in ranked if nearness(other)][:_NAMED]


def _stem(name: str) -> str:
    return _ENDING.sub("", name).lower()


def _kind(name: str) -> Kind | None:
    return next((kind for kind in KINDS if re.search(kind.names, name[:_LONGEST])), None)


#: File that a folder without config.json may hold instead -> what it tells, and advice; the first that is there counts.
_INSTEAD = {
    "adapter_config.json": "is an adapter of peft, not a model; merge it into its base model (merge_and_unload() of "
    "peft), and save that",
    "model_index.json": "is a diffusion pipeline, not a language model; take a language model",
    "params.json": "is in the layout of Meta or Mistral, without config.json; take the model's Hugging Face layout",
    "mergekit_config.yml": "lacks config.json, but mergekit writes one; copy it from the merge's output or base model",
    "modules.json": "lacks config.json, though modules.json names the parts of a model; take the part that is the "
    "transformer",
}


def no_config(sidecars: Sidecars) -> QuantizeError:
    """Return the error of a model without config.json."""
    where = sidecars.where("config.json")
    for file, what in _INSTEAD.items():
        if sidecars.has(file):
            return UnsupportedError(f"{where} is missing, and beside it is {file}: the model {what}.")
    return CheckpointError(
        f"{where} is missing, but the tensors cannot be understood without it; take it from the model's repository."
    )
