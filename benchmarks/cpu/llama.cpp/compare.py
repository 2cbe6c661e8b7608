#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Speed of our artifacts beside llama.cpp's on the same random weights, at equal bits.

    benchmarks/cpu/llama.cpp/install-peer.sh /tmp/peer
    /tmp/peer/venv/bin/python benchmarks/cpu/llama.cpp/compare.py --peer /tmp/peer --work /tmp/compare --quick

Ours and the peer take turns, case by case and round by round; medians of the rounds are printed,
with the read limit that was measured in the same round. Without --quick: Grok-1's widths in two
layers; needs some 50 GB of disk.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

import numpy

import weights

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
# Our flags, and the peer's formats of as many bits.
PAIRS = {"int8": ["Q8_0"], "int4": ["Q4_0", "Q4_K"]}
# Name: sequences, tokens before the measured ones, prompt tokens.
CASES = {"decode": (1, 0, 0), "decode at 1024": (1, 1024, 0), "8 sequences": (8, 0, 0),
         "prefill 512": (1, 0, 512)}
# Both sides round the inputs of every product to 8 bits per 32 to 128 inputs: some 0.6 % of a
# product's size, in 9 products a layer, which is 2 to 4 % of the logits' spread after 16 layers. A
# token for which that tips the choice of an expert differs by far more, and so do those that see it:
# hence the tenth of the tokens that differ least, and how often the likeliest token is the same.
LOGIT_TOLERANCE = 0.1
SAME_TOKENS = 0.75


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peer", required=True, help="folder made by install-peer.sh")
    parser.add_argument("--work", required=True, help="folder for weights and artifacts")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="folder of our build")
    parser.add_argument("--quick", action="store_true", help="an eighth of the widths, 16 layers")
    parser.add_argument("--bits", choices=PAIRS, action="append", help="default: all")
    parser.add_argument("--format", choices=sum(PAIRS.values(), []), action="append",
                        help="of the peer; default: all of these bits")
    parser.add_argument("--grokc-flag", action="append", default=[], help="another flag for grokc")
    parser.add_argument("--threads", type=int, action="append", help="default: 1 and all cores")
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16, help="decode steps of a round")
    parser.add_argument("--json", help="file for the results")
    return parser.parse_args()


class Peer:
    def __init__(self, folder, model):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py"),
             folder, model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.start = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare.py: the peer has ended, exit code {self.process.wait()}")
        return json.loads(line)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    def __init__(self, arguments, bits, artifact):
        self.tools, self.artifact = os.path.join(arguments.build, "bin"), artifact
        if not os.path.exists(os.path.join(artifact, "model.plan")):
            flags = arguments.grokc_flag + ([] if bits == "int8" else [f"--weights={bits}"])
            self.call("grokc", os.path.join(arguments.work, "model"), "-o", artifact,
                      "--max-context=2048", *flags)

    def call(self, tool, *arguments):
        done = subprocess.run([os.path.join(self.tools, tool), *arguments], capture_output=True,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"compare.py: {tool}: {done.stderr.strip()}")
        return done.stdout

    def start_seconds(self):
        """From the start of the process to its end after one token."""
        begin = time.perf_counter()
        self.call("grok-run", self.artifact, "--tokens=1", "--max-new-tokens=1")
        return time.perf_counter() - begin

    def logits(self, tokens, path):
        self.call("grok-run", self.artifact, "--tokens=" + ",".join(map(str, tokens)),
                  "--max-new-tokens=0", "--logits-out", path)

    def measure(self, case, threads, steps, path):
        batch, depth, prompt = CASES[case]
        self.call("grok-bench", self.artifact, f"--batch={batch}", f"--depth={depth}",
                  f"--prompt-tokens={prompt}", f"--new-tokens={0 if prompt else steps}",
                  f"--threads={threads}", "--json", path)
        with open(path) as file:
            return json.load(file)["runs"][0]


def compare_logits(peer, ours, folder):
    """Root mean square differences by token, in standard deviations of our logits."""
    tokens = numpy.random.default_rng(2).integers(1, 2048, 64).tolist()
    paths = [os.path.join(folder, name) for name in ("peer.npy", "ours.npy")]
    peer.ask(kind="logits", tokens=tokens, threads=os.cpu_count(), path=paths[0])
    ours.logits(tokens, paths[1])
    theirs, mine = (numpy.load(path).astype(numpy.float64) for path in paths)
    if not numpy.isfinite(theirs).all() or not numpy.isfinite(mine).all():
        sys.exit("compare.py: logits are not finite")
    by_token = numpy.sqrt(((mine - theirs) ** 2).mean(1)) / mine.std()
    return {"lowest_tenth": float(numpy.quantile(by_token, 0.1)),
            "median": float(numpy.median(by_token)),
            "same_top_token": float((mine.argmax(1) == theirs.argmax(1)).mean())}


def peer_rate(peer, case, threads, steps):
    batch, depth, prompt = CASES[case]
    if prompt:
        return prompt / peer.ask(kind="prefill", tokens=prompt, threads=threads)["seconds"]
    return batch / peer.ask(kind="decode", batch=batch, depth=depth, steps=steps,
                            threads=threads)["seconds"]


def run_case(peer, ours, case, threads, arguments):
    rounds = []
    for _ in range(arguments.rounds):
        load = os.getloadavg()[0]
        theirs = peer_rate(peer, case, threads, arguments.steps)
        run = ours.measure(case, threads, arguments.steps, os.path.join(arguments.work, "run.json"))
        mine = run["prefill_tokens_per_second" if CASES[case][2] else "decode_tokens_per_second"]
        rounds.append({"peer": theirs, "ours": mine, "ratio": mine / theirs, "load": load,
                       "read_limit": run["read_limit_bytes_per_second"],
                       "bytes_per_token": run["weight_bytes_per_token"],
                       "peak_rss_bytes": run["peak_rss_bytes"]})
    median = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    return {"case": case, "threads": threads, "median": median, "rounds": rounds}


def print_case(result):
    median = result["median"]
    share = ""
    if not result["case"].startswith("prefill"):
        share = f"{100 * median['bytes_per_token'] * median['ours'] / median['read_limit']:6.0f} %"
    print(f"{result['case']:>15} {result['threads']:>7} {median['peer']:>10.2f} "
          f"{median['ours']:>10.2f} {median['ratio']:>6.2f} {median['read_limit'] / 1e9:>7.1f} "
          f"{share:>8} {median['load']:>5.1f}", flush=True)


def compare_pair(arguments, maker, config, bits, form):
    path = os.path.join(arguments.work, f"model.{form}.gguf")
    weights.write_gguf(maker, config, form, path)
    ours = Ours(arguments, bits, os.path.join(arguments.work, bits))
    ours.start_seconds()  # both files into the page cache
    Peer(arguments.peer, path).close()
    peer = Peer(arguments.peer, path)
    result = {"bits": bits, "peer_format": form, "peer_file_bytes": os.path.getsize(path),
              "start_seconds": {"peer": peer.start["start_seconds"], "ours": ours.start_seconds()},
              "logits": compare_logits(peer, ours, arguments.work), "cases": []}
    logits = result["logits"]
    print(f"\nours {bits} / llama.cpp {form}: logits differ by {logits['lowest_tenth']:.3f} (lowest "
          f"tenth), {logits['median']:.3f} (median) of their spread, "
          f"{100 * logits['same_top_token']:.0f} % of the likeliest tokens are equal")
    if logits["lowest_tenth"] > LOGIT_TOLERANCE or logits["same_top_token"] < SAME_TOKENS:
        sys.exit("compare.py: the two do not compute the same model")
    print(f"{'case':>15} {'threads':>7} {'peer tok/s':>10} {'ours tok/s':>10} {'ratio':>6} "
          f"{'limit':>7} {'share':>8} {'load':>5}")
    for threads in arguments.threads or sorted({1, os.cpu_count()}):
        for case in arguments.case or CASES:
            result["cases"].append(run_case(peer, ours, case, threads, arguments))
            print_case(result["cases"][-1])
    result["peak_rss_bytes"] = {
        "peer": peer.ask(kind="prefill", tokens=1, threads=1)["peak_rss_bytes"],
        "ours": max(case["median"]["peak_rss_bytes"] for case in result["cases"])}
    peer.close()
    print(f"start {result['start_seconds']['peer']:.2f} s / {result['start_seconds']['ours']:.2f} s"
          f", peak memory {result['peak_rss_bytes']['peer'] / 2**30:.2f} GiB / "
          f"{result['peak_rss_bytes']['ours'] / 2**30:.2f} GiB", flush=True)
    return result


def describe_run(arguments):
    def output(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    with open("/proc/cpuinfo") as file:
        names = [line.split(": ")[1].strip() for line in file if line.startswith("model name")]
    return {"machine": {"cpu": names[0], "cores": len(names),
                        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")},
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "rounds": arguments.rounds, "decode_steps": arguments.steps,
            "grokc_flags": arguments.grokc_flag,
            "ours": output("git", "-C", ROOT, "rev-parse", "HEAD"),
            "peer": "llama.cpp 0c1e57098 (llama-cpp-python 0.3.36)",
            "model": "an eighth of Grok-1's widths, 16 layers" if arguments.quick
                     else "Grok-1's widths, 2 layers"}


def main():
    arguments = parse_arguments()
    os.makedirs(arguments.work, exist_ok=True)
    maker = weights.load_maker(ROOT)
    config = weights.configuration(maker, arguments.quick)
    weights.write_checkpoint(maker, config, os.path.join(arguments.work, "model"))
    report = describe_run(arguments) | {"pairs": []}
    for bits in arguments.bits or PAIRS:
        for form in PAIRS[bits]:
            if arguments.format and form not in arguments.format:
                continue
            report["pairs"].append(compare_pair(arguments, maker, config, bits, form))
            if arguments.json:
                with open(arguments.json, "w") as file:
                    json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
