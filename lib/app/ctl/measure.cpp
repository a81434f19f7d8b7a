#include "lib/app/ctl/measure.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "lib/app/ctl/missing.hpp"
#include "lib/app/ctl/steady_audit.hpp"
#include "lib/host/replace_file.hpp"
#include "nft/decide.hpp"

namespace portmapper::ctl {
namespace {

// Where an owner entry does not record its chain, any chain may have the target.
const nft::TargetEntry* target_of(const TableContents& contents, const nft::OwnerEntry& owner) {
  for (const std::string& chain : contents.chains) {
    if (!owner.chain.empty() && owner.chain != chain) continue;
    const auto found = contents.targets.find({chain, owner.published});
    if (found != contents.targets.end()) return &found->second;
  }
  return nullptr;
}

void count_ports(const TableContents& contents, metrics::Figures& figures) {
  for (const nft::OwnerEntry& owner : contents.owners) {
    const nft::TargetEntry* const target = target_of(contents, owner);
    if (owner.standby && !(target != nullptr && target->endpoint == *owner.standby)) {
      ++figures.standby;
      continue;
    }
    figures.ports.push_back({owner.published, nft::known_parts(owner.comment),
                             target == nullptr ? 0 : target->connections});
  }
  std::sort(figures.ports.begin(), figures.ports.end(),
            [](const metrics::PortFigures& a, const metrics::PortFigures& b) {
              return std::tie(a.published.protocol, a.published.port, a.published.address) <
                     std::tie(b.published.protocol, b.published.port, b.published.address);
            });
  // Two owner entries of one port are damage, which is told; two samples of one name are no text.
  figures.ports.erase(std::unique(figures.ports.begin(), figures.ports.end(),
                                  [](const metrics::PortFigures& a, const metrics::PortFigures& b) {
                                    return a.published == b.published;
                                  }),
                      figures.ports.end());
}

void count_owners(const TableContents& contents, metrics::OwnerFigures& owners) {
  for (const auto& [owner, life] : contents.life) switch (nft::liveness_of(life)) {
      case nft::Liveness::alive:
        ++owners.alive;
        break;
      case nft::Liveness::dead:
        ++owners.dead;
        break;
      case nft::Liveness::unknown:
        ++owners.unknown;
        break;
    }
}

}  // namespace

Result<metrics::Figures> measure(Transport& transport) {
  const auto begin = std::chrono::steady_clock::now();
  Result<SteadyAudit> steady = audit_steadily(transport);
  if (!steady) return steady.error();
  const auto& [contents, audit] = *steady;
  metrics::Figures figures{.version = NFT_PORT_MAPPER_VERSION, .has_table = contents.exists};
  count_ports(contents, figures);
  count_owners(contents, figures.owners);
  const Result<std::vector<Missing>> missing = find_missing(transport);
  if (!missing) return missing.error();
  for (const Missing& one : *missing)
    ++(one.ports.empty() ? figures.unmasqueraded : figures.missing);
  figures.findings = audit.findings.size() + missing->size();
  figures.mendable = audit.mendable();
  figures.exposed = contents.exposed_devices.size();
  using std::chrono::duration;
  using std::chrono::duration_cast;
  figures.seconds = duration<double>(std::chrono::steady_clock::now() - begin).count();
  figures.time =
      duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  return figures;
}

Status write_figures(const std::string& file, const std::string& text) {
  // Root would replace /dev/null, and every program of the host would write into a file from then on.
  struct stat before {};
  if (lstat(file.c_str(), &before) == 0 && !S_ISREG(before.st_mode) && !S_ISDIR(before.st_mode))
    return mapping_failed("cannot write", file + ": not a regular file, so it is not replaced");
  return host::put_file(file, text, 0644);
}

}  // namespace portmapper::ctl
