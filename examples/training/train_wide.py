"""Train a Llama that is 256 wide and has 31 million parameters, on a CPU, for the tables of `make quality`.

    pip install torch tokenizers safetensors
    python train_wide.py SMOLLM2 TEXT FOLDER OTHER...

SMOLLM2 is the checkpoint that quality/smollm2.py writes. The model takes its tokenizer, and begins with its embeddings,
projected to 256 dimensions. TEXT is a file of the kind that the model is for: its end is held out, and the rest is
repeated, for it is short. OTHER are further files or folders; prose.py tells which kinds of files are read.

FOLDER gets the checkpoint (bf16), and training.json with the figures, again and again: there always is a model to use.
So the rate stays as it is after the warm-up, and an average of the recent weights takes the place of its decay. A run
that is stopped has the model of a run with fewer steps. The same command on the same machine, torch version and number
of threads gives the same weights. To save time, let glibc keep large buffers: put MALLOC_MMAP_THRESHOLD_=4294967296 and
MALLOC_TRIM_THRESHOLD_=4294967296 into the environment.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
from card import model_card
from prose import documents
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from train import Config, Llama, held_out_loss, save_json, unigram_loss

END_OF_TEXT = 0  #: SmolLM2's token between two documents
#: Six layers, as in Pythia-31M, which is as wide and has as many parameters.
CONFIG = Config(
    vocab_size=49152,
    intermediate_size=1024,
    num_hidden_layers=6,
    num_key_value_heads=4,
    max_position_embeddings=512,
)


class Untied(Llama):
    """The decoder with output embeddings of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids (batch, positions) to logits (batch, positions, vocabulary)."""
        return functional.linear(self.hidden(tokens), self.lm_head.weight)


def sampled_loss(hidden: Tensor, weight: Tensor, targets: Tensor, candidates: int) -> Tensor:
    """Estimate the mean cross-entropy over a part of the vocabulary, which saves most of the arithmetic.

    All targets are among the candidates. The others are drawn uniformly, and each stands for those that were not drawn,
    so that the sum of the exponentials has the right expectation.

    Args:
        hidden: (tokens, width).
        weight: Output embeddings, (vocabulary, width).
        targets: (tokens,).
        candidates: How many tokens of the vocabulary compete.
    """
    present, positions = targets.unique(return_inverse=True)
    is_absent = torch.ones(len(weight), dtype=torch.bool)
    is_absent[present] = False
    absent = is_absent.nonzero()[:, 0]
    drawn = absent[torch.randperm(len(absent))[: candidates - len(present)]]
    stands_for = torch.zeros(len(present) + len(drawn))
    stands_for[len(present) :] = math.log(len(absent) / len(drawn))
    logits = functional.linear(hidden, weight[torch.cat((present, drawn))])
    return functional.cross_entropy(logits + stands_for, positions)


def projected(embeddings: Tensor, width: int) -> Tensor:
    """Project (vocabulary, dimensions) to the principal components; their root mean square is 1."""
    centered = embeddings - embeddings.mean(dim=0)
    _, vectors = torch.linalg.eigh(centered.T @ centered)
    components = centered @ vectors[:, -width:]
    return components / components.square().mean().sqrt()


def new_model(smollm2: Path) -> Untied:
    """Make the model with embeddings from SmolLM2's, whose sizes suit Adam's steps, and all else at random."""
    model = Untied(CONFIG)
    components = projected(
        load_file(smollm2 / "model.safetensors")["model.embed_tokens.weight"].float(), CONFIG.hidden_size
    )
    with torch.no_grad():
        model.embed_tokens.weight.copy_(components * 0.25)
        model.lm_head.weight.copy_(components * 0.04)
    return model


def average_recent(averages: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
    """Let the average follow the weights so that it always stands for about the last tenth of the steps.

    This is the polynomial-decay averaging of Shamir and Zhang (2013) with an exponent of 8.
    """
    torch._foreach_lerp_(averages, current, 9 / (float(steps) + 9))


def rounded(model: Untied) -> Untied:
    """Copy the model with weights rounded to bf16, as the checkpoint holds it."""
    copy = Untied(CONFIG)
    copy.load_state_dict({name: value.bfloat16().float() for name, value in model.state_dict().items()})
    return copy


def token_stream(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Return the ids of the texts, each after END_OF_TEXT."""
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return torch.tensor([token for encoding in encodings for token in (END_OF_TEXT, *encoding.ids)])


def split_at_heading(text: str, held_out: float) -> tuple[str, str]:
    """Split a text of WikiText before a heading into a training part and a held-out end, about the given fraction."""
    at = text.rindex("\n = ", 0, int(len(text) * (1 - held_out))) + 1
    return text[:at], text[at:]


def write_checkpoint(folder: Path, model: Untied, smollm2: Path) -> None:
    """Write the folder that transformers' AutoModelForCausalLM and AutoTokenizer read."""
    weights = {
        name if name.startswith("lm_head.") else f"model.{name}": value.bfloat16().contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes((smollm2 / "tokenizer.json").read_bytes())
    end = "<|endoftext|>"
    special = {"bos_token": end, "eos_token": end, "unk_token": end}
    save_json(folder / "special_tokens_map.json", special)
    save_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "GPT2Tokenizer", **special, "model_max_length": CONFIG.max_position_embeddings},
    )
    save_json(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **asdict(CONFIG),
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            "bos_token_id": END_OF_TEXT,
            "eos_token_id": END_OF_TEXT,
            "torch_dtype": "bfloat16",
        },
    )


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("smollm2", type=Path, help="folder of SmolLM2's checkpoint")
    parser.add_argument("text", type=Path, help="text of the kind that the model is for, such as WikiText's")
    parser.add_argument("out", type=Path, help="folder of the checkpoint")
    parser.add_argument("others", type=Path, nargs="+", help="further files and folders")
    parser.add_argument("--repeats", type=int, default=12, help="how often TEXT is among the training texts")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4, help="windows in a step")
    parser.add_argument("--candidates", type=int, default=8192, help="tokens that compete in a step")
    parser.add_argument("--lr", type=float, default=2e-3, help="of the layers; the embeddings' is half of it")
    parser.add_argument("--warmup", type=int, default=30, help="steps")
    parser.add_argument("--weight-decay", type=float, default=0.1, help="of the layers' matrices")
    parser.add_argument("--held-out", type=float, default=0.06, help="fraction of TEXT")
    parser.add_argument("--save-every", type=int, default=50, help="steps")
    parser.add_argument("--seed", type=int, default=1623)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(args.smollm2 / "tokenizer.json"))
    main_text, held_out_text = split_at_heading(args.text.read_text(encoding="utf-8"), args.held_out)
    train = token_stream(tokenizer, [*documents(args.others), *[main_text] * args.repeats])
    held_out = token_stream(tokenizer, [held_out_text])[1:]
    unigram = unigram_loss(train, held_out, CONFIG.vocab_size)
    print(f"{len(train)} training tokens, {len(held_out)} held out, unigram loss {unigram:.4f}", flush=True)

    model = new_model(args.smollm2)
    groups = [
        {
            "params": [p for p in model.layers.parameters() if p.ndim == 2],
            "weight_decay": args.weight_decay,
            "scale": 1,
        },
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0, "scale": 1},
        {"params": [model.embed_tokens.weight, model.lm_head.weight], "weight_decay": 0.0, "scale": 0.5},
    ]
    average = AveragedModel(model, multi_avg_fn=average_recent)
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=True)
    positions = CONFIG.max_position_embeddings
    started, recent = time.monotonic(), 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = args.lr * group["scale"] * min(1.0, (step + 1) / args.warmup)
        starts = torch.randint(len(train) - positions, (args.batch,))
        windows = torch.stack([train[start : start + positions + 1] for start in starts.tolist()])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.hidden(windows[:, :-1]).flatten(0, 1)
            loss = sampled_loss(hidden, model.lm_head.weight, windows[:, 1:].flatten(), args.candidates)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(model)
        recent = loss.item() if step == 0 else 0.95 * recent + 0.05 * loss.item()
        done = step + 1
        if done % 10 == 0:
            print(f"step {done}: loss {recent:.3f}, {time.monotonic() - started:.0f} s", flush=True)
        if done % args.save_every and done != args.steps:
            continue
        checkpoint = rounded(average.module)
        held = held_out_loss(checkpoint, held_out, END_OF_TEXT, positions)
        write_checkpoint(args.out, checkpoint, args.smollm2)
        figures = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": done,
            "tokens_seen": done * args.batch * positions,
            "training_tokens": len(train),
            "held_out_tokens": len(held_out),
            "training_loss": round(recent, 4),
            "held_out_loss": round(held, 4),
            "held_out_perplexity": round(math.exp(held), 2),
            "unigram_loss": round(unigram, 4),
            "unigram_perplexity": round(math.exp(unigram), 2),
            "seconds": round(time.monotonic() - started),
            "torch": torch.__version__,
        }
        save_json(args.out / "training.json", figures)
        others = [f"{path.parent.name}/{path.name}" for path in args.others]
        card = model_card(figures, asdict(CONFIG), args.text.name, args.repeats, others)
        (args.out / "README.md").write_text(card, encoding="utf-8")
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
