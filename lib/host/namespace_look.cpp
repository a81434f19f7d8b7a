#include "lib/host/namespace_look.hpp"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "lib/base/libc.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/host/mount_table.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/netns_addresses.hpp"
#include "lib/host/open_files.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::host {
namespace {

constexpr int kMostRounds = 5;  // or as many as there are in
constexpr std::chrono::seconds kLongest{1};
constexpr std::string_view kNet = "net:[";
constexpr std::string_view kMounts = "mnt:[";
// PROC_PID_INIT_INO and PROC_USER_INIT_INO of the kernel's include/linux/proc_ns.h
constexpr std::uint64_t kInitialPidNamespace = 0xEFFFFFFC;
constexpr std::uint64_t kInitialUserNamespace = 0xEFFFFFFD;
constexpr std::uint64_t kInitialMountNamespace = 0xEFFFFFF8;  // since Linux 6.18

bool is_number(const char* name) {
  return name[0] >= '0' && name[0] <= '9';
}

// The task or descriptor ended while we were at it.
bool is_over(int error_number) {
  return error_number == ENOENT || error_number == ESRCH;
}

std::uint64_t inode_at(const char* path) {
  struct stat status {};
  return stat(path, &status) == 0 ? status.st_ino : 0;
}

class Look {
 public:
  explicit Look(NamespaceLook& look) : look_(look) {}

  void run() {
    proc_ = UniqueFd(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    own_netns_ = open_in_proc("thread-self/ns/net");
    own_mounts_ = open_in_proc("thread-self/ns/mnt");
    prepare();
    if (!own_netns_ || !own_mounts_) return;
    // Mount namespaces are entered by a thread that shares its root with no other.
    may_enter_ = may_enter_namespaces() && unshare(CLONE_FS) == 0;
    const bool may_look = may_enter_ && may_see_processes() && !misplaced_;
    int clean = 0;  // rounds, one after the other
    const auto end = std::chrono::steady_clock::now() + kLongest;
    const auto goes_on = [&](int round) {
      return round == 0 ||
             (may_look && (round < kMostRounds || std::chrono::steady_clock::now() < end));
    };
    for (int round = 0; clean < 2 && goes_on(round); ++round) clean = go_round() ? clean + 1 : 0;
    // What was there before the last round and could not be entered has ended.
    for (const auto& [inode, index] : known_)
      if (!seen_now_.contains(inode) && !look_.found[index].addresses)
        look_.found[index].addresses.emplace();
    look_.is_all_but_descriptors = may_look && clean == 2;
    look_.is_complete = look_.is_all_but_descriptors && !lacks_descriptors_;
  }

 private:
  void prepare() {
    look_.from = observe();
    look_.is_initial = is_initial(look_.from);
    own_user_namespace_ = inode_at("/proc/self/ns/user");
    struct stat status {};
    if (own_netns_ && fstat(own_netns_.get(), &status) == 0) device_ = status.st_dev;
    // Numbers of another PID namespace's /proc are other processes for kcmp.
    std::array<char, 16> self{};
    const ssize_t length = readlink("/proc/self", self.data(), self.size() - 1);
    self_ = std::to_string(getpid());
    if (length <= 0 || std::string_view(self.data(), static_cast<std::size_t>(length)) != self_)
      misplaced_ = true;
    // CAP_SYS_PTRACE of a user namespace does not make visible what others have there.
    if (!look_.from.is_known() ||
        (own_user_namespace_ != kInitialUserNamespace && hides_processes()))
      misplaced_ = true;
  }

  static bool hides_processes() {
    bool hides = false;
    each_mount(AT_FDCWD, "/proc/self/mountinfo", [&hides](const Mount& mount) {
      if (mount.type == "proc" && mount.place == "/proc")
        hides = mount.options.find("hidepid=") != std::string::npos;
    });
    return hides;
  }

  [[nodiscard]] UniqueFd open_in_proc(const std::string& path) const {
    return UniqueFd(openat(proc_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  }

  // Whether nothing was refused, and nothing ended before it could be looked into: its mounts may be
  // another's now.
  bool go_round() {
    missed_ = false;
    seen_now_.clear();
    mount_namespaces_.clear();
    pinned_.clear();
    see(inode_at("/proc/thread-self/ns/net"), "thread-self/ns/net", true);
    note_mounts(look_.from.mount_namespace, "thread-self/ns/mnt");
    each_number("", [this](const std::string& process) {
      if (process != self_) walk_process(process);
    });
    walk_mounts();
    for (const std::string& place : protected_) see_protected(place);
    protected_.clear();
    return !missed_;
  }

  template <typename Visit>
  void each_number(const std::string& path, Visit visit) {
    const int fd =
        openat(proc_.get(), path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const OpenDirectory directory(fd < 0 ? nullptr : fdopendir(fd));
    if (!directory) {
      missed_ = missed_ || fd >= 0 || !is_over(errno);
      if (fd >= 0) close(fd);
      return;
    }
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(directory.get());
      if (entry == nullptr) break;
      if (is_number(entry->d_name)) visit(std::string(entry->d_name));
    }
    if (errno != 0 && !is_over(errno)) missed_ = true;
  }

  void walk_process(const std::string& process) {
    each_number(process + "/task", [&](const std::string& task) {
      const std::string place = process + "/task/" + task;
      const std::uint64_t netns = linked(place + "/ns/net", kNet);
      if (netns == 0 && errno == EACCES) return protected_.push_back(place);
      if (netns != 0) see(netns, place + "/ns/net", true);
      if (const std::uint64_t inode = linked(place + "/ns/mnt", kMounts); inode != 0)
        note_mounts(inode, place + "/ns/mnt");
      if (task == process || !shares_descriptors(process, task)) walk_descriptors(place + "/fd");
    });
  }

  static bool shares_descriptors(const std::string& process, const std::string& task) {
    return syscall(SYS_kcmp, std::strtol(process.c_str(), nullptr, 10),
                   std::strtol(task.c_str(), nullptr, 10), KCMP_FILES, 0, 0) == 0;
  }

  // The number in "net:[4026532288]"; 0 for anything else.
  std::uint64_t linked(const std::string& path, std::string_view kind) {
    std::array<char, 64> target{};
    const ssize_t length = readlinkat(proc_.get(), path.c_str(), target.data(), target.size());
    if (length < 0) {
      missed_ = missed_ || !(is_over(errno) || (errno == EACCES && kind == kNet));
      return 0;
    }
    errno = 0;
    return namespace_number({target.data(), static_cast<std::size_t>(length)}, kind);
  }

  // Each network namespace has its own entries of /proc/PID/net, with inode numbers of their own.
  std::uint64_t mark_at(const std::string& place) const {
    struct stat status {};
    return fstatat(proc_.get(), (place + "/net/dev").c_str(), &status, 0) == 0 ? status.st_ino : 0;
  }

  void see_protected(const std::string& place) {
    lacks_descriptors_ = true;
    if (!may_see_processes()) return;  // it is not they that are protected
    const std::uint64_t mark = mark_at(place);
    if (mark == 0 && is_over(errno)) return;
    const auto known = marks_.find(mark);
    if (known == marks_.end()) {
      missed_ = true;  // it is in a namespace that nobody else is in
      return;
    }
    look_.found[known->second].has_task = true;
    const bool read =
        each_mount(proc_.get(), (place + "/mountinfo").c_str(),
                   [this](const Mount& mount) { see_mount(mount, /*may_walk_there=*/false); });
    if (!read && !is_over(errno)) missed_ = true;
  }

  void walk_descriptors(const std::string& directory) {
    each_number(directory, [&](const std::string& number) {
      const std::string path = directory + "/" + number;
      std::array<char, 64> target{};
      const ssize_t length = readlinkat(proc_.get(), path.c_str(), target.data(), target.size());
      if (length < 0) {
        missed_ = missed_ || !is_over(errno);
        return;
      }
      const std::string_view text(target.data(), static_cast<std::size_t>(length));
      if (const std::uint64_t inode = namespace_number(text, kNet); inode != 0)
        see(inode, path, false);
      else if (const std::uint64_t mounts = namespace_number(text, kMounts); mounts != 0)
        note_mounts(mounts, path);
      else if (text.starts_with('/') || text.starts_with('('))
        see_file(path);
    });
  }

  // A descriptor that was opened by the path of a mount is listed by that path.
  void see_file(const std::string& path) {
    struct statx status {};
    // Whatever server the file is of, it is not asked.
    if (libc::file_state(proc_.get(), path.c_str(), AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO,
                         &status) != 0) {
      missed_ = missed_ || !is_over(errno);
      return;
    }
    if (makedev_of(status) != device_) return;
    const std::uint64_t inode = status.stx_ino;
    if (known_.contains(inode)) return see(inode, path, false);
    const UniqueFd fd = open_in_proc(path);
    if (!fd) {
      missed_ = missed_ || !is_over(errno);
      return;
    }
    const int type = ioctl(fd.get(), NS_GET_NSTYPE);
    if (type == CLONE_NEWNET) see(inode, path, false);
    if (type == CLONE_NEWNS) note_mounts(inode, path);
  }

  static dev_t makedev_of(const struct statx& status) {
    return makedev(status.stx_dev_major, status.stx_dev_minor);
  }

  FoundNamespace& known(std::uint64_t inode) {
    seen_now_.insert(inode);
    const auto [at, is_new] = known_.try_emplace(inode, look_.found.size());
    if (is_new) look_.found.push_back({.netns = {.path = {}, .device = device_, .inode = inode}});
    return look_.found[at->second];
  }

  void see(std::uint64_t inode, const std::string& path, bool has_task) {
    FoundNamespace& found = known(inode);
    found.has_task = found.has_task || has_task;
    if (!found.addresses) examine(open_in_proc(path), found);
  }

  void examine(const UniqueFd& fd, FoundNamespace& found) {
    if (!fd) return;
    NetworkNamespace netns = identify_netns(fd.get());
    if (netns.inode != found.netns.inode || netns.device != device_ ||
        ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
      return;
    found.netns = std::move(netns);
    std::uint64_t mark = 0;
    Result<std::vector<IpAddress>> inside = addresses_inside(fd.get(), own_netns_.get(), [&] {
      mark = mark_at("thread-self");
      if (found.netns.id == 0) found.netns.cookie = netns_cookie();
    });
    if (mark != 0) marks_[mark] = known_.at(found.netns.inode);
    if (inside) found.addresses = std::move(*inside);
  }

  void note_mounts(std::uint64_t inode, const std::string& holder) {
    constexpr std::size_t kHolders = 16;  // some end before the mounts are read
    const auto [at, is_new] = mount_namespaces_.try_emplace(inode);
    if (at->second.size() < kHolders) at->second.push_back(holder);
    if (is_new) unread_.push_back(inode);
  }

  // Mounts keep mount namespaces too: more of them are noted meanwhile.
  void walk_mounts() {
    if (!may_enter_) return unread_.clear();
    while (!unread_.empty()) {
      const std::uint64_t inode = unread_.back();
      unread_.pop_back();
      walk_mounts_of(inode, mount_namespaces_.at(inode));
    }
    if (setns(own_mounts_.get(), CLONE_NEWNS) != 0) missed_ = true;
  }

  void walk_mounts_of(std::uint64_t inode, const std::vector<std::string>& holders) {
    const UniqueFd fd = open_any(holders, inode);
    if (!fd) {
      missed_ = true;
      return;
    }
    const bool is_trusted = owner_of(fd) == own_user_namespace_;
    std::map<int, Mount> mounts;
    if (setns(fd.get(), CLONE_NEWNS) != 0 ||
        !each_mount(proc_.get(), "thread-self/mountinfo",
                    [&mounts](const Mount& mount) { mounts.emplace(mount.number, mount); })) {
      missed_ = true;
      return;
    }
    for (const auto& [number, mount] : mounts)
      see_mount(mount, is_trusted && may_walk(mounts, mount.parent));
  }

  UniqueFd open_any(const std::vector<std::string>& holders, std::uint64_t inode) {
    for (const std::string& holder : holders) {
      UniqueFd fd = open_in_proc(holder);
      struct stat status {};
      if (fd && fstat(fd.get(), &status) == 0 && status.st_ino == inode) return fd;
      missed_ = missed_ || !(fd || is_over(errno));
    }
    return {};
  }

  // Whether a path that leads through this mount, and those below it, comes to an end.
  static bool may_walk(const std::map<int, Mount>& mounts, int number) {
    std::size_t depth = 0;
    for (auto at = mounts.find(number); at != mounts.end(); at = mounts.find(at->second.parent)) {
      if (may_hang(at->second.type) || ++depth > mounts.size()) return false;
      if (at->second.parent == at->first) return true;
    }
    return true;
  }

  static std::uint64_t owner_of(const UniqueFd& fd) {
    const UniqueFd owner(ioctl(fd.get(), NS_GET_USERNS));
    struct stat status {};
    return owner && fstat(owner.get(), &status) == 0 ? status.st_ino : 0;
  }

  void see_mount(const Mount& mount, bool may_walk_there) {
    const std::uint64_t inode = namespace_number(mount.root, kNet);
    if (inode != 0) {
      FoundNamespace& found = known(inode);
      if (!found.addresses && may_walk_there) examine(open_namespace(mount.place), found);
      return;
    }
    const std::uint64_t mounts = namespace_number(mount.root, kMounts);
    if (mounts == 0 || mount_namespaces_.contains(mounts)) return;
    // It has no task and no descriptor; where we are not to open it, we cannot look into it.
    UniqueFd fd = may_walk_there ? open_namespace(mount.place) : UniqueFd();
    if (!fd) {
      missed_ = true;
      return;
    }
    pinned_.push_back(std::move(fd));
    note_mounts(mounts, "thread-self/fd/" + std::to_string(pinned_.back().get()));
  }

  // Nothing is opened for reading but what is a namespace.
  [[nodiscard]] UniqueFd open_namespace(const std::string& place) const {
    const UniqueFd at(open(place.c_str(), O_PATH | O_CLOEXEC));
    struct stat status {};
    if (!at || fstat(at.get(), &status) != 0 || status.st_dev != device_) return {};
    return open_in_proc("thread-self/fd/" + std::to_string(at.get()));
  }

  NamespaceLook& look_;
  UniqueFd proc_;  // reached by descriptor: in other mount namespaces /proc is another one, or none
  UniqueFd own_netns_;
  UniqueFd own_mounts_;
  std::string self_;
  std::uint64_t own_user_namespace_ = 0;
  dev_t device_ = 0;  // of all namespaces
  bool may_enter_ = false;
  bool misplaced_ = false;  // what /proc shows is not what we ask for
  bool lacks_descriptors_ = false;
  bool missed_ = false;
  std::map<std::uint64_t, std::size_t> known_;  // network namespaces, in look_.found
  std::map<std::uint64_t, std::size_t> marks_;  // of network namespaces, see mark_at
  std::vector<std::string> protected_;          // tasks that are not to be examined
  std::set<std::uint64_t> seen_now_;            // network namespaces of this round
  std::map<std::uint64_t, std::vector<std::string>>
      mount_namespaces_;  // of this round: who holds it
  std::vector<std::uint64_t> unread_;
  std::vector<UniqueFd> pinned_;
};

}  // namespace

bool is_initial(const Observer& observer) {
  return observer.pid_namespace == kInitialPidNamespace &&
         (observer.mount_namespace == kInitialMountNamespace ||
          observer.mount_namespace == inode_at("/proc/1/ns/mnt"));
}

NamespaceLook look_at_namespaces() {
  NamespaceLook look;
  // Nothing else ever runs on this thread.
  std::thread visitor([&look] { Look(look).run(); });
  visitor.join();
  return look;
}

}  // namespace portmapper::host
