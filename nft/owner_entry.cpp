#include "nft/owner_entry.hpp"

namespace portmapper::nft {

bool is_of_network(const OwnerEntry& entry, std::string_view network) {
  return entry.network ? *entry.network == network_hash(network)
                       : is_of_network(entry.comment, network);
}

}  // namespace portmapper::nft
