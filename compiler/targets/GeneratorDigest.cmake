# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Writes OUTPUT, a header with the constant NAME: the SHA-256 over the contents of INPUTS.
set(digests "")
foreach(input IN LISTS INPUTS)
  file(SHA256 ${input} digest)
  string(APPEND digests ${digest})
endforeach()
string(SHA256 digest "${digests}")
file(WRITE ${OUTPUT} "#pragma once\nstatic constexpr char ${NAME}[] = \"${digest}\";\n")
