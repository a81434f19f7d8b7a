#include "nft/is_published.hpp"

#include <algorithm>

namespace portmapper::nft {

bool is_published(const Plan& plan, const InstalledPorts& installed,
                  std::span<const IpAddress> inside) {
  if (!is_whole(installed)) return false;
  const auto is_the_same = [inside](const Endpoint& found, const Endpoint& wanted) {
    return found.port == wanted.port &&
           (found.address == wanted.address ||
            std::find(inside.begin(), inside.end(), found.address) != inside.end());
  };
  const bool may_be_less =
      installed.count != 0 && installed.ports.size() < plan.translations.size();
  return std::all_of(
      plan.translations.begin(), plan.translations.end(), [&](const Translation& wanted) {
        const auto found = std::find_if(
            installed.ports.begin(), installed.ports.end(),
            [&wanted](const InstalledPort& port) { return port.published == wanted.published; });
        if (found == installed.ports.end()) return may_be_less;
        const std::optional<Endpoint>& endpoint =
            found->claimed && found->endpoint ? found->endpoint : found->standby;
        return endpoint && is_the_same(*endpoint, wanted.endpoint);
      });
}

}  // namespace portmapper::nft
