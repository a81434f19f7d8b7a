#include "lib/app/adopt/turn.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include "lib/host/directory_lock.hpp"

namespace portmapper::adopt {
namespace {

constexpr char kDirectory[] = "/run/nft-port-mapper";
constexpr char kFile[] = "/run/nft-port-mapper/adopt.lock";
constexpr std::chrono::seconds kMostPatience{30};

}  // namespace

Result<Turn> take_turn() {
  (void)mkdir(kDirectory, 0755);  // if that fails, so does what follows
  Turn turn{.lock = UniqueFd(open(kFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600))};
  if (!turn.lock) {
    turn.note = unreadable_input("cannot lock", kFile, errno).message() +
                "; make sure that no other adopt runs at the same time";
    return turn;
  }
  const auto limit = std::chrono::steady_clock::now() + kMostPatience;
  const int refused = host::lock_by(turn.lock.get(), limit);
  if (refused == 0) return turn;
  if (refused != EWOULDBLOCK) return unreadable_input("cannot lock", kFile, refused);
  return Error{ErrorKind::try_again_later, "another nft-port-mapperctl adopt runs, and holds " +
                                               std::string(kFile) +
                                               ": run adopt again when it has ended"};
}

}  // namespace portmapper::adopt
