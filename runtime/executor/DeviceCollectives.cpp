// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/DeviceCollectives.h"

namespace grok::runtime {

static bool isRead(plan::Collective kind) { return kind != plan::Collective::receive; }

/// What it gives has so many rows of its source beside each other.
static size_t widthOf(const CollectiveRows &what, const RankLinks &links) {
  return what.kind == plan::Collective::all_gather
             ? static_cast<size_t>(links.group(what.over).members())
             : 1;
}

Result<void> DeviceCollectives::runOnHost(const CollectiveRows &what) {
  Communicator &communicator = links->communicator();
  const size_t bytes = static_cast<size_t>(what.rows) * what.rowBytes;
  switch (what.kind) {
  case plan::Collective::none:
    return {};
  case plan::Collective::all_gather:
    return links->group(what.over).allGatherRows(what.source, what.target, what.rows,
                                                 what.rowBytes);
  case plan::Collective::all_reduce:
    return links->group(what.over).allReduceRows(
        reinterpret_cast<const float *>(what.source), reinterpret_cast<float *>(what.target),
        what.rows, static_cast<int64_t>(what.rowBytes / sizeof(float)));
  case plan::Collective::send:
    return communicator.send(links->next(), what.source, bytes);
  case plan::Collective::receive:
    return communicator.receive(links->previous(), what.source, bytes);
  }
  return {};
}

Result<void> DeviceCollectives::run(const CollectiveRows &what) {
  if (device->sharesHostMemory())
    return device->wait().and_then([&] { return runOnHost(what); });
  const size_t bytes = static_cast<size_t>(what.rows) * what.rowBytes;
  CollectiveRows onHost = what;
  source.resize(std::max(source.size(), bytes));
  onHost.source = source.data();
  if (what.target) {
    target.resize(std::max(target.size(), bytes * widthOf(what, *links)));
    onHost.target = target.data();
  }
  Result<void> done;
  if (isRead(what.kind))
    done = device->download(std::span(source).first(bytes), what.source);
  done = done.and_then([&] { return runOnHost(onHost); });
  if (!done || what.kind == plan::Collective::send)
    return done;
  return what.target
             ? device->upload(what.target, std::span(target).first(bytes * widthOf(what, *links)))
             : device->upload(what.source, std::span(source).first(bytes));
}

} // namespace grok::runtime
