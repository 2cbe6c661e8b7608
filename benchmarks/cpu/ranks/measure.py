#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks on the cores of this computer: measured, and as grok-plan predicts them.

Compiles one layer of Grok-1's width with random weights for every sharding, runs
grok-bench on each in turn, several rounds, all with the same number of threads in
total, and compares medians with what `grok-plan search` says for the machine file
that `grok-bench --machine` has just written.

    benchmarks/cpu/ranks/measure.py --build BUILD --work FOLDER --out RESULT.json
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess

CONFIG = {
    "vocab_size": 2048, "emb_size": 6144, "num_layers": 1, "num_q_heads": 48, "num_kv_heads": 8,
    "key_size": 128, "widening_factor": 8, "ffn_size": 32768, "num_experts": 8,
    "num_selected_experts": 2, "embedding_multiplier": 78.38367176906169,
    "output_multiplier": 0.5773502691896257, "attn_output_multiplier": 0.08838834764831845,
    "pad_token": 0, "eos_token": 2, "sequence_len": 8192, "rms_norm_eps": 1e-5,
    "rope_base": 10000, "attn_logit_softcap": 30.0, "model_shards_of_int8_scales": 8,
}
CONTEXT = 256


def run(build, tool, *arguments):
    return subprocess.run([os.path.join(build, "bin", tool), *map(str, arguments)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def compile_model(options, sharding):
    artifact = os.path.join(options.work, f"wide-{options.weights}-{sharding}")
    if not os.path.isdir(artifact):
        run(options.build, "grokc", os.path.join(options.work, "wide"), "--weights-from=random:1",
            f"--weights={options.weights}", f"--max-context={CONTEXT}", f"--sharding={sharding}",
            "-o", artifact)
    return artifact


def measure(options, artifact):
    out = os.path.join(options.work, "bench.json")
    run(options.build, "grok-bench", artifact, "--prompt-tokens", 128, "--new-tokens", 48,
        "--batch", 1, "--depth", 0, "--threads", options.threads, "--json", out)
    with open(out, encoding="utf-8") as file:
        found = json.load(file)
    return found["machine"], found["runs"][0]


def predictions(options, machine):
    text = run(options.build, "grok-plan", "search", os.path.join(options.work, "wide"),
               f"--devices={machine}", f"--weights={options.weights}", f"--context={CONTEXT}",
               "--batch=1", "--top", 100, "--json")
    return {plan["sharding"]: plan for plan in json.loads(text)["plans"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="folder of the build")
    parser.add_argument("--work", required=True, help="folder for models, some GB each")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("--weights", default="int4", choices=["int8", "int4", "int3"])
    parser.add_argument("--shardings", default="tp1,tp2,ep2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.makedirs(os.path.join(options.work, "wide"), exist_ok=True)
    with open(os.path.join(options.work, "wide", "config.json"), "w", encoding="utf-8") as file:
        json.dump(CONFIG, file)
    shardings = options.shardings.split(",")
    artifacts = {sharding: compile_model(options, sharding) for sharding in shardings}
    machine = os.path.join(options.work, "machine.json")
    run(options.build, "grok-bench", "--machine", machine)
    predicted = predictions(options, machine)
    rates = {sharding: [] for sharding in shardings}
    for _ in range(options.rounds):
        for sharding in shardings:
            about, found = measure(options, artifacts[sharding])
            rates[sharding].append((found["decode_tokens_per_second"],
                                    found["prefill_tokens_per_second"]))
    rows = []
    for sharding in shardings:
        decode = statistics.median(rate for rate, _ in rates[sharding])
        said = predicted[sharding]["tokens_per_second"]
        rows.append({"sharding": sharding, "decode_tokens_per_second": decode,
                     "prefill_tokens_per_second": statistics.median(p for _, p in rates[sharding]),
                     "predicted_decode_tokens_per_second": said, "error": said / decode - 1,
                     "against_one_rank": decode / statistics.median(r for r, _ in rates["tp1"])})
        print(f"{sharding:8} {decode:6.2f} tokens/s, predicted {said:6.2f} "
              f"({100 * rows[-1]['error']:+.0f} %), {rows[-1]['against_one_rank']:.3f} of one rank")
    with open(machine, encoding="utf-8") as file:
        described = json.load(file)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump({"date": datetime.date.today().isoformat(), "machine": about,
                   "load": os.getloadavg()[0], "weights": options.weights,
                   "threads": options.threads, "rounds": options.rounds, "runs": rows,
                   "machine_file": described}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
