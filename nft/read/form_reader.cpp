#include "nft/read/form_reader.hpp"

#include <algorithm>

#include "nft/read/query.hpp"

namespace portmapper::nft {

Status read_form(Transport& transport, const char* table, Bytes expressions, RuleForm& form) {
  AnonymousSets sets;
  for (const std::string& name : anonymous_sets(expressions)) {
    std::vector<std::string>& elements = sets[name];
    Query query(table);
    query.all_elements(name);
    const Status status =
        query.run(transport, [&elements](const nlmsghdr& reply) { add_elements(reply, elements); });
    if (!status) return status;
    std::sort(elements.begin(), elements.end());
  }
  form = rule_form(expressions, sets);
  return {};
}

}  // namespace portmapper::nft
