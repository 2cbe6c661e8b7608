// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Listens to nlohmann-json's event parser, which builds nothing by itself.
#include "frontends/graph/FlatJson.h"

#include <nlohmann/json.hpp>

namespace grok::graph {

using checkpoint::printable;

/// Each event returns false to stop the parser; `problem` then says why.
class FlatListener final : public nlohmann::json_sax<nlohmann::json> {
public:
  FlatObject object;
  std::string problem;

  bool null() override { return add(std::monostate()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(int64_t(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(INT64_MAX))
      return add(static_cast<double>(value));
    return add(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t &) override { return add(value); }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t &) override { return refuse("binary data"); }
  bool start_object(size_t) override {
    if (inside)
      return refuse("an object");
    return inside = true;
  }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return refuse("a list"); }
  bool end_array() override { return true; }
  bool key(string_t &value) override {
    if (object.contains(value)) {
      problem = "key '" + printable(value) + "' stands there twice; remove one";
      return false;
    }
    current = value;
    return true;
  }
  bool parse_error(size_t, const std::string &, const nlohmann::json::exception &error) override {
    std::string text = error.what(); // "[json.exception.parse_error.101] parse error at ..."
    size_t tag = text.find("] ");
    problem = "not JSON: " + printable(tag == std::string::npos ? text : text.substr(tag + 2));
    return false;
  }

private:
  bool add(FlatValue value) {
    if (!inside)
      return refuse("a single value");
    object[current] = std::move(value);
    return true;
  }
  bool refuse(std::string_view what) {
    problem = inside ? "key '" + printable(current) + "' is " + std::string(what) +
                           "; a number or a string is expected"
                     : "holds " + std::string(what) + ", not an object of keys and values";
    return false;
  }

  std::string current;
  bool inside = false;
};

checkpoint::Result<FlatObject> parseFlatJson(std::string_view text) {
  FlatListener listener;
  if (!nlohmann::json::sax_parse(text, &listener))
    return tl::unexpected(listener.problem);
  return std::move(listener.object);
}

} // namespace grok::graph
