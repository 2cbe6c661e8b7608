#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks on the cores of this computer: measured, and as grok-plan predicts them.

Compiles one layer of Grok-1's width with random weights for every sharding, runs
grok-bench on each beside one rank, several rounds, all with the same number of threads
in total, and compares the best of each with what `grok-plan search` says for the
machine file that `grok-bench --machine` has just written. Best, not median: what else
the computer does only ever makes a run slower.

Three ranks divide neither Grok-1's 8 key/value heads nor its 8 experts; they run a
layer with 6 of each, and 3/4 of the hidden columns. --widening makes the experts smaller.

    benchmarks/cpu/ranks/measure.py --build BUILD --work FOLDER --out RESULT.json
"""
import argparse
import datetime
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tests/inputs"))
from make_checkpoint import GROK_1  # noqa: E402

LAYER = {**GROK_1, "num_layers": 1, "vocab_size": 2048}
CONTEXT = 256


def run(build, tool, *arguments):
    return subprocess.run([os.path.join(build, "bin", tool), *map(str, arguments)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def model_of(sharding):
    return "6x6" if "3" in sharding else "8x8"


def compile_model(options, model, sharding):
    artifact = os.path.join(options.work, f"{model}-{options.weights}-{sharding}")
    if not os.path.isdir(artifact):
        run(options.build, "grokc", os.path.join(options.work, model), "--weights-from=random:1",
            f"--weights={options.weights}", f"--max-context={CONTEXT}", f"--sharding={sharding}",
            "-o", artifact)
    return artifact


def measure(options, artifact):
    """The computer, and tokens/s of decoding and of the prompt."""
    out = os.path.join(options.work, "bench.json")
    run(options.build, "grok-bench", artifact, "--prompt-tokens", 128, "--new-tokens", 48,
        "--batch", 1, "--depth", 0, "--threads", options.threads, "--json", out)
    with open(out, encoding="utf-8") as file:
        found = json.load(file)
    rates = found["runs"][0]
    return found["machine"], rates["decode_tokens_per_second"], rates["prefill_tokens_per_second"]


def measure_machine(options, most_ranks):
    """Of several runs the one that read fastest, with room for more ranks than cores."""
    path = os.path.join(options.work, "machine.json")
    best = None
    for _ in range(options.rounds):
        run(options.build, "grok-bench", "--machine", path)
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        rate = found["node_bandwidth_bytes_per_second"]["value"]
        if best is None or rate > best["node_bandwidth_bytes_per_second"]["value"]:
            best = found
    best["devices_per_node"] = max(best["devices_per_node"], most_ranks)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(best, file)
    return path, best


def predict(options, machine, model):
    text = run(options.build, "grok-plan", "search", os.path.join(options.work, model),
               f"--devices={machine}", f"--weights={options.weights}", f"--context={CONTEXT}",
               "--batch=1", "--top", 100, "--json")
    return {plan["sharding"]: plan["tokens_per_second"] for plan in json.loads(text)["plans"]}


def best_rates(options, model, sharding):
    """Of one rank and of the sharding, in turn."""
    rates = {"tp1": [], sharding: []}
    for _ in range(options.rounds):
        for name in rates:
            about, decode, prefill = measure(options, compile_model(options, model, name))
            rates[name].append((decode, prefill))
    best = {name: [max(column) for column in zip(*found)] for name, found in rates.items()}
    return about, best


def widened(factor):
    return {**LAYER, "widening_factor": factor, "ffn_size": factor * LAYER["emb_size"] * 2 // 3}


def write_models(options):
    models = {"8x8": widened(options.widening),
              "6x6": {**widened(3 * max(1, options.widening // 4)), "num_kv_heads": 6,
                      "num_experts": 6}}
    for name, config in models.items():
        folder = os.path.join(options.work, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="folder of the build")
    parser.add_argument("--work", required=True, help="folder for models, some GB each")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("--weights", default="int4", choices=["int8", "int4", "int3"])
    parser.add_argument("--widening", type=int, default=GROK_1["widening_factor"],
                        help="hidden columns of an expert, in 4096")
    parser.add_argument("--shardings", default="tp2,ep2,tp3,ep3,tp4,tp2.ep2,ep4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    write_models(options)
    rows = []
    for sharding in options.shardings.split(","):
        model = model_of(sharding)
        # Compiled before the machine is looked at, and that just before it is used.
        for name in ("tp1", sharding):
            compile_model(options, model, name)
        machine, described = measure_machine(options, most_ranks=4)
        predicted = predict(options, machine, model)
        about, best = best_rates(options, model, sharding)
        row = {"sharding": sharding, "model": model, "load": os.getloadavg()[0],
               "machine_file": described}
        for name, of in ((sharding, ""), ("tp1", "one_rank_")):
            decode, prefill = best[name]
            row.update({f"{of}decode_tokens_per_second": decode,
                        f"{of}prefill_tokens_per_second": prefill,
                        f"{of}predicted_decode_tokens_per_second": predicted[name],
                        f"{of}error": predicted[name] / decode - 1})
        row["against_one_rank"] = best[sharding][0] / best["tp1"][0]
        rows.append(row)
        print(f"{sharding:8} {row['decode_tokens_per_second']:6.2f} tokens/s, predicted "
              f"{row['predicted_decode_tokens_per_second']:6.2f} ({100 * row['error']:+.0f} %), "
              f"{row['against_one_rank']:.3f} of one rank "
              f"({100 * row['one_rank_error']:+.0f} %)", flush=True)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump({"date": datetime.date.today().isoformat(), "machine": about,
                   "weights": options.weights, "threads": options.threads,
                   "widening": options.widening, "rounds": options.rounds, "runs": rows}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
