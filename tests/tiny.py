"""Tiny random models of several families, with a tokenizer of their own, for tests that need no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FAMILIES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral", "phi3", "gpt2")

# Models whose attention is their own, and one that carries a state from token to token.
OWN_ATTENTION = ("gptj", "falcon", "qwen3_next")

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_CORPUS = (
    "The capital of France is Paris. The river Seine runs through the city and under thirty-seven bridges.",
    "Question: What does the passage say about the tower? Answer: It was built in 1889 by Gustave Eiffel.",
    "List several implications derived from the content of the passage, one on each line.",
    "user system assistant title context question answer yes no true false 0 1 2 3 4 5 6 7 8 9",
)


def make_tiny_tokenizer(*, vocab: int = 400, chat_template: bool = True) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of at most `vocab` tokens. Any text survives a round trip through it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # The tokenizers package types these attributes as read-only.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment,unused-ignore]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment,unused-ignore]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    make: Any = PreTrainedTokenizerFast
    fast: PreTrainedTokenizerBase = make(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=STOP,
        pad_token=STOP,
        unk_token=END,
        clean_up_tokenization_spaces=False,
    )
    if chat_template:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_config(family: str, vocab: int, *, tie: bool = True) -> Any:
    """The configuration of a two-layer model of `family`, 32 wide, with 4 heads of 8 (2 for keys and values)."""
    from transformers import AutoConfig

    common: dict[str, Any] = {"vocab_size": vocab, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if family == "gpt2":
        return AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=4096, **common)
    if family == "gptj":
        return AutoConfig.for_model("gptj", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=4096, **common)
    common |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": tie,
    }
    if family == "phi3":
        common["original_max_position_embeddings"] = 4096
    if family == "falcon":
        del common["head_dim"]  # Falcon works it out.
    if family == "qwen3_next":
        common |= {
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "mlp_only_layers": [0, 1],
        }
    if family.startswith("gemma"):
        # One sliding layer and one full one, so that both kinds are there.
        common |= {"layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 8}
        common["sliding_window"] = 64
    return AutoConfig.for_model(family, **common)


def make_tiny_model(
    folder: Path,
    *,
    family: str = "llama",
    vocab: int = 400,
    seed: int = 0,
    tie: bool = True,
    chat_template: bool = True,
) -> Path:
    """Save a random float32 model of `family` (one of `FAMILIES`) with a tokenizer in `folder`, and return it.

    The same arguments give the same weights. `tie` shares the embedding with the output head.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tiny_tokenizer(vocab=vocab, chat_template=chat_template)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        auto: Any = AutoModelForCausalLM
        model = auto.from_config(tiny_config(family, vocab, tie=tie))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
