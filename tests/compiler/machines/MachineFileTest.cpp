// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/machines/MachineFile.h"
#include "compiler/machines/EmbeddedMachines.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace grok::machines;
using nlohmann::json;
using testing::HasSubstr;

namespace {

json textOf(std::string_view name) {
  for (const EmbeddedMachine &file : embeddedMachines())
    if (file.name == name)
      return json::parse(file.text);
  return {};
}

std::string errorOf(const json &machine) {
  const auto parsed = parseMachine(machine.dump(), "m.json");
  return parsed ? std::string() : parsed.error();
}

} // namespace

TEST(MachineFile, EveryKnownOneIsReadUnderItsName) {
  for (const KnownMachine &known : knownMachines()) {
    const auto machine = findMachine(known.name);
    ASSERT_TRUE(machine) << machine.error();
    EXPECT_EQ(machine->name, known.name);
    EXPECT_EQ(machine->digest.size(), 64U);
    EXPECT_FALSE(known.description.empty());
    for (const auto &[key, source] : machine->sources)
      EXPECT_FALSE(source.empty()) << known.name << ", " << key;
  }
}

TEST(MachineFile, ReadsTheNumbers) {
  const Machine machine = *findMachine("2x8xh100");
  EXPECT_EQ(machine.devices(), 16);
  EXPECT_EQ(machine.nodes, 2);
  EXPECT_DOUBLE_EQ(machine.bandwidth, 3.35e12);
  EXPECT_DOUBLE_EQ(machine.peaks.at("bf16"), 989e12);
  EXPECT_DOUBLE_EQ(machine.across.bandwidth, 47e9);
  EXPECT_DOUBLE_EQ(machine.launchSeconds, 1.5e-6);
  EXPECT_DOUBLE_EQ(machine.allReduceSeconds(16, 2, 24576), 36e-6);
}

TEST(MachineFile, Parts) {
  const auto part = findMachine("4xh100");
  ASSERT_TRUE(part) << part.error();
  EXPECT_EQ(part->devices(), 4);
  EXPECT_EQ(part->name, "4xh100");
  EXPECT_DOUBLE_EQ(part->bandwidth, findMachine("8xh100")->bandwidth);
  EXPECT_EQ(findMachine("2xh200")->devices(), 2);
  EXPECT_EQ(findMachine("3")->devicesPerNode, 3);
  EXPECT_EQ(findMachine("3")->sharedCores, findMachine("cpu")->sharedCores);
  for (const char *unknown :
       {"9xh100", "0xh100", "h100", "8x", "x8", "", "8xh100x", "-1", "99999999"})
    EXPECT_FALSE(findMachine(unknown)) << unknown;
}

TEST(MachineFile, RanksOfOneProcessorShareIt) {
  const Machine machine = *findMachine("4");
  EXPECT_DOUBLE_EQ(4 * machine.rankMemory(4), machine.rankMemory(1));
  const double core = machine.bandwidth * machine.bandwidthShare;
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(1, 1).rank, 2 * core) << "two threads";
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(2, 2).rank, core);
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(4, 2).rank, core) << "two wait";
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(3, 3).rank, core / 2) << "two of three share a core";
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(4, 4).rank, core / 2);
  EXPECT_DOUBLE_EQ(machine.bandwidthOf(4, 4).node, machine.nodeBandwidth * machine.bandwidthShare);
  EXPECT_DOUBLE_EQ(machine.peakOf("f32", 4, 4).node, 2 * machine.peakOf("f32", 2, 2).rank);
}

TEST(MachineFile, ErrorsNameFileAndKey) {
  EXPECT_EQ(errorOf(textOf("8xh100")), "");
  const auto with = [](const char *pointer, json value) {
    json machine = textOf("8xh100");
    machine[json::json_pointer(pointer)] = std::move(value);
    return errorOf(machine);
  };
  EXPECT_EQ(parseMachine("[]", "m.json").error(), "m.json: is no JSON object, give a machine file");
  EXPECT_FALSE(parseMachine("{", "m.json"));
  EXPECT_THAT(with("/nodes", 0), HasSubstr("m.json, nodes: expects a whole number"));
  EXPECT_THAT(with("/nodes", 2), HasSubstr("m.json, links.across: is missing"));
  EXPECT_THAT(with("/devices_per_node", 1 << 20), HasSubstr("devices_per_node: expects a whole"));
  EXPECT_THAT(with("/frob", 1), HasSubstr("m.json, frob: is no key of a machine file"));
  EXPECT_THAT(with("/memory_bytes", 1e9), HasSubstr("m.json, memory_bytes: expects {\"value\""));
  EXPECT_THAT(with("/memory_bytes/value", -1), HasSubstr("m.json, memory_bytes: value expects"));
  EXPECT_THAT(with("/memory_bytes/source", ""), HasSubstr("m.json, memory_bytes: expects {"));
  EXPECT_THAT(with("/bandwidth_share/value", 1.5), HasSubstr("bandwidth_share: expects at most 1"));
  EXPECT_THAT(with("/peak_operations_per_second", json::object()),
              HasSubstr("peak_operations_per_second.f32: is missing"));
  EXPECT_THAT(with("/links/inside/bandwidth_bytes_per_second/value", 0),
              HasSubstr("links.inside.bandwidth_bytes_per_second: value expects"));
  EXPECT_THAT(with("/links/outside", json::object()), HasSubstr("links.outside: is no key"));
  EXPECT_THAT(with("/all_reduce/1/microseconds", {2.0, 1.0}),
              HasSubstr("all_reduce[1].microseconds: expects that more bytes take no less"));
  EXPECT_THAT(with("/all_reduce/1/bytes", {1.0}), HasSubstr("expects as many as bytes"));
  EXPECT_THAT(with("/all_reduce/0/ranks", 1), HasSubstr("all_reduce[0].ranks: expects at least 2"));
  EXPECT_THAT(with("/all_reduce", 1), HasSubstr("m.json, all_reduce: expects a list"));
}
