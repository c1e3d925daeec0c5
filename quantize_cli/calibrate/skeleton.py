"""A model of transformers without weights, which takes those of one block at a time.

The model is built from its configuration alone, on torch's meta device, where parameters take no memory. Code of the
checkpoint is never run. transformers' own table of renamings and conversions (`conversion_mapping.py`) tells which
parameters the checkpoint's tensors become, as in `from_pretrained`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

from quantize_cli.calibrate.settings import Settings
from quantize_cli.calibrate.weights import Weights
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.sidecars import read_object
from quantize_cli.errors import CheckpointError, UnsupportedError, listed, shown
from quantize_cli.planning.model import PlannedTensor

#: The part of a model that is not in any block: embeddings, the last norm, the output matrix.
OUTSIDE = -1
#: What to do about a model that the engine cannot run.
WAY_OUT = "give an importance matrix from elsewhere with --imatrix, and a format"


class Skeleton:
    """A model whose parts get their weights when they are needed.

    Args:
        checkpoint: The model; only its configuration and headers are read. `describe` has accepted it.
        settings: Where and in which precision parts are computed.

    Raises:
        UnsupportedError: transformers does not know the model, or it is not a row of like blocks.
        CheckpointError: A tensor that transformers needs is missing.
    """

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        self.settings = settings
        self.model = _built(checkpoint)
        self.prefix, self.blocks = _blocks(self.model, checkpoint.location)
        _fill_buffers(self.model, settings.device)
        mapping = get_model_conversion_mapping(self.model)
        renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
        converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
        self._converters = {pattern: entry for entry in converters for pattern in entry.source_patterns}
        self._parameters: dict[str, tuple[str, str | None]] = {}
        known = self.model.state_dict()
        for name in checkpoint.infos:
            for spelled in _spellings(name):
                to, pattern = rename_source_key(spelled, renamings, converters, self.model.base_model_prefix, known)
                if to in known:
                    self._parameters[name] = to, pattern
                    break
        self._names: dict[int, list[str]] = {}
        for name, (to, _) in self._parameters.items():
            self._names.setdefault(self._part_of(to), []).append(name)
        self._where = checkpoint.location
        self._ties_known = False

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.blocks)

    def names(self, part: int) -> Sequence[str]:
        """Return the checkpoint's tensors that a part is made of; the part is a block's number, or OUTSIDE."""
        return self._names.get(part, ())

    def tensors_of(self, part: int, tensors: Iterable[PlannedTensor]) -> list[PlannedTensor]:
        """Return those of a GGUF file's tensors with rows that are made of a part's tensors alone."""
        names = set(self.names(part))
        return [
            tensor
            for tensor in tensors
            if tensor.sources and len(tensor.shape) > 1 and names.issuperset(tensor.sources)
        ]

    def parameter(self, name: str) -> str:
        """Return the parameter that a tensor of the checkpoint becomes, or the first of several."""
        return self._parameters[name][0]

    def load(self, part: int, weights: Weights) -> None:
        """Give a part its weights.

        Raises:
            CheckpointError: A tensor is missing or cannot be read.
        """
        arrays = weights.read(self.names(part))
        tensors = {name: torch.from_numpy(arrays.pop(name)) for name in list(arrays)}
        made = self.converted(tensors)
        if part == OUTSIDE and not self._ties_known:
            self._untie(made)
        self.place({name: value.to(self.settings.device, self.settings.dtype) for name, value in made.items()})
        missing = [name for name, parameter in self.parameters(part).items() if parameter.is_meta]
        if missing:
            raise CheckpointError(
                f"{self._where} lacks what {type(self.model).__name__} of transformers calls "
                f"{listed([shown(name) for name in missing])}; {WAY_OUT}."
            )

    def place(self, values: Mapping[str, Tensor]) -> None:
        """Let these be the model's parameters and buffers; tied ones follow."""
        outside = False
        for name, value in values.items():
            module, _, last = name.rpartition(".")
            holder = self.model.get_submodule(module)
            held = value if last in holder._buffers else nn.Parameter(value, requires_grad=False)
            setattr(holder, last, held)
            outside |= self._part_of(name) == OUTSIDE
        if outside:
            self.model.tie_weights()

    def unload(self, part: int) -> None:
        """Take a part's weights away again."""
        self.place({name: torch.empty_like(held, device="meta") for name, held in self.parameters(part).items()})

    def converted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make parameters of tensors in the checkpoint's names and shapes, whatever their values mean.

        All tensors that become one parameter must be there.
        """
        collected: dict[str, Any] = {}
        for name in sorted(tensors, key=dot_natural_key):
            to, pattern = self._parameters[name]
            if to not in collected:
                collected[to] = WeightRenaming(name, to) if pattern is None else deepcopy(self._converters[pattern])
            collected[to].add_tensor(to, name, pattern or name, tensors[name])
        found: dict[str, Tensor] = {}
        for to, mapping in collected.items():
            made = mapping.convert(to, model=self.model, config=self.model.config)
            found |= {name: value[0] if isinstance(value, list) else value for name, value in made.items()}
        return found

    def parameters(self, part: int) -> dict[str, nn.Parameter]:
        """Return the parameters of a part by name; a tied one stands there once."""
        return {name: held for name, held in self.model.named_parameters() if self._part_of(name) == part}

    def _untie(self, made: Mapping[str, Tensor]) -> None:
        """Keep a head that is not the embedding although the configuration ties them, as `from_pretrained` does.

        The original's weights decide, which are loaded first: a file without a head of its own has tied ones.
        """
        tied = self.model.all_tied_weights_keys.items()
        if any(name in made and to in made and not torch.equal(made[name], made[to]) for name, to in tied):
            self.model.config.tie_word_embeddings = False
        self._ties_known = True

    def _part_of(self, parameter: str) -> int:
        if not parameter.startswith(self.prefix):
            return OUTSIDE
        return int(parameter.removeprefix(self.prefix).partition(".")[0])


def _built(checkpoint: Checkpoint) -> PreTrainedModel:
    """Build the text part of a model on the meta device."""
    values = read_object(checkpoint.sidecars, "config.json")
    where = checkpoint.sidecars.where("config.json")
    values.pop("quantization_config", None)  # the checkpoint's tensors are decoded already
    kind = values.pop("model_type", None)
    try:
        config = AutoConfig.for_model(kind, **values).get_text_config()
        try:
            model = _on_meta(config, "sdpa")
        except ValueError:  # soft-capped attention
            model = _on_meta(config, "eager")
    except Exception as error:
        raise UnsupportedError(
            f"transformers cannot build the model that {where} describes as {shown(kind)} "
            f"({shown(str(error).splitlines()[0] if str(error) else type(error).__name__)}); {WAY_OUT}."
        ) from error
    model.eval().requires_grad_(requires_grad=False)
    return model


def _on_meta(config: PreTrainedConfig, attention: str) -> PreTrainedModel:
    with torch.device("meta"):
        made: PreTrainedModel = AutoModelForCausalLM.from_config(
            config,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation=attention,
            experts_implementation="eager",  # the fused kernels bypass what watches products
        )
    return made


def _spellings(name: str) -> Iterator[str]:
    """Yield a tensor's name, and how the text part alone calls it if it is a part of a larger model."""
    yield name
    yield name.replace("model.language_model.", "model.", 1).removeprefix("language_model.")


def _blocks(model: PreTrainedModel, where: str) -> tuple[str, nn.ModuleList]:
    """Find the longest list of like modules that has the configuration's number of layers; also return its prefix."""
    layers = getattr(model.config, "num_hidden_layers", None)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers and len({type(block) for block in module}) == 1:
            return f"{name}.", module
    raise UnsupportedError(
        f"{where}: {type(model).__name__} of transformers is not a row of like blocks, as it has to be; {WAY_OUT}."
    )


def _fill_buffers(model: PreTrainedModel, device: torch.device) -> None:
    """Compute the buffers that no checkpoint holds, such as rope's frequencies.

    Some are made by the module around their own, as Falcon-H1's multipliers; one that nothing makes must not go unseen.
    """
    made = [(module, name) for module in model.modules() for name, held in module._buffers.items() if _is_empty(held)]
    for module, name in made:
        held = module._buffers[name]
        module._buffers[name] = torch.full_like(held, float("nan") if held.is_floating_point() else 0, device="cpu")
    with_buffers = {id(module) for module, _ in made}
    for module in model.modules():
        if id(module) in with_buffers or not module._parameters:
            model._init_weights(module)
    for module, name in made:
        if name in module._non_persistent_buffers_set and module._buffers[name].isnan().any():
            raise UnsupportedError(
                f"{type(model).__name__} of transformers computes {name} of {type(module).__name__} in a way that the "
                f"engine does not know; {WAY_OUT}."
            )
        module._buffers[name] = module._buffers[name].to(device)


def _is_empty(held: Tensor | None) -> bool:
    return held is not None and held.is_meta
