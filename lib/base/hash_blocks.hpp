// digest_of: what the hashes of FIPS 180-4 have in common: blocks, the padding, and the digest's bytes.
//
//   std::array<std::uint32_t, 8> state{};  // a hash's first values
//   const auto digest = digest_of<std::array<std::uint8_t, 64>>("abc", state, [](auto&, const auto&) {});
//   use(digest.size());  // 32
//
// `compress` takes the state and one block. State and Block are the hash's: words of 4 bytes with blocks of
// 64, of 8 with 128. Errors: none. Real limit: texts of 2^61 bytes. Source: FIPS 180-4, "Padding the Message".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace portmapper {

template <typename Block, typename Word, typename Compress>
std::array<std::uint8_t, 8 * sizeof(Word)> digest_of(std::string_view text,
                                                     std::array<Word, 8> state,
                                                     const Compress& compress) {
  const std::uint64_t bits = text.size() * 8;
  Block block{};
  while (text.size() >= block.size()) {
    std::memcpy(block.data(), text.data(), block.size());
    compress(state, block);
    text.remove_prefix(block.size());
  }
  block = {};
  text.copy(reinterpret_cast<char*>(block.data()), text.size());
  block[text.size()] = 0x80;
  if (text.size() >= block.size() - 2 * sizeof(Word)) {  // no room for the length behind the text
    compress(state, block);
    block = {};
  }
  for (std::size_t i = 0; i < 8; ++i)
    block[block.size() - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
  compress(state, block);
  std::array<std::uint8_t, 8 * sizeof(Word)> digest{};
  constexpr std::size_t kBytes = sizeof(Word);
  for (std::size_t i = 0; i < digest.size(); ++i)
    digest[i] =
        static_cast<std::uint8_t>(state[i / kBytes] >> (8 * (kBytes - 1) - 8 * (i % kBytes)));
  return digest;
}

}  // namespace portmapper
