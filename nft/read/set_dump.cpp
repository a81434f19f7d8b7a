#include "nft/read/set_dump.hpp"

#include "nft/read/query.hpp"

namespace portmapper::nft {

Status dump_elements(Transport& transport, const std::string& set,
                     const std::function<void(const ElementView&)>& visit) {
  Query query;
  query.all_elements(set);
  return query.run(transport, [&](const nlmsghdr& reply) { for_each_element(reply, visit); });
}

Status peek_elements(Transport& transport, const std::string& set,
                     const std::function<void(const ElementView&)>& visit,
                     const IsEnough& is_enough) {
  Query query;
  query.all_elements(set);
  return query.peek(
      transport, [&](const nlmsghdr& reply) { for_each_element(reply, visit); }, is_enough);
}

}  // namespace portmapper::nft
