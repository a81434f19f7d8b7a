#include "nft/load_length.hpp"

#include <linux/netfilter/nf_tables.h>

namespace portmapper::nft {

std::optional<std::size_t> meta_length(std::uint32_t key) {
  switch (key) {
    case NFT_META_NFPROTO:
    case NFT_META_L4PROTO:
      return 1;
    case NFT_META_MARK:
      return 4;
    case NFT_META_IIFNAME:
    case NFT_META_OIFNAME:
      return 16;
    default:
      return std::nullopt;
  }
}

std::optional<std::size_t> connection_length(std::uint32_t key) {
  switch (key) {
    case NFT_CT_DIRECTION:
      return 1;
    case NFT_CT_STATE:
    case NFT_CT_STATUS:
    case NFT_CT_MARK:
    case NFT_CT_SRC_IP:
    case NFT_CT_DST_IP:
      return 4;
    case NFT_CT_LABELS:
    case NFT_CT_SRC_IP6:
    case NFT_CT_DST_IP6:
      return 16;
    default:
      return std::nullopt;
  }
}

std::optional<std::size_t> socket_length(std::uint32_t key) {
  switch (key) {
    case NFT_SOCKET_TRANSPARENT:
    case NFT_SOCKET_WILDCARD:
      return 1;
    case NFT_SOCKET_MARK:
      return 4;
    default:
      return std::nullopt;
  }
}

}  // namespace portmapper::nft
