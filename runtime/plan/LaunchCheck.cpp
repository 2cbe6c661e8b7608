// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Launches: operands, accesses and tile counts, in program order.
#include "runtime/plan/PlanCheck.h"
#include <string>
#include <vector>

namespace grok::runtime {

static constexpr int64_t maxTiles = (int64_t(1) << 31) - 1; // one int32 counts them

namespace {

/// Walks the launches of one bucket and remembers what is written so far.
class LaunchChecker {
public:
  LaunchChecker(const plan::Plan &plan, const plan::Program &program, const plan::Bucket &bucket)
      : plan(plan), program(program), buffers(*bucket.buffers()), maxRows(bucket.max_rows()),
        written(buffers.size(), false) {}

  Result<void> check(const plan::Launch &launch, const std::string &where);
  bool wroteLogits() const { return logitsWritten; }

private:
  Result<void> checkOperands(const plan::Launch &launch, const std::string &where);
  Result<void> checkOperand(const plan::Operand &operand, const std::string &where);
  Result<void> checkKernel(const plan::Launch &launch, const std::string &where) const;
  Result<void> checkCollective(const plan::Launch &launch, const std::string &where) const;
  Result<void> checkTiles(const plan::Launch &launch, const std::string &where) const;
  Result<void> checkCounted(const plan::TileCount &tiles, const std::string &where) const;
  Result<void> checkComputed(const plan::TileCount &tiles, const std::string &where) const;
  void recordWrites(const plan::Launch &launch);

  const plan::Plan &plan;
  const plan::Program &program;
  const flatbuffers::Vector<flatbuffers::Offset<plan::Buffer>> &buffers;
  int64_t maxRows;
  std::vector<bool> written;
  bool logitsWritten = false;
};

} // namespace

static bool reads(plan::OperandAccess access) { return access != plan::OperandAccess::write; }
static bool writes(plan::OperandAccess access) { return access != plan::OperandAccess::read; }

Result<void> LaunchChecker::checkOperand(const plan::Operand &operand, const std::string &where) {
  if (operand.buffer() < 0 || static_cast<uint32_t>(operand.buffer()) >= buffers.size())
    return fail(where, ": buffer ", operand.buffer(), " of ", buffers.size());
  if (operand.access() < plan::OperandAccess::MIN || operand.access() > plan::OperandAccess::MAX)
    return fail(where, ": unknown access");
  if (operand.range() < plan::OperandRange::MIN || operand.range() > plan::OperandRange::MAX)
    return fail(where, ": unknown range");
  auto index = static_cast<uint32_t>(operand.buffer());
  plan::BufferKind kind = buffers.Get(index)->kind();
  if (kind == plan::BufferKind::weight && writes(operand.access()))
    return fail(where, ": a weight is written");
  if (kind == plan::BufferKind::logits && reads(operand.access()))
    return fail(where, ": the logits are read");
  if (kind == plan::BufferKind::arena && reads(operand.access()) && !written[index])
    return fail(where, ": '", textOf(buffers.Get(index)->name()), "' is read before it is written");
  return {};
}

Result<void> LaunchChecker::checkOperands(const plan::Launch &launch, const std::string &where) {
  const auto &operands = *launch.operands();
  for (uint32_t i = 0; i < operands.size(); ++i) {
    std::string entry = where + " operand " + std::to_string(i);
    if (auto checked = checkOperand(*operands.Get(i), entry); !checked)
      return checked;
    // A kernel may assume that what it writes is reached by one operand only.
    for (uint32_t j = 0; j < i; ++j)
      if (operands.Get(j)->buffer() == operands.Get(i)->buffer() &&
          (writes(operands.Get(j)->access()) || writes(operands.Get(i)->access())))
        return fail(entry, ": its buffer is also operand ", j, " and one of them writes");
  }
  return {};
}

Result<void> LaunchChecker::checkCounted(const plan::TileCount &tiles,
                                         const std::string &where) const {
  auto index = static_cast<uint32_t>(tiles.buffer());
  if (index >= buffers.size() || buffers.Get(index)->kind() != plan::BufferKind::arena ||
      buffers.Get(index)->dtype() != plan::DType::i32 || !written[index])
    return fail(where, ": tile count from buffer ", tiles.buffer(),
                ", expected an i32 arena buffer written before");
  if (tiles.element() < 0 ||
      (static_cast<uint64_t>(tiles.element()) + 1) * 4 > buffers.Get(index)->bytes())
    return fail(where, ": tile count is element ", tiles.element(), ", beyond its buffer");
  if (tiles.per_row() != 0 || tiles.per_logit_row() != 0 || tiles.constant() != 0)
    return fail(where, ": tile count is both read and computed");
  return {};
}

Result<void> LaunchChecker::checkComputed(const plan::TileCount &tiles,
                                          const std::string &where) const {
  if (tiles.buffer() != -1)
    return fail(where, ": tile count from buffer ", tiles.buffer());
  for (int64_t part : {tiles.per_row(), tiles.per_logit_row(), tiles.constant()})
    if (part < 0 || part > maxTiles)
      return fail(where, ": tile count with a part of ", part);
  int64_t atMost = (tiles.per_row() + tiles.per_logit_row()) * maxRows + tiles.constant();
  if (atMost < 1 || atMost > tiles.max())
    return fail(where, ": ", atMost, " tiles at most, its limit is ", tiles.max());
  return {};
}

Result<void> LaunchChecker::checkTiles(const plan::Launch &launch, const std::string &where) const {
  const plan::TileCount *tiles = launch.tiles();
  if (!tiles)
    return fail(where, ": no tile count");
  if (tiles->max() < 1 || tiles->max() > maxTiles)
    return fail(where, ": a tile limit of ", tiles->max(), ", expected 1..", maxTiles);
  // Tiles that write parts of their own need an element each.
  for (const plan::Operand *operand : *launch.operands()) {
    const plan::Buffer &buffer = *buffers.Get(static_cast<uint32_t>(operand->buffer()));
    if (writes(operand->access()) && operand->range() != plan::OperandRange::whole &&
        buffer.kind() != plan::BufferKind::kv &&
        static_cast<uint64_t>(tiles->max()) > buffer.bytes() / sizeOf(buffer.dtype()))
      return fail(where, ": ", tiles->max(), " tiles for the ", buffer.bytes(), " bytes of '",
                  textOf(buffer.name()), "'");
  }
  return tiles->buffer() >= 0 ? checkCounted(*tiles, where) : checkComputed(*tiles, where);
}

void LaunchChecker::recordWrites(const plan::Launch &launch) {
  for (const plan::Operand *operand : *launch.operands()) {
    auto index = static_cast<uint32_t>(operand->buffer());
    if (!writes(operand->access()))
      continue;
    written[index] = true;
    logitsWritten |= buffers.Get(index)->kind() == plan::BufferKind::logits;
  }
}

Result<void> LaunchChecker::checkKernel(const plan::Launch &launch,
                                        const std::string &where) const {
  if (launch.kernel() < 0 || static_cast<uint32_t>(launch.kernel()) >= plan.kernels()->size())
    return fail(where, ": kernel ", launch.kernel(), " of ", plan.kernels()->size());
  const plan::Kernel &kernel = *plan.kernels()->Get(static_cast<uint32_t>(launch.kernel()));
  if (launch.operands()->size() != static_cast<uint32_t>(kernel.num_buffers()))
    return fail(where, ": ", launch.operands()->size(), " operands, kernel '",
                textOf(kernel.symbol()), "' takes ", kernel.num_buffers());
  return {};
}

static uint64_t ranksOver(const plan::Sharding &sharding, plan::Axis axes) {
  uint64_t ranks = 1;
  if (includes(axes, plan::Axis::tp))
    ranks *= static_cast<uint64_t>(sharding.tp());
  if (includes(axes, plan::Axis::ep))
    ranks *= static_cast<uint64_t>(sharding.ep());
  return ranks;
}

// Operands are checked before; here that they fit each other and the ranks.
Result<void> LaunchChecker::checkCollective(const plan::Launch &launch,
                                            const std::string &where) const {
  using Kind = plan::Collective;
  const Kind kind = launch.collective();
  const bool isHandOver = kind == Kind::send || kind == Kind::receive;
  if (kind < Kind::MIN || kind > Kind::MAX || launch.kernel() != -1 || launch.tiles())
    return fail(where, ": unknown collective, or one with a kernel or tiles");
  const auto &operands = *launch.operands();
  if (operands.size() != (isHandOver ? 1 : 2))
    return fail(where, ": ", operands.size(), " operands");
  auto access = [&](uint32_t i) { return operands.Get(i)->access(); };
  auto buffer = [&](uint32_t i) -> const plan::Buffer & {
    return *buffers.Get(static_cast<uint32_t>(operands.Get(i)->buffer()));
  };
  for (uint32_t i = 0; i < operands.size(); ++i)
    if (!buffer(i).per_row() || buffer(i).kind() == plan::BufferKind::kv)
      return fail(where, ": operand ", i, " has no rows");
  if (isHandOver) {
    const int32_t neighbour = program.stage() + (kind == Kind::send ? 1 : -1);
    const auto wanted = kind == Kind::send ? plan::OperandAccess::read : plan::OperandAccess::write;
    return launch.over() == plan::Axis::pp && access(0) == wanted && neighbour >= 0 &&
                   neighbour < plan.sharding()->pp()
               ? Result<void>()
               : fail(where, ": sends or receives where there is no stage");
  }
  const uint64_t parts = kind == Kind::all_gather ? ranksOver(*plan.sharding(), launch.over()) : 1;
  if (ranksOver(*plan.sharding(), launch.over()) < 2 || includes(launch.over(), plan::Axis::pp) ||
      access(0) != plan::OperandAccess::read || access(1) != plan::OperandAccess::write ||
      buffer(0).dtype() != buffer(1).dtype() ||
      (kind == Kind::all_reduce && buffer(0).dtype() != plan::DType::f32) ||
      saturatingMultiply(elementsOf(buffer(0).row_shape()), parts) !=
          elementsOf(buffer(1).row_shape()))
    return fail(where, ": its operands do not fit each other and its group of ",
                ranksOver(*plan.sharding(), launch.over()), " ranks");
  return {};
}

Result<void> LaunchChecker::check(const plan::Launch &launch, const std::string &where) {
  if (launch.layer() < -1 || launch.layer() >= plan.model()->num_layers())
    return fail(where, ": layer ", launch.layer(), " of ", plan.model()->num_layers());
  const bool isKernel = launch.collective() == plan::Collective::none;
  Result<void> checked = isKernel ? checkKernel(launch, where) : Result<void>();
  return checked.and_then([&] { return checkOperands(launch, where); })
      .and_then(
          [&] { return isKernel ? checkTiles(launch, where) : checkCollective(launch, where); })
      .map([&] { recordWrites(launch); });
}

static Result<void> checkLogitsCount(const plan::Bucket &bucket, int expected,
                                     const std::string &where) {
  int count = 0;
  for (const plan::Buffer *buffer : *bucket.buffers())
    count += buffer->kind() == plan::BufferKind::logits;
  if (count != expected)
    return fail(where, ": ", count, " logits buffers, expected ", expected);
  return {};
}

Result<void> checkLaunches(const plan::Plan &plan, const plan::Program &program,
                           const plan::Bucket &bucket, const std::string &where) {
  const bool isLast = program.stage() + 1 == plan.sharding()->pp();
  if (auto checked = checkLogitsCount(bucket, isLast ? 1 : 0, where); !checked)
    return checked;
  LaunchChecker checker(plan, program, bucket);
  for (uint32_t i = 0; i < bucket.launches()->size(); ++i) {
    const plan::Launch &launch = *bucket.launches()->Get(i);
    std::string entry = where + " launch " + std::to_string(i);
    if (!isCleanName(launch.name(), true))
      return fail(entry, ": the name is too long or not printable");
    entry += " '" + std::string(textOf(launch.name())) + "'";
    if (auto checked = checker.check(launch, entry); !checked)
      return checked;
  }
  if (isLast && !checker.wroteLogits())
    return fail(where, ": no launch writes the logits");
  return {};
}

} // namespace grok::runtime
