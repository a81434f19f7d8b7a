#include "nft/registers.hpp"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>

namespace portmapper::nft {
namespace {

// Where a register begins among the bytes; the verdict's is not among them.
std::optional<std::size_t> begin_of(std::uint32_t number) {
  if (number >= NFT_REG_1 && number <= NFT_REG_4) return (number - NFT_REG_1) * std::size_t{16};
  if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
    return (number - NFT_REG32_00) * std::size_t{4};
  return std::nullopt;
}

bool is_whole(const SymbolicByte& byte) {
  return !byte.is_constant() && byte.mask == 0xff && byte.bits == 0;
}

// Whether `next` can be printed together with `byte`, which stands before it.
bool continues(const SymbolicByte& byte, const SymbolicByte& next) {
  if (byte.is_constant()) return next.is_constant();
  return is_whole(byte) && is_whole(next) && byte.source == next.source &&
         byte.offset + 1 == next.offset;
}

}  // namespace

SymbolicBytes loaded(std::string_view source, std::uint32_t offset, std::size_t length) {
  SymbolicBytes bytes(length);
  for (std::size_t i = 0; i < length; ++i)
    bytes[i] = {.source = std::string(source), .offset = offset + static_cast<std::uint32_t>(i)};
  return bytes;
}

SymbolicBytes constant(Bytes bytes) {
  SymbolicBytes all;
  all.reserve(bytes.size());
  for (const std::uint8_t byte : bytes) all.push_back({.bits = byte});
  return all;
}

std::optional<SymbolicBytes> Registers::read(std::uint32_t number, std::size_t length) const {
  const auto begin = begin_of(number);
  if (!begin || length > bytes_.size() - *begin) return std::nullopt;
  const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(*begin);
  return SymbolicBytes(first, first + static_cast<std::ptrdiff_t>(length));
}

bool Registers::write(std::uint32_t number, const SymbolicBytes& bytes) {
  const auto begin = begin_of(number);
  const std::size_t length = (bytes.size() + 3) & ~std::size_t{3};
  if (!begin || length > bytes_.size() - *begin) return false;
  const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(*begin);
  const auto end = std::copy(bytes.begin(), bytes.end(), first);
  std::fill(end, first + static_cast<std::ptrdiff_t>(length), SymbolicByte{});
  return true;
}

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

std::string to_string(const SymbolicByte& byte) {
  if (byte.is_constant()) return "#" + hex({&byte.bits, 1});
  std::string text = byte.source + "+" + std::to_string(byte.offset);
  if (byte.mask != 0xff) text += "&" + hex({&byte.mask, 1});
  if (byte.bits != 0) text += "^" + hex({&byte.bits, 1});
  return text;
}

std::string to_string(std::span<const SymbolicByte> bytes) {
  std::string text = "[";
  while (!bytes.empty()) {
    std::size_t count = 1;
    while (count < bytes.size() && continues(bytes[count - 1], bytes[count])) ++count;
    if (text.size() > 1) text += " ";
    text += to_string(bytes.front());
    if (bytes.front().is_constant())
      for (const SymbolicByte& byte : bytes.subspan(1, count - 1)) text += hex({&byte.bits, 1});
    else if (is_whole(bytes.front()))
      text += ":" + std::to_string(count);
    bytes = bytes.subspan(count);
  }
  return text + "]";
}

}  // namespace portmapper::nft
