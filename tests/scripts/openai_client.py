"""Sends requests with the `openai` client, as an application would, and prints what came back as one JSON value.

usage: openai_client.py BASE_URL models
       openai_client.py BASE_URL complete --model NAME
       openai_client.py BASE_URL chat     --model NAME
       openai_client.py BASE_URL stream   --model NAME
       openai_client.py BASE_URL repeats  --model NAME --seed N [--prompts K] [--rounds R]

It judges nothing: the suite that runs it does. `endpoint` in the output is the response header x-warmlane-endpoint.
"""

import argparse
import json
import random
import sys

from openai import OpenAI

ENDPOINT = "x-warmlane-endpoint"
# Engines sample: now and then an answer would end by itself before it is as long as was asked for.
TO_THE_END = {"ignore_eos": True}
# Words as the tiny model's tokenizer knows them, one to two tokens each.
WORDS = "self return import value index result error string object class print range yield await async tuple".split()
# 12 prompts of this length fill less than the 255 blocks of 32 tokens of one engine, even if all land on one.
WORDS_PER_PROMPT = 440
CHAT = [
    {"role": "system", "content": "You are a travel helper."},
    {"role": "user", "content": "Name three cities \u2014 \"caf\u00e9\" included."},
]


def models(client: OpenAI, _) -> list[str]:
    return [model.id for model in client.models.list()]


def complete(client: OpenAI, args) -> dict:
    raw = client.completions.with_raw_response.create(
        model=args.model, prompt="def main(", max_tokens=8, extra_body=TO_THE_END
    )
    return {"endpoint": raw.headers.get(ENDPOINT), **facts(raw.parse())}


def chat(client: OpenAI, args) -> dict:
    raw = client.chat.completions.with_raw_response.create(
        model=args.model, messages=CHAT, max_tokens=8, extra_body=TO_THE_END
    )
    return {"endpoint": raw.headers.get(ENDPOINT), **facts(raw.parse())}


def stream(client: OpenAI, args) -> dict:
    """A streamed chat, and how many chunks it came in: one per token, if nobody on the way merged them."""
    raw = client.chat.completions.with_raw_response.create(
        model=args.model,
        messages=CHAT,
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=TO_THE_END,
    )
    chunks = list(raw.parse())
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "endpoint": raw.headers.get(ENDPOINT),
        "content_type": raw.headers.get("content-type"),
        "models": sorted({chunk.model for chunk in chunks}),
        "ids": len({chunk.id for chunk in chunks}),
        "chunks": len(choices),
        "finish_reasons": [choice.finish_reason for choice in choices if choice.finish_reason],
        "completion_tokens": [chunk.usage.completion_tokens for chunk in chunks if chunk.usage],
    }


def repeats(client: OpenAI, args) -> list[dict]:
    """Distinct prompts, then the same ones again in another order each round; one request at a time."""
    dice = random.Random(args.seed)
    prompts = [" ".join(dice.choices(WORDS, k=WORDS_PER_PROMPT)) for _ in range(args.prompts)]
    seen = []
    for turn in range(args.rounds):
        order = list(range(args.prompts))
        dice.shuffle(order)
        for prompt in order:
            raw = client.completions.with_raw_response.create(model=args.model, prompt=prompts[prompt], max_tokens=2)
            seen.append({"round": turn, "prompt": prompt, "endpoint": raw.headers.get(ENDPOINT), **facts(raw.parse())})
    return seen


def facts(answer) -> dict:
    usage = answer.usage
    return {
        "model": answer.model,
        "finish_reason": answer.choices[0].finish_reason,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        # A cold prompt: the engine leaves the detail out or says 0.
        "cached_tokens": (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
    }


def main() -> None:
    commands = {"models": models, "complete": complete, "chat": chat, "stream": stream, "repeats": repeats}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url", help="such as http://127.0.0.1:8081/v1")
    parser.add_argument("command", choices=commands)
    parser.add_argument("--model", default="/model/qwen")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    # No retries: a request that fails once must be seen.
    client = OpenAI(base_url=args.base_url, api_key="none", max_retries=0, timeout=120)
    json.dump(commands[args.command](client, args), sys.stdout)


if __name__ == "__main__":
    main()
