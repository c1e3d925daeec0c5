"""What single families do before and after their vocabulary."""

from __future__ import annotations

from gguf import GGUFWriter

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.files import TokenizerFiles
from quantize_cli.tokenizers.special_tokens import read_special_tokens


def refuse_foreign_llama(_: GGUFWriter, files: TokenizerFiles) -> None:
    """Refuse the tokenizers of LLaMA-shaped models that have converters of their own.

    Raises:
        UnsupportedError: The folder has only Mistral's own tokenizer file, or one that needs its author's code.
    """
    if files.has("tekken.json") and not files.has("tokenizer.json"):
        raise UnsupportedError(
            f"{files.path('tekken.json')} is Mistral's own tokenizer format, which is not supported yet; "
            "put the tokenizer.json of the model's repository beside it."
        )
    if files.tokenizer_config.get("tokenizer_class") == "HybridDNATokenizer":
        raise UnsupportedError(
            f"{files.path('tokenizer_config.json')} names HybridDNATokenizer, which is not supported."
        )


def add_space_prefix(writer: GGUFWriter, files: TokenizerFiles) -> None:
    """Add `add_prefix_space` of tokenizer_config.json, where it is set."""
    if isinstance(value := files.tokenizer_config.get("add_prefix_space"), bool):
        writer.add_add_space_prefix(value)


def add_codellama_infill(writer: GGUFWriter, files: TokenizerFiles) -> None:
    """Add CodeLlama's end-of-infill token, which its files do not name.

    The reference knows `prefix` (32007), `suffix` (32008) and `middle` (32009) too, but GGUF's writer takes only `eot`.
    """
    special = read_special_tokens(files, types=("eot",))
    special.ids.setdefault("eot", 32010)
    special.add_to(writer)


def add_no_bos(writer: GGUFWriter, _: TokenizerFiles) -> None:
    """Add that no BOS token is put first: Granite's and SmolLM's small models, told by their vocabulary's size."""
    writer.add_add_bos_token(False)
