"""What single families do before and after their vocabulary."""

from __future__ import annotations

from gguf import GGUFValueType, GGUFWriter, Keys
from gguf.gguf_writer import GGUFValue

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
    """Add CodeLlama's end-of-infill token, 32010 where its files do not name it.

    The reference knows `prefix` (32007), `suffix` (32008) and `middle` (32009) too, but does not write them.
    """
    writer.add_eot_token_id(read_special_tokens(files, types=("eot",)).ids.get("eot", 32010))


def add_no_bos(writer: GGUFWriter, _: TokenizerFiles) -> None:
    """Add that no BOS token is put first: Granite's and SmolLM's small models, told by their vocabulary's size."""
    # the writer's own method warns where the key is there already
    writer.kv_data[0][Keys.Tokenizer.ADD_BOS] = GGUFValue(False, GGUFValueType.BOOL)
