// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/quantization/Selection.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace grok::quantization;

static constexpr llvm::StringLiteral attributeName = "grok.quantization";

double Selection::bits() const {
  return elements ? 8.0 * static_cast<double>(matrixBytes) / static_cast<double>(elements) : 0;
}

namespace {

/// Fields of one struct, written to a dictionary.
class Writer {
public:
  explicit Writer(MLIRContext *context) : builder(context) {}
  void field(StringRef key, const std::string &value) {
    fields.append(key, builder.getStringAttr(value));
  }
  void field(StringRef key, int64_t value) { fields.append(key, builder.getI64IntegerAttr(value)); }
  void field(StringRef key, double value) { fields.append(key, builder.getF64FloatAttr(value)); }
  void field(StringRef key, bool value) { fields.append(key, builder.getBoolAttr(value)); }
  template <typename T> void field(StringRef key, std::vector<T> &values);
  DictionaryAttr take() const { return fields.getDictionary(builder.getContext()); }

private:
  Builder builder;
  NamedAttrList fields;
};

/// The same fields, read back. What is missing keeps its default.
class Reader {
public:
  explicit Reader(DictionaryAttr fields) : fields(fields) {}
  void field(StringRef key, std::string &value) {
    if (auto text = fields.getAs<StringAttr>(key))
      value = text.str();
  }
  void field(StringRef key, int64_t &value) {
    if (auto number = fields.getAs<IntegerAttr>(key))
      value = number.getInt();
  }
  void field(StringRef key, double &value) {
    if (auto number = fields.getAs<FloatAttr>(key))
      value = number.getValueAsDouble();
  }
  void field(StringRef key, bool &value) {
    if (auto flag = fields.getAs<BoolAttr>(key))
      value = flag.getValue();
  }
  template <typename T> void field(StringRef key, std::vector<T> &values);

private:
  DictionaryAttr fields;
};

} // namespace

template <typename Visitor> static void visit(Visitor &visitor, SelectedItem &item) {
  visitor.field("name", item.name);
  visitor.field("kind", item.kind);
  visitor.field("format", item.format);
  visitor.field("layer", item.layer);
  visitor.field("expert", item.expert);
  visitor.field("elements", item.elements);
  visitor.field("bytes", item.bytes);
  visitor.field("loss", item.loss);
}

template <typename Visitor> static void visit(Visitor &visitor, FlatChoice &flat) {
  visitor.field("format", flat.format);
  visitor.field("bytes", flat.bytes);
  visitor.field("bits", flat.bits);
  visitor.field("loss", flat.loss);
}

template <typename Visitor> static void visit(Visitor &visitor, Selection &selection) {
  visitor.field("weights", selection.weights);
  visitor.field("measured", selection.isMeasured);
  visitor.field("elements", selection.elements);
  visitor.field("matrix_bytes", selection.matrixBytes);
  visitor.field("bytes", selection.bytes);
  visitor.field("budget", selection.budget);
  visitor.field("loss", selection.loss);
  visitor.field("gap", selection.gap);
  visitor.field("flat", selection.flat);
  visitor.field("items", selection.items);
}

template <typename T> void Writer::field(StringRef key, std::vector<T> &values) {
  SmallVector<Attribute> written;
  for (T &value : values) {
    Writer writer(builder.getContext());
    visit(writer, value);
    written.push_back(writer.take());
  }
  fields.append(key, builder.getArrayAttr(written));
}

template <typename T> void Reader::field(StringRef key, std::vector<T> &values) {
  auto written = fields.getAs<ArrayAttr>(key);
  if (!written)
    return;
  for (auto dictionary : written.getAsRange<DictionaryAttr>()) {
    Reader reader(dictionary);
    visit(reader, values.emplace_back());
  }
}

void grok::quantization::setSelection(ModuleOp module, Selection selection) {
  Writer writer(module.getContext());
  visit(writer, selection);
  module->setAttr(attributeName, writer.take());
}

std::optional<Selection> grok::quantization::getSelection(ModuleOp module) {
  auto dictionary = module->getAttrOfType<DictionaryAttr>(attributeName);
  if (!dictionary)
    return std::nullopt;
  Selection selection;
  Reader reader(dictionary);
  visit(reader, selection);
  return selection;
}
