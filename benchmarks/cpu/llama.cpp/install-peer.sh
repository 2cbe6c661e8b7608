#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Fetches and builds the pinned llama.cpp into a folder: install-peer.sh FOLDER [JOBS]
# The source is what llama-cpp-python carries; only the library is built (~10 CPU minutes).
set -euo pipefail

version=0.3.36 # of llama-cpp-python; its llama.cpp is commit 0c1e57098
digest=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
folder=${1:?usage: install-peer.sh FOLDER [JOBS]}
jobs=${2:-1}
mkdir -p "$folder"
cd "$folder"

if [ ! -x venv/bin/python ]; then
  python3 -m venv venv
  venv/bin/pip -q install numpy gguf scikit-build-core typing_extensions
fi
archive=llama_cpp_python-$version.tar.gz
if [ ! -f "$archive" ]; then
  # Its build requirements are installed above: pip asks the package for its metadata.
  venv/bin/pip download -q --no-binary llama-cpp-python --no-deps --no-build-isolation \
    "llama-cpp-python==$version" -d .
fi
echo "$digest  $archive" | sha256sum -c --quiet
[ -d source ] || { mkdir source && tar xzf "$archive" -C source --strip-components=1; }

# clang, since gcc 12 leaves AMX's tile configuration half written and every product of more than one
# row then dies; without OpenMP, which clang may lack: ggml has threads of its own.
cmake -S source/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_C_COMPILER="${CC:-clang-22}" -DCMAKE_CXX_COMPILER="${CXX:-clang++-22}" \
  -DGGML_NATIVE=ON -DGGML_OPENMP=OFF -DBUILD_SHARED_LIBS=ON -DLLAMA_BUILD_COMMON=OFF \
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_SERVER=OFF > configure.log
cmake --build build --target llama --parallel "$jobs"
