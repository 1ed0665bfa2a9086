"""Makes a Qwen2 model of a few hundred thousand random weights, its tokenizer, and two LoRA adapters.

usage: tiny_model.py DIR

Writes DIR/qwen, DIR/travel-helper-v1 and DIR/travel-helper-v2, 2 MB in all. What the model says means nothing; how an
engine behaves while it says it is real. Nothing is downloaded: the tokenizer learns from Python's standard library.
"""

import os
import sys
import sysconfig
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 2048
CONTEXT = 8192
PAD, TURN, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT = (
    "{% for message in messages %}"
    f"{TURN}{{{{ message['role'] }}}}\n{{{{ message['content'] }}}}{END}\n"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{TURN}assistant\n{{% endif %}}"
)
ADAPTERS = ("travel-helper-v1", "travel-helper-v2")


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE: any text can be encoded, and no token is unknown."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, TURN, END], initial_alphabet=alphabet, show_progress=False
    )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120]
    bpe.train([str(source) for source in sources], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=CONTEXT)
    fast.chat_template = CHAT
    return fast


def base_model(eos: int, pad: int) -> Qwen2ForCausalLM:
    """Two layers, always the same weights."""
    torch.manual_seed(0)
    shape = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
        dtype="bfloat16",
    )
    return Qwen2ForCausalLM(shape).to(torch.bfloat16)


def adapter(base: Path, seed: int):
    """Random LoRA weights over the attention; `init_lora_weights=False` keeps them from being the identity."""
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        init_lora_weights=False,
    )
    return get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), config)


def main(out: Path) -> None:
    base = out / "qwen"
    base.mkdir(parents=True, exist_ok=True)
    words = tokenizer()
    words.save_pretrained(base)
    base_model(words.eos_token_id, words.pad_token_id).save_pretrained(base)
    for seed, name in enumerate(ADAPTERS, start=1):
        adapter(base, seed).save_pretrained(out / name)
    print("made", *sorted(path.name for path in out.iterdir()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
