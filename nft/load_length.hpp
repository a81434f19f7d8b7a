// How many bytes the kernel loads into a register, by the key of meta, ct and socket.
//
//   meta_length(NFT_META_IIFNAME);        // 16
//   connection_length(NFT_CT_DIRECTION);  // 1
//
// The keys are those that a rule of ours can have; nothing for any other. Errors: none. Source:
// kernel net/netfilter/nft_meta.c, nft_ct.c, nft_socket.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace portmapper::nft {

std::optional<std::size_t> meta_length(std::uint32_t key);
std::optional<std::size_t> connection_length(std::uint32_t key);
std::optional<std::size_t> socket_length(std::uint32_t key);

}  // namespace portmapper::nft
