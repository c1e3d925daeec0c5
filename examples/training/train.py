"""Train the small Llama of examples/shakespeare-llama on tinyshakespeare (public domain), on a CPU.

    pip install torch tokenizers safetensors
    python train.py tinyshakespeare.txt ../shakespeare-llama

writes a checkpoint in the Hugging Face layout (bf16) with its own byte-level BPE tokenizer, the held-out end of the
text, and training.json with the figures of its README. torch is needed only here. The same command on the same
machine, torch version and number of threads gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional

BOS = "<|endoftext|>"  # the only special token: it opens every text, and stands for the end as well
LN_2 = math.log(2)


@dataclass(frozen=True)
class Config:
    """The hyperparameters, under the names of config.json. Rows are multiples of 256, so that K types apply."""

    vocab_size: int = 1024
    hidden_size: int = 256
    intermediate_size: int = 768
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    max_position_embeddings: int = 256
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5


def rotary_table(config: Config) -> tuple[Tensor, Tensor]:
    """Compute cosines and sines, each (positions, head_dim), in the two-halves convention of Hugging Face."""
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    angles = torch.outer(torch.arange(config.max_position_embeddings).float(), config.rope_theta**-exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding to (batch, heads, positions, head_dim)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values."""

    def __init__(self, config: Config, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_dim, self.dropout = config.num_attention_heads, config.head_dim, dropout
        self.q_proj = nn.Linear(config.hidden_size, config.num_attention_heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.num_attention_heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map (batch, positions, hidden) to the same shape."""
        batch, positions, _ = x.shape
        q, k, v = (
            projection(x).view(batch, positions, -1, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(self.heads // t.shape[1], dim=1) for t in (k, v))
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, positions, -1))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden) to the same shape."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One decoder layer; module names are those of LlamaForCausalLM, so that the state dict is the checkpoint."""

    def __init__(self, config: Config, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, dropout)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map (batch, positions, hidden) to the same shape."""
        x = x + self.drop(self.self_attn(self.input_layernorm(x), cos, sin))
        return x + self.drop(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    """The decoder with tied input and output embeddings."""

    def __init__(self, config: Config, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.cos, self.sin = rotary_table(config)
        into_residual = 0.02 / math.sqrt(2 * config.num_hidden_layers)  # as GPT-2 does it
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                is_last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=into_residual if is_last else 0.02)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Map token ids (batch, positions) to what the output embeddings see, (batch, positions, hidden)."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids (batch, positions) to logits (batch, positions, vocabulary)."""
        return functional.linear(self.hidden(tokens), self.embed_tokens.weight)


def train_tokenizer(text: str, vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer with GPT-2's pre-tokenizer; every text begins with BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[BOS], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, bos)]
    )
    return tokenizer


def split_text(text: str, held_out: float) -> tuple[str, str]:
    """Split the text between two speeches into a training part and a held-out end of about the given fraction."""
    at = text.rindex("\n\n", 0, int(len(text) * (1 - held_out))) + 2
    return text[:at], text[at:]


def unigram_loss(train: Tensor, held_out: Tensor, vocab_size: int) -> float:
    """Return nats per held-out token under the training part's token frequencies, with add-one smoothing."""
    counts = Counter(train.tolist())
    total = len(train) + vocab_size
    return -sum(math.log((counts[token] + 1) / total) for token in held_out.tolist()) / len(held_out)


@torch.no_grad()
def held_out_loss(model: Llama, tokens: Tensor, bos: int, positions: int) -> float:
    """Return nats per token over consecutive windows; each predicts all its tokens from BOS and those before."""
    model.eval()
    total = 0.0
    for window in tokens.split(positions):
        inputs = torch.cat((torch.tensor([bos]), window[:-1]))
        total += functional.cross_entropy(model(inputs[None])[0], window, reduction="sum").item()
    model.train()
    return total / len(tokens)


def learning_rate(step: int, args: argparse.Namespace) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to a tenth."""
    peak, warmup, steps = float(args.lr), int(args.warmup), int(args.steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (steps - warmup)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def rounded(model: Llama, config: Config) -> Llama:
    """Copy the model with weights rounded to bf16, as the checkpoint holds it."""
    copy = Llama(config)
    copy.load_state_dict({name: value.bfloat16().float() for name, value in model.state_dict().items()})
    return copy


def save_json(path: Path, value: object) -> None:
    """Write indented JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def save_checkpoint(folder: Path, model: Llama, config: Config, tokenizer: Tokenizer) -> None:
    """Write the folder that transformers' AutoModelForCausalLM and AutoTokenizer read."""
    bos = tokenizer.token_to_id(BOS)
    weights = {f"model.{name}": value.bfloat16().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    special = {"bos_token": BOS, "eos_token": BOS, "unk_token": BOS}
    save_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **asdict(config),
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": bos,
            "eos_token_id": bos,
            "torch_dtype": "bfloat16",
        },
    )
    generation = {"bos_token_id": bos, "eos_token_id": bos, "do_sample": True, "temperature": 0.8}
    save_json(folder / "generation_config.json", generation)
    save_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **special,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config.max_position_embeddings,
        },
    )
    save_json(folder / "special_tokens_map.json", special)
    tokenizer.save(str(folder / "tokenizer.json"))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("out", type=Path, help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=10, help="windows in a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=60, help="steps")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--held-out", type=float, default=0.06, help="fraction of the text")
    parser.add_argument("--save-every", type=int, default=150, help="steps")
    parser.add_argument("--seed", type=int, default=1623)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    config = Config()
    args.out.mkdir(parents=True, exist_ok=True)

    train_text, held_out_text = split_text(args.text.read_text(encoding="utf-8"), args.held_out)
    (args.out / "held_out.txt").write_text(held_out_text, encoding="utf-8")
    tokenizer = train_tokenizer(train_text, config.vocab_size)
    bos = tokenizer.token_to_id(BOS)
    train, held_out = (
        torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids) for text in (train_text, held_out_text)
    )
    unigram = unigram_loss(train, held_out, config.vocab_size)
    print(f"{len(train)} training tokens, {len(held_out)} held out, unigram loss {unigram:.4f}", flush=True)

    model = Llama(config, args.dropout)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95))
    positions = config.max_position_embeddings
    started = time.monotonic()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        starts = torch.randint(len(train) - positions, (args.batch,))
        targets = torch.stack([train[start : start + positions] for start in starts.tolist()])
        inputs = torch.cat((torch.full((args.batch, 1), bos), targets[:, :-1]), dim=1)
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if done % args.save_every and done != args.steps:
            continue
        checkpoint = rounded(model, config)
        held = held_out_loss(checkpoint, held_out, bos, positions)
        save_checkpoint(args.out, checkpoint, config, tokenizer)
        figures = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": done,
            "tokens_seen": done * args.batch * positions,
            "training_tokens": len(train),
            "held_out_tokens": len(held_out),
            "training_loss": round(loss.item(), 4),
            "held_out_loss": round(held, 4),
            "held_out_perplexity": round(math.exp(held), 2),
            "held_out_bits_per_byte": round(held * len(held_out) / LN_2 / len(held_out_text.encode()), 4),
            "unigram_loss": round(unigram, 4),
            "unigram_perplexity": round(math.exp(unigram), 2),
            "seconds": round(time.monotonic() - started),
            "torch": torch.__version__,
        }
        save_json(args.out / "training.json", figures)
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
