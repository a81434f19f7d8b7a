// Small values that are read and written: what was written reads as the same.
#include "lib/base/attributes.hpp"
#include "lib/base/base64.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"
#include "lib/config/chain_name.hpp"
#include "lib/json/text.hpp"
#include "lib/json/writer.hpp"
#include "nft/key.hpp"
#include "nft/names.hpp"
#include "nft/userdata.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace portmapper;
using namespace portmapper::config;
using namespace portmapper::nft;
using namespace portmapper::fuzz;

namespace {

void addresses(std::string_view text) {
  if (const auto address = IpAddress::parse(text)) {
    demand(IpAddress::parse(address->to_string()) == address, "an address reads again", text);
    demand(address->mapped().unmapped() == address->unmapped(), "it is mapped and back", text);
  }
  if (const auto prefix = IpPrefix::parse(text)) {
    demand(IpPrefix::parse(prefix->to_string()) == prefix, "a prefix reads again", text);
    demand(prefix->contains(prefix->last()) && prefix->contains(prefix->network()),
           "a prefix has its ends", text);
  }
  if (const auto protocol = parse_protocol(text))
    demand(parse_protocol(to_string(*protocol)) == protocol, "a protocol reads again", text);
}

void names(std::string_view text) {
  const std::string_view complaint = chain_name_complaint(text);
  demand_printable(complaint);
  if (complaint.empty()) demand_printable(text);
  Attachment attachment;
  if (parse_attachment_comment(text, attachment))
    demand(attachment_comment(attachment) == text || text.size() > kLongComment,
           "a comment reads again", text);
  demand(shortened(std::string(text), 20).size() <= 20, "a text is shortened", text);
}

void json_text(std::string_view text) {
  json::Writer out;
  out.begin_object().member("key", text).member(text, 1).end_object();
  const Result<json::Document> read = json::Document::parse(out.text(), "it");
  const bool has_nul = text.find('\0') != std::string_view::npos;  // refused when read
  demand(static_cast<bool>(read) || has_nul || text == "key", "what is written reads", out.text());
  if (read && json::first_invalid_utf8(text) == std::string_view::npos)
    demand(read->root().member("key").text() == text, "as what it was", out.text());
  demand_printable(json::quoted(text));
}

void bytes_of_elements(Bytes bytes) {
  if (const auto port = parse_owner_data(bytes)) {
    const Key key = owner_data(*port);
    demand(parse_owner_data(key.bytes()) == port, "an owner's port reads again");
  }
  for (const Suffix suffix : kSuffixes)
    if (const auto port = parse_claim_key(bytes, suffix))
      demand(parse_claim_key(claim_key(*port).bytes(), suffix) == port ||
                 port->address.is_any() == (suffix.scope == AddressScope::one),
             "a claim's port reads again");
  const ElementData data = parse_element_data(bytes);
  const bool numbers = data.netns.is_known() ||
                       (data.netns.device == 0 && data.netns.id == 0 && data.netns.cookie == 0);
  if (bytes.size() > 120 || !numbers) return;
  const std::string written = encode(data);
  demand(parse_element_data(
             {reinterpret_cast<const std::uint8_t*>(written.data()), written.size()}) == data,
         "userdata reads again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  addresses(text);
  names(text);
  json_text(text);
  bytes_of_elements({data, size});
  if (const auto decoded = decode_base64(text))
    demand(decoded->size() == text.size() / 4 * 3 - (text.ends_with("==")  ? 2U
                                                     : text.ends_with("=") ? 1U
                                                                           : 0U),
           "base64 is three bytes of four", text);
  return 0;
}
